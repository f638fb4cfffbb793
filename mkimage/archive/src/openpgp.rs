//! OpenPGP: which keys are trusted, and whether a signed text is to be believed.
//!
//! The library does the arithmetic; what it finds right is not yet to be believed. The rules are here:
//!
//! - Of a signed text, only what the library hands back as signed is ever looked at.
//! - One signature by one trusted key is enough, as it is for apt; every other one is looked at all the same.
//! - Signatures of all kinds must use SHA-2 or SHA-3 of at least 256 bits, must have been made in the past, must
//!   not have expired, and must not demand by a critical subpacket what is not understood here.
//! - A key must have a valid self-certification on at least one user id; the newest one says when the key expires
//!   and what it is for. Certifications by others are passed over.
//! - A subkey counts only with a valid binding that lets it sign and with its own signature back to the primary.
//! - Whatever is revoked, by a revocation that holds, is out, whatever the reason given.
//! - RSA of 2048 bits and more, ECDSA and EdDSA are accepted, nothing else.

use mkimage_deb::date::Timestamp;
use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SignatureVersion, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, PublicParams, Tag, VerifyingKey};
use std::path::Path;

use crate::error::ArchiveError;

/// Clocks differ; what was made this many seconds in the future is still taken.
pub(crate) const CLOCK_SKEW: u64 = 3600;

/// The keys that mkimage brings along; `keys/README.md` says where they are from.
const SHIPPED: [(&str, &[u8]); 6] = [
    ("trixie automatic", include_bytes!("../keys/debian-archive-trixie-automatic.gpg")),
    ("trixie security", include_bytes!("../keys/debian-archive-trixie-security-automatic.gpg")),
    ("trixie stable", include_bytes!("../keys/debian-archive-trixie-stable.gpg")),
    ("bookworm automatic", include_bytes!("../keys/debian-archive-bookworm-automatic.gpg")),
    ("bookworm security", include_bytes!("../keys/debian-archive-bookworm-security-automatic.gpg")),
    ("bookworm stable", include_bytes!("../keys/debian-archive-bookworm-stable.gpg")),
];

/// The keys whose signatures are believed.
#[derive(Clone, Debug)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

impl Keyring {
    /// Gives the keys of Debian's archives that mkimage brings along.
    pub fn shipped() -> Self {
        // That each of them can be read is for a test to say; one that could not would be trusted with nothing.
        let keys = SHIPPED.into_iter().filter_map(|(name, bytes)| parse_keys(name, bytes).ok());
        Self { keys: keys.flatten().collect() }
    }

    /// Gives the fingerprints of the primary keys, sorted.
    pub(crate) fn fingerprints(&self) -> Vec<String> {
        let mut fingerprints: Vec<String> = self.keys.iter().map(|key| name_of(&key.primary_key)).collect();
        fingerprints.sort();
        fingerprints
    }

    /// Reads the keys in a file, which may be armoured or not.
    pub fn read(path: &Path) -> Result<Self, ArchiveError> {
        let name = path.display().to_string();
        let bad =
            |error: std::io::Error| ArchiveError::BadKey { key: name.clone(), problem: error.to_string() };
        Self::parse(&name, &std::fs::read(path).map_err(bad)?)
    }

    /// Takes the keys in `bytes`, which errors call `name`.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, ArchiveError> {
        Ok(Self { keys: parse_keys(name, bytes)? })
    }
}

fn parse_keys(name: &str, bytes: &[u8]) -> Result<Vec<SignedPublicKey>, ArchiveError> {
    let bad = |problem: String| ArchiveError::BadKey { key: name.to_owned(), problem };
    let (keys, _) = SignedPublicKey::from_reader_many(bytes).map_err(|error| bad(error.to_string()))?;
    let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|error| bad(error.to_string()))?;
    if keys.is_empty() {
        return Err(bad("there is no OpenPGP public key in it".to_owned()));
    }
    Ok(keys)
}

/// A text with a signature that holds, and nothing that was not signed.
#[derive(Debug)]
pub(crate) struct SignedText {
    pub(crate) text: String,
    /// The fingerprints of the keys that signed it.
    pub(crate) signers: Vec<String>,
}

/// Checks a text with its signatures in the cleartext form, as `InRelease` has it.
///
/// The error is one line for each thing that is wrong.
pub(crate) fn verify(bytes: &[u8], keyring: &Keyring, now: Timestamp) -> Result<SignedText, Vec<String>> {
    let text = std::str::from_utf8(bytes).map_err(|_| vec!["it is not text".to_owned()])?;
    let (message, _) = CleartextSignedMessage::from_string(text)
        .map_err(|error| vec![format!("it is not a signed text and nothing else ({error})")])?;
    let signed = message.signed_text();
    let mut signers = Vec::new();
    let mut problems = Vec::new();
    for signature in message.signatures() {
        match check_signature(signature, signed.as_bytes(), keyring, now) {
            Ok(signer) => signers.push(signer),
            Err(problem) => problems.push(problem),
        }
    }
    if signers.is_empty() {
        if problems.is_empty() {
            problems.push("there is no signature".to_owned());
        }
        return Err(problems);
    }
    Ok(SignedText { text: signed.replace("\r\n", "\n"), signers })
}

fn check_signature(
    signature: &Signature,
    text: &[u8],
    keyring: &Keyring,
    now: Timestamp,
) -> Result<String, String> {
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err("a signature is not one over a text".to_owned());
    }
    check_form(signature, now).map_err(|problem| format!("a signature {problem}"))?;
    let made = signature.created().map_or(0, |created| u64::from(created.as_secs()));
    for certificate in &keyring.keys {
        let primary = &certificate.primary_key;
        if is_by(signature, primary) {
            return check_by_primary(signature, text, certificate, made, now)
                .map_err(|problem| format!("the key {} {problem}", name_of(primary)));
        }
        if let Some(subkey) = certificate.public_subkeys.iter().find(|subkey| is_by(signature, &subkey.key)) {
            return check_by_subkey(signature, text, certificate, subkey, made, now)
                .map_err(|problem| format!("the key {} {problem}", name_of(&subkey.key)));
        }
    }
    Err(format!("the key {} is not known", claimed_issuer(signature)))
}

fn check_by_primary(
    signature: &Signature,
    text: &[u8],
    certificate: &SignedPublicKey,
    made: u64,
    now: Timestamp,
) -> Result<String, String> {
    let primary = &certificate.primary_key;
    let certification = check_certificate(certificate, now)?;
    if !certification.key_flags().sign() {
        return Err("is not for signing".to_owned());
    }
    check_age(primary, certification, made, now)?;
    signature.verify(primary, text).map_err(|_| "did not sign this text".to_owned())?;
    Ok(name_of(primary))
}

fn check_by_subkey(
    signature: &Signature,
    text: &[u8],
    certificate: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    made: u64,
    now: Timestamp,
) -> Result<String, String> {
    let primary = &certificate.primary_key;
    let certification = check_certificate(certificate, now)?;
    check_age(primary, certification, made, now)?;
    check_algorithm(&subkey.key)?;
    let is_revoked = subkey.signatures.iter().any(|revocation| {
        revocation.typ() == Some(SignatureType::SubkeyRevocation)
            && revocation.verify_subkey_binding(primary, &subkey.key).is_ok()
    });
    if is_revoked {
        return Err("was revoked".to_owned());
    }
    let bindings = subkey.signatures.iter().filter(|binding| {
        binding.typ() == Some(SignatureType::SubkeyBinding)
            && check_form(binding, now).is_ok()
            && binding.verify_subkey_binding(primary, &subkey.key).is_ok()
    });
    let Some(binding) = bindings.max_by_key(|binding| binding.created()) else {
        return Err("is a subkey that its primary key does not vouch for".to_owned());
    };
    if !binding.key_flags().sign() {
        return Err("is not for signing".to_owned());
    }
    let vouches = binding.embedded_signature().is_some_and(|back| {
        check_form(back, now).is_ok() && back.verify_primary_key_binding(&subkey.key, primary).is_ok()
    });
    if !vouches {
        return Err("is a subkey that does not vouch for its primary key".to_owned());
    }
    check_age(&subkey.key, binding, made, now)?;
    signature.verify(&subkey.key, text).map_err(|_| "did not sign this text".to_owned())?;
    Ok(name_of(&subkey.key))
}

/// Checks the primary key of a certificate and gives the self-certification that speaks for it.
fn check_certificate(certificate: &SignedPublicKey, now: Timestamp) -> Result<&Signature, String> {
    let primary = &certificate.primary_key;
    check_algorithm(primary)?;
    if certificate.details.revocation_signatures.iter().any(|revocation| {
        revocation.typ() == Some(SignatureType::KeyRevocation) && revocation.verify_key(primary).is_ok()
    }) {
        return Err("was revoked".to_owned());
    }
    let mut newest: Option<&Signature> = None;
    for user in &certificate.details.users {
        let own = |signature: &&Signature| {
            is_by(signature, primary)
                && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        };
        let own: Vec<&Signature> = user.signatures.iter().filter(own).collect();
        if own.iter().any(|signature| signature.typ() == Some(SignatureType::CertRevocation)) {
            continue;
        }
        newest = own
            .into_iter()
            .filter(|own| check_form(own, now).is_ok())
            .chain(newest)
            .max_by_key(|s| s.created());
    }
    newest.ok_or_else(|| "has no valid certification by itself".to_owned())
}

/// Checks what every signature must have, whatever it is over.
fn check_form(signature: &Signature, now: Timestamp) -> Result<(), String> {
    if !matches!(signature.version(), SignatureVersion::V4 | SignatureVersion::V6) {
        return Err("has a version that is not supported".to_owned());
    }
    match signature.hash_alg() {
        Some(
            HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512,
        ) => {}
        Some(weak) => return Err(format!("uses the digest {weak}, which is not accepted")),
        None => return Err("uses no known digest".to_owned()),
    }
    let Some(created) = signature.created().map(|created| u64::from(created.as_secs())) else {
        return Err("does not say when it was made".to_owned());
    };
    if created > now.0 + CLOCK_SKEW {
        return Err(format!("is from the future: {}", Timestamp(created)));
    }
    if let Some(expires) = expires(created, signature.signature_expiration_time())
        && expires <= now.0
    {
        return Err(format!("expired on {}", Timestamp(expires)));
    }
    let critical =
        signature.config().into_iter().flat_map(|config| config.hashed_subpackets()).find(|subpacket| {
            let unknown = matches!(
                subpacket.data,
                SubpacketData::Experimental(..) | SubpacketData::Other(..) | SubpacketData::Notation(..)
            );
            subpacket.is_critical && unknown
        });
    match critical {
        Some(_) => Err("demands something that is not understood".to_owned()),
        None => Ok(()),
    }
}

/// Checks that a key was valid when it signed and is still; `speaker` is the signature that says until when.
fn check_age(key: &impl KeyDetails, speaker: &Signature, made: u64, now: Timestamp) -> Result<(), String> {
    let created = u64::from(key.created_at().as_secs());
    if made < created {
        return Err("was made after the signature".to_owned());
    }
    match expires(created, speaker.key_expiration_time()) {
        Some(expires) if expires <= now.0 => Err(format!("expired on {}", Timestamp(expires))),
        _ => Ok(()),
    }
}

fn expires(from: u64, after: Option<pgp::types::Duration>) -> Option<u64> {
    let seconds = u64::from(after?.as_secs());
    (seconds > 0).then_some(from + seconds)
}

fn check_algorithm(key: &impl KeyDetails) -> Result<(), String> {
    /// The smallest modulus of 2048 bits and the lengths around it.
    const RSA_2048: usize = 2 + 256 + 2;
    let accepted = match key.public_params() {
        PublicParams::RSA(rsa) => rsa.write_len() >= RSA_2048,
        PublicParams::ECDSA(_)
        | PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => true,
        _ => false,
    };
    if accepted { Ok(()) } else { Err("is too weak, or of a kind that is not accepted".to_owned()) }
}

/// Says whether a signature claims to be by `key`; the arithmetic decides later whether it is.
fn is_by(signature: &Signature, key: &impl VerifyingKey) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        return signature.issuer_key_id().contains(&&key.legacy_key_id());
    }
    fingerprints.contains(&&key.fingerprint())
}

fn claimed_issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(ToString::to_string);
    let id = || signature.issuer_key_id().first().map(ToString::to_string);
    fingerprint.or_else(id).unwrap_or_else(|| "without a name".to_owned()).to_uppercase()
}

fn name_of(key: &impl KeyDetails) -> String {
    key.fingerprint().to_string().to_uppercase()
}

#[cfg(test)]
mod tests;
