//! A text is believed for the right reasons only: each test takes away one of them.

use super::*;
use crate::fixture::{BORN, DAY, Making, NOW, Secret, clearsign};
use pgp::packet::Subpacket;

const TEXT: &str = "Suite: test\n- a line with a dash\nLast: line\n";

fn keyring(certificate: SignedPublicKey) -> Keyring {
    Keyring { keys: vec![certificate] }
}

/// What is said of a text signed by the primary key without flaw, if that key has `certificate`.
fn judge(secret: &Secret, certificate: SignedPublicKey) -> Result<Vec<String>, String> {
    judge_text(&secret.sign(TEXT), certificate)
}

fn judge_text(signed: &str, certificate: SignedPublicKey) -> Result<Vec<String>, String> {
    match verify(signed.as_bytes(), &keyring(certificate), NOW) {
        Ok(signed) => Ok(signed.signers),
        Err(problems) => Err(problems.join("; ")),
    }
}

/// What is said of a text signed by the subkey without flaw, if it is bound so.
fn judge_binding(secret: &Secret, bindings: Vec<Signature>) -> Result<Vec<String>, String> {
    let certification = secret.certify(&Making::new(SignatureType::CertPositive), &secret.primary);
    let certificate = secret.certificate(vec![certification], Vec::new(), bindings);
    judge_text(&clearsign(TEXT, &Making::text(), &secret.subkey), certificate)
}

fn certification() -> Making {
    Making::new(SignatureType::CertPositive)
}

fn binding() -> Making {
    Making::new(SignatureType::SubkeyBinding)
}

fn back() -> Making {
    Making::new(SignatureType::KeyBinding)
}

fn assert_says(result: Result<Vec<String>, String>, expected: &str) {
    let problem = result.unwrap_err();
    assert!(problem.contains(expected), "`{problem}` does not say `{expected}`");
}

/// By the clock on the wall, since keys do expire: Debian's are good for eight years, and the first of these to go was
/// made in 2023. Half a year before, newer ones are long published, and are to be put in `keys/`.
#[test]
fn all_shipped_keys_can_be_read_and_are_good_for_half_a_year_more() {
    let soon = Timestamp(Timestamp::now().0 + 180 * DAY);
    let mut fingerprints = Vec::new();
    for (name, bytes) in SHIPPED {
        for key in parse_keys(name, bytes).unwrap() {
            let newest = check_certificate(&key, soon).unwrap();
            check_age(&key.primary_key, newest, NOW.0, soon).unwrap();
            fingerprints.push(name_of(&key.primary_key));
        }
    }
    fingerprints.sort();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), SHIPPED.len());
    assert_eq!(Keyring::shipped().keys.len(), SHIPPED.len());
}

#[test]
fn a_good_signature_by_the_primary_key_gives_back_the_text() {
    let secret = Secret::new();
    let signed = verify(secret.sign(TEXT).as_bytes(), &keyring(secret.good_certificate()), NOW).unwrap();
    assert_eq!(signed.text.trim_end(), TEXT.trim_end());
    assert_eq!(signed.signers, [name_of(secret.public_primary())]);
}

#[test]
fn a_good_signature_by_a_subkey_is_believed() {
    let secret = Secret::new();
    let signers = judge_binding(&secret, vec![secret.bind(&binding(), Some(&back()))]).unwrap();
    assert_eq!(signers, [name_of(secret.public_subkey())]);
}

#[test]
fn an_edited_text_is_not_believed() {
    let secret = Secret::new();
    let edited = secret.sign(TEXT).replace("Last: line", "Last: lime");
    assert_says(judge_text(&edited, secret.good_certificate()), "did not sign this text");
}

#[test]
fn an_unknown_key_is_not_believed() {
    let (secret, other) = (Secret::new(), Secret::new());
    assert_says(judge_text(&secret.sign(TEXT), other.good_certificate()), "is not known");
}

#[test]
fn a_key_that_only_claims_the_name_of_a_known_one_is_not_believed() {
    let (known, impostor) = (Secret::new(), Secret::new());
    let mut config = Making::text().config(&known.primary);
    config.pub_alg = impostor.primary.algorithm();
    let password = pgp::types::Password::empty();
    let message = CleartextSignedMessage::new(TEXT, config, &impostor.primary, &password).unwrap();
    let signed = message.to_armored_string(pgp::composed::ArmorOptions::default()).unwrap();
    assert_says(judge_text(&signed, known.good_certificate()), "did not sign this text");
}

#[test]
fn text_before_or_after_the_signed_part_is_refused() {
    let secret = Secret::new();
    let signed = secret.sign(TEXT);
    for text in
        [format!("Suite: other\n{signed}"), format!("{signed}\nSuite: other\n"), format!("{signed}{signed}")]
    {
        assert_says(judge_text(&text, secret.good_certificate()), "not a signed text and nothing else");
    }
}

#[test]
fn a_text_without_a_signature_is_refused() {
    let secret = Secret::new();
    assert_says(judge_text(TEXT, secret.good_certificate()), "not a signed text");
}

#[test]
fn one_signature_that_holds_is_enough_beside_one_of_an_unknown_key() {
    let (secret, other) = (Secret::new(), Secret::new());
    let password = pgp::types::Password::empty();
    let message = CleartextSignedMessage::new_many(TEXT, |text| {
        let sign = |secret: &Secret| {
            Making::text().config(&secret.primary).sign(&secret.primary, &password, text.as_bytes())
        };
        Ok(vec![sign(&other)?, sign(&secret)?])
    });
    let signed = message.unwrap().to_armored_string(pgp::composed::ArmorOptions::default()).unwrap();
    assert_eq!(judge_text(&signed, secret.good_certificate()).unwrap(), [name_of(secret.public_primary())]);
}

#[test]
fn a_signature_from_the_future_or_expired_is_refused() {
    let secret = Secret::new();
    let judge =
        |making: Making| judge_text(&clearsign(TEXT, &making, &secret.primary), secret.good_certificate());
    assert_says(judge(Making { made: NOW.0 + 2 * CLOCK_SKEW, ..Making::text() }), "is from the future");
    assert!(judge(Making { made: NOW.0 + CLOCK_SKEW / 2, ..Making::text() }).is_ok());
    assert_says(judge(Making { lasts: Some(60), ..Making::text() }), "expired on");
    assert!(judge(Making { lasts: Some(2 * DAY as u32), ..Making::text() }).is_ok());
    assert_says(judge(Making { made: BORN - DAY, ..Making::text() }), "was made after the signature");
}

#[test]
fn a_critical_demand_that_is_not_understood_is_refused() {
    let secret = Secret::new();
    let data = || SubpacketData::Experimental(101, vec![1].into());
    let judge = |subpacket| {
        let making = Making { more: vec![subpacket], ..Making::text() };
        judge_text(&clearsign(TEXT, &making, &secret.primary), secret.good_certificate())
    };
    assert_says(judge(Subpacket::critical(data()).unwrap()), "demands something that is not understood");
    assert!(judge(Subpacket::regular(data()).unwrap()).is_ok());
}

#[test]
fn an_expired_key_is_not_believed() {
    let secret = Secret::new();
    let certified = |key_lasts| {
        let certification = secret.certify(&Making { key_lasts, ..certification() }, &secret.primary);
        judge(&secret, secret.certificate(vec![certification], Vec::new(), Vec::new()))
    };
    assert_says(certified(Some(50 * DAY as u32)), "expired on");
    assert!(certified(Some(150 * DAY as u32)).is_ok());
    assert!(certified(Some(0)).is_ok(), "an expiry of zero means none");
}

#[test]
fn the_newest_certification_says_when_a_key_expires() {
    let secret = Secret::new();
    let old =
        secret.certify(&Making { key_lasts: Some(50 * DAY as u32), ..certification() }, &secret.primary);
    let new = Making { made: BORN + DAY, key_lasts: Some(150 * DAY as u32), ..certification() };
    let new = secret.certify(&new, &secret.primary);
    for certifications in [vec![old.clone(), new.clone()], vec![new, old]] {
        assert!(judge(&secret, secret.certificate(certifications, Vec::new(), Vec::new())).is_ok());
    }
}

#[test]
fn a_revoked_key_is_not_believed_and_a_revocation_by_another_means_nothing() {
    let (secret, other) = (Secret::new(), Secret::new());
    let revocation = Making::new(SignatureType::KeyRevocation);
    let certified = |revocations| {
        let certification = secret.certify(&certification(), &secret.primary);
        judge(&secret, secret.certificate(vec![certification], revocations, Vec::new()))
    };
    assert_says(certified(vec![secret.sign_primary(&revocation)]), "was revoked");
    assert!(certified(vec![other.sign_primary(&revocation)]).is_ok());
}

#[test]
fn a_key_that_does_not_certify_itself_is_not_believed() {
    let (secret, other) = (Secret::new(), Secret::new());
    let certified =
        |certifications| judge(&secret, secret.certificate(certifications, Vec::new(), Vec::new()));
    let own = || secret.certify(&certification(), &secret.primary);
    let foreign = || secret.certify(&certification(), &other.primary);
    assert_says(certified(vec![foreign()]), "has no valid certification by itself");
    assert!(certified(vec![foreign(), own()]).is_ok(), "certifications by others are passed over");
    let revocation = secret.certify(&Making::new(SignatureType::CertRevocation), &secret.primary);
    assert_says(certified(vec![own(), revocation]), "has no valid certification by itself");
    let not_for_signing = secret.certify(&Making { may_sign: false, ..certification() }, &secret.primary);
    assert_says(certified(vec![not_for_signing]), "is not for signing");
}

#[test]
fn a_subkey_that_is_not_bound_well_is_not_believed() {
    let (secret, other) = (Secret::new(), Secret::new());
    let judge = |binding: Signature| judge_binding(&secret, vec![binding]);
    assert_says(judge(secret.bind(&binding(), None)), "does not vouch for its primary key");
    assert_says(judge(other.bind(&binding(), Some(&back()))), "its primary key does not vouch for");
    let no_signing = Making { may_sign: false, ..binding() };
    assert_says(judge(secret.bind(&no_signing, Some(&back()))), "is not for signing");
    let expired = Making { key_lasts: Some(50 * DAY as u32), ..binding() };
    assert_says(judge(secret.bind(&expired, Some(&back()))), "expired on");
}

#[test]
fn a_revoked_subkey_is_not_believed() {
    let secret = Secret::new();
    let good = secret.bind(&binding(), Some(&back()));
    let revocation = secret.bind(&Making::new(SignatureType::SubkeyRevocation), None);
    assert_says(judge_binding(&secret, vec![good, revocation]), "was revoked");
}

#[test]
fn a_back_signature_by_another_subkey_does_not_vouch() {
    let (secret, other) = (Secret::new(), Secret::new());
    let password = pgp::types::Password::empty();
    let config = back().config(&other.subkey);
    let foreign = config
        .sign_primary_key_binding(&other.subkey, other.public_subkey(), &password, secret.public_primary())
        .unwrap();
    let embedded = Subpacket::regular(SubpacketData::EmbeddedSignature(Box::new(foreign))).unwrap();
    let binding = secret.bind(&Making { more: vec![embedded], ..binding() }, None);
    assert_says(judge_binding(&secret, vec![binding]), "does not vouch for its primary key");
}

#[test]
fn what_is_no_key_file_is_refused_by_name() {
    let error = Keyring::parse("my.key", b"nothing").unwrap_err();
    assert!(error.to_string().contains("`my.key`"), "{error}");
    let secret = Secret::new();
    assert_eq!(Keyring::parse("my.key", &secret.good_key_file()).unwrap().keys.len(), 1);
}

#[test]
fn a_weak_digest_counts_nowhere() {
    let secret = Secret::rsa();
    let weak = |making: Making| Making { digest: HashAlgorithm::Sha1, ..making };
    let sign = |making: Making| clearsign(TEXT, &making, &secret.primary);
    assert!(
        judge_text(&sign(Making::text()), secret.good_certificate()).is_ok(),
        "it is the digest that matters"
    );
    assert_says(judge_text(&sign(weak(Making::text())), secret.good_certificate()), "digest SHA1");
    let sha224 = Making { digest: HashAlgorithm::Sha224, ..Making::text() };
    assert_says(judge_text(&sign(sha224), secret.good_certificate()), "digest SHA224");

    let certified = secret.certify(&weak(certification()), &secret.primary);
    let certificate = secret.certificate(vec![certified], Vec::new(), Vec::new());
    assert_says(judge_text(&sign(Making::text()), certificate), "has no valid certification by itself");

    let weak_back = secret.bind(&binding(), Some(&weak(back())));
    assert_says(judge_binding(&secret, vec![weak_back]), "does not vouch for its primary key");
    let weak_binding = secret.bind(&weak(binding()), Some(&back()));
    assert_says(judge_binding(&secret, vec![weak_binding]), "its primary key does not vouch for");
}
