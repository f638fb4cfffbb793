//! Scripts that need not run, known by their digests: another version of a script is another script.

use crate::Class;
use mkimage_deb::Sha256;

/// A script that need not run when a new image is made.
struct Known {
    sha256: &'static str,
    class: Class,
}

/// The scripts, by package.
const KNOWN: &[Known] = &[];

/// Says what is known of a script; nothing of most.
pub(crate) fn class_of(script: &[u8]) -> Option<Class> {
    if KNOWN.is_empty() {
        return None;
    }
    let digest = Sha256::of(script).to_string();
    KNOWN.iter().find(|known| known.sha256 == digest).map(|known| known.class)
}
