//! What tests need: keys with any flaw, signed texts, and whole archives in a folder.

use mkimage_deb::{Sha256, Timestamp};
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedKeyDetails, SignedPublicKey,
    SignedPublicSubKey, SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PublicKey, PublicSubkey, SecretKey, SecretSubkey, Signature, SignatureConfig, SignatureType,
    Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize;
use pgp::types::{Duration, Password, SignedUser, SigningKey, Tag, Timestamp as PgpTimestamp};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The seconds of a day.
pub const DAY: u64 = 86_400;
/// The moment at which the tests take place.
pub const NOW: Timestamp = Timestamp(1_760_000_000);
/// When keys were made.
pub(crate) const BORN: u64 = NOW.0 - 100 * DAY;

/// A secret primary key with a signing subkey, and what is needed to sign anything with either.
pub struct Secret {
    pub(crate) primary: SecretKey,
    pub(crate) subkey: SecretSubkey,
    user: UserId,
}

/// How one signature is made.
#[derive(Clone)]
pub(crate) struct Making {
    pub(crate) kind: SignatureType,
    pub(crate) digest: HashAlgorithm,
    pub(crate) made: u64,
    /// How many seconds after it was made the signature expires.
    pub(crate) lasts: Option<u32>,
    /// How many seconds after the key was made the key expires.
    pub(crate) key_lasts: Option<u32>,
    pub(crate) may_sign: bool,
    pub(crate) more: Vec<Subpacket>,
}

impl Making {
    pub(crate) fn new(kind: SignatureType) -> Self {
        let more = Vec::new();
        let digest = HashAlgorithm::Sha512;
        Self { kind, digest, made: BORN, lasts: None, key_lasts: None, may_sign: true, more }
    }

    pub(crate) fn text() -> Self {
        Self { made: NOW.0 - DAY, ..Self::new(SignatureType::Text) }
    }

    pub(crate) fn config(&self, signer: &impl SigningKey) -> SignatureConfig {
        let seconds = |seconds| Duration::from_secs(seconds);
        let mut flags = KeyFlags::default();
        flags.set_sign(self.may_sign);
        let mut data = vec![
            SubpacketData::SignatureCreationTime(PgpTimestamp::from_secs(self.made as u32)),
            SubpacketData::IssuerFingerprint(signer.fingerprint()),
            SubpacketData::KeyFlags(flags),
        ];
        data.extend(self.lasts.map(seconds).map(SubpacketData::SignatureExpirationTime));
        data.extend(self.key_lasts.map(seconds).map(SubpacketData::KeyExpirationTime));
        let mut config = SignatureConfig::v4(self.kind, signer.algorithm(), self.digest);
        config.hashed_subpackets = data.into_iter().map(|data| Subpacket::regular(data).unwrap()).collect();
        config.hashed_subpackets.extend(self.more.iter().cloned());
        config
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new()
    }
}

impl Secret {
    /// Makes a key.
    pub fn new() -> Self {
        let born = PgpTimestamp::from_secs(BORN as u32);
        let mut subkey = SubkeyParamsBuilder::default();
        subkey.key_type(KeyType::Ed25519Legacy).can_sign(true).created_at(born);
        let mut params = SecretKeyParamsBuilder::default();
        params.key_type(KeyType::Ed25519Legacy).can_certify(true).can_sign(true).created_at(born);
        params.primary_user_id("Test <test@example.org>".into()).subkey(subkey.build().unwrap());
        Self::of(params.build().unwrap().generate(rand::thread_rng()).unwrap())
    }

    #[cfg(test)]
    /// Gives an RSA key, of which the library lets weak digests be made; one was made beforehand, since making one
    /// takes long.
    pub(crate) fn rsa() -> Self {
        use pgp::composed::Deserializable;
        let (key, _) = SignedSecretKey::from_string(include_str!("../testdata/rsa-secret.asc")).unwrap();
        Self::of(key)
    }

    fn of(mut key: SignedSecretKey) -> Self {
        let user = key.details.users[0].id.clone();
        Self { primary: key.primary_key, subkey: key.secret_subkeys.remove(0).key, user }
    }

    pub(crate) fn public_primary(&self) -> &PublicKey {
        self.primary.public_key()
    }

    pub(crate) fn public_subkey(&self) -> &PublicSubkey {
        self.subkey.public_key()
    }

    /// Certifies the user id, by this key or by `signer` in its place.
    pub(crate) fn certify(&self, making: &Making, signer: &SecretKey) -> Signature {
        let password = Password::empty();
        let config = making.config(signer);
        config
            .sign_certification_third_party(signer, &password, self.public_primary(), Tag::UserId, &self.user)
            .unwrap()
    }

    #[cfg(test)]
    /// Signs the primary key itself: a revocation, most likely.
    pub(crate) fn sign_primary(&self, making: &Making) -> Signature {
        let config = making.config(&self.primary);
        config.sign_key(&self.primary, &Password::empty(), self.public_primary()).unwrap()
    }

    /// Binds, or revokes, the subkey; with `back`, the subkey vouches for the primary in it.
    pub(crate) fn bind(&self, making: &Making, back: Option<&Making>) -> Signature {
        let password = Password::empty();
        let mut making = making.clone();
        if let Some(back) = back {
            let config = back.config(&self.subkey);
            let back = config
                .sign_primary_key_binding(
                    &self.subkey,
                    self.public_subkey(),
                    &password,
                    self.public_primary(),
                )
                .unwrap();
            let data = SubpacketData::EmbeddedSignature(Box::new(back));
            making.more.push(Subpacket::regular(data).unwrap());
        }
        let config = making.config(&self.primary);
        config
            .sign_subkey_binding(&self.primary, self.public_primary(), &password, self.public_subkey())
            .unwrap()
    }

    /// Puts a certificate together of signatures made with the above.
    pub(crate) fn certificate(
        &self,
        certifications: Vec<Signature>,
        revocations: Vec<Signature>,
        bindings: Vec<Signature>,
    ) -> SignedPublicKey {
        let user = SignedUser::new(self.user.clone(), certifications);
        let details = SignedKeyDetails::new(revocations, Vec::new(), vec![user], Vec::new());
        let subkey = SignedPublicSubKey::new(self.public_subkey().clone(), bindings);
        SignedPublicKey::new(self.public_primary().clone(), details, vec![subkey])
    }

    /// Gives a certificate without any flaw.
    pub(crate) fn good_certificate(&self) -> SignedPublicKey {
        let certification = self.certify(&Making::new(SignatureType::CertPositive), &self.primary);
        let back = Making::new(SignatureType::KeyBinding);
        let binding = self.bind(&Making::new(SignatureType::SubkeyBinding), Some(&back));
        self.certificate(vec![certification], Vec::new(), vec![binding])
    }

    /// Gives the bytes of a key file with that certificate.
    pub fn good_key_file(&self) -> Vec<u8> {
        self.good_certificate().to_bytes().unwrap()
    }

    /// Signs a text with the primary key, as is to be done without any flaw.
    pub(crate) fn sign(&self, text: &str) -> String {
        clearsign(text, &Making::text(), &self.primary)
    }
}

/// Signs a text in the cleartext form.
pub(crate) fn clearsign(text: &str, making: &Making, signer: &impl SigningKey) -> String {
    let config = making.config(signer);
    let message = CleartextSignedMessage::new(text, config, signer, &Password::empty()).unwrap();
    message.to_armored_string(ArmorOptions::default()).unwrap()
}

/// A package that a test archive has.
pub struct TestPackage {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) depends: &'static str,
    pub(crate) deb: Vec<u8>,
}

impl TestPackage {
    /// Makes a package of a few files, in a version that the archive gives it.
    pub fn new(name: &'static str, depends: &'static str) -> Self {
        let control = format!("Package: {name}\nVersion: 1\nArchitecture: amd64\n");
        let control = tar_of(&[("./control", &control), ("./postinst", "#!/bin/sh\n")]);
        let data = tar_of(&[(&format!("./usr/share/{name}"), &name.repeat(1000))]);
        Self { name, version: "1:2+b3~x", depends, deb: deb_of(control, data) }
    }

    /// The same in another version.
    #[must_use]
    pub fn in_version(self, version: &'static str) -> Self {
        Self { version, ..self }
    }

    /// Gives its path below the archive.
    pub fn filename(&self) -> String {
        format!("pool/main/{0}/{0}_{1}_amd64.deb", self.name, self.version)
    }
}

/// Makes a package of its two tar archives, deb(5): an ar(5) archive with members in this order.
pub fn deb_of(control: Vec<u8>, data: Vec<u8>) -> Vec<u8> {
    let mut deb = b"!<arch>\n".to_vec();
    for (member, body) in [("debian-binary", b"2.0\n".to_vec()), ("control.tar", control), ("data.tar", data)]
    {
        let length = body.len();
        let header = format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{length:<10}`\n", 0, 0, 0, 100_644);
        deb.extend(header.into_bytes());
        deb.extend(body);
        deb.resize(deb.len().next_multiple_of(2), b'\n');
    }
    deb
}

fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Lays an archive with one suite, `test`, into a folder, its description signed by `secret`.
pub fn lay_archive(root: &Path, packages: &[TestPackage], secret: &Secret) {
    lay_archive_of(Timestamp(NOW.0 - DAY), root, packages, secret);
}

/// The same, with a description made at another moment.
pub fn lay_archive_of(date: Timestamp, root: &Path, packages: &[TestPackage], secret: &Secret) {
    let mut index = String::new();
    for package in packages {
        let path = root.join(package.filename());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &package.deb).unwrap();
        let (name, version) = (package.name, package.version);
        let (depends, filename) = (package.depends, package.filename());
        let (size, sha256) = (package.deb.len(), Sha256::of(&package.deb));
        writeln!(
            index,
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDepends: {depends}\nFilename: {filename}\n\
             Size: {size}\nSHA256: {sha256}\n"
        )
        .unwrap();
    }
    let folder = root.join("dists/test/main/binary-amd64");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Packages"), &index).unwrap();
    let usual = format!("Date: {}", Timestamp(NOW.0 - DAY));
    let text = release(&index, "Codename: test").replace(&usual, &format!("Date: {date}"));
    fs::write(root.join("dists/test/InRelease"), secret.sign(&text)).unwrap();
}

/// Gives the text of a description of the suite with one index and the given further field.
pub(crate) fn release(index: &str, field: &str) -> String {
    let (digest, size) = (Sha256::of(index.as_bytes()), index.len());
    let date = Timestamp(NOW.0 - DAY);
    format!(
        "Suite: testing\n{field}\nDate: {date}\nComponents: main\nArchitectures: amd64\nSHA256:\n \
         {digest} {size} main/binary-amd64/Packages\n"
    )
}
