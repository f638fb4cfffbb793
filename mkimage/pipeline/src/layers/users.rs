//! Accounts: numbers out of the image's own passwd(5) and group(5), and the passwords a manifest sets.

use anyhow::{Context, Result, bail};
use mkimage_deb::Sha256;
use mkimage_tree::{Layer, State, Tree};
use sha_crypt::Sha512Params;

use super::path;
use crate::manifest::{Manifest, User};

/// How long crypt(5) lets the salt of a `$6$` hash be.
const SALT_LENGTH: usize = 16;

/// The number of a user or group, from a file in the form of passwd(5) or group(5).
pub(super) fn id<S: State>(tree: &Tree<S>, database: &str, name: &str) -> Result<Option<u32>> {
    let text = tree.read(&path(database)?).with_context(|| format!("cannot read the image's /{database}"))?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.split(':').next() == Some(name));
    Ok(line.and_then(|line| line.split(':').nth(2)?.parse().ok()))
}

/// /etc/shadow with the manifest's passwords; none if it sets none.
pub(super) fn layer<S: State>(manifest: &Manifest, tree: &Tree<S>) -> Result<Option<Layer>> {
    if manifest.users.is_empty() {
        return Ok(None);
    }
    let shadow = path("etc/shadow")?;
    let (at, entry) = tree.resolve(&shadow).context("cannot set passwords: the image has no /etc/shadow")?;
    let mut text = String::from_utf8_lossy(&tree.read(&shadow)?).into_owned();
    for (name, user) in &manifest.users {
        let hash = hash(user, &format!("{}/{}", manifest.image.name.get_ref(), name.get_ref()))?;
        text = match with_password(&text, name.get_ref(), &hash) {
            Some(text) => text,
            None => {
                let message = format!("the image has no user `{}`", name.get_ref());
                let help = "packages and overlays make users, mkimage only sets passwords";
                bail!("{}", manifest.source.problem(name.span(), message).with_help(help))
            }
        };
    }
    let mut layer = Layer::new(manifest.provenance());
    let mut changed = entry.clone();
    changed.kind = mkimage_tree::Kind::File(text.into_bytes().into());
    changed.provenance = manifest.provenance();
    layer.put(at.clone(), changed);
    Ok(Some(layer))
}

/// The second field of the user's line of shadow(5) replaced.
fn with_password(text: &str, name: &str, hash: &str) -> Option<String> {
    let mut found = false;
    let mut result = String::with_capacity(text.len() + hash.len());
    for line in text.lines() {
        match line.split_once(':') {
            Some((user, rest)) if user == name => {
                found = true;
                let rest = rest.split_once(':').map_or("", |(_, rest)| rest);
                result.push_str(&format!("{user}:{hash}:{rest}\n"));
            }
            _ => {
                result.push_str(line);
                result.push('\n');
            }
        }
    }
    found.then_some(result)
}

fn hash(user: &User, account: &str) -> Result<String> {
    match (&user.password_hash, &user.password) {
        (Some(hash), _) => Ok(hash.get_ref().clone()),
        (None, Some(password)) => sha512_crypt(password.get_ref(), account),
        (None, None) => bail!("a user without a password or a password hash"),
    }
}

/// `$6$` of crypt(5), with the default number of rounds. The salt comes from the account's name, so that a
/// build repeats and no two accounts share one.
fn sha512_crypt(password: &str, account: &str) -> Result<String> {
    let digest = Sha256::of(format!("password salt of {account}").as_bytes()).to_string();
    let salt = &digest[..SALT_LENGTH];
    let params = Sha512Params::default();
    let hash = sha_crypt::sha512_crypt_b64(password.as_bytes(), salt.as_bytes(), &params)
        .map_err(|error| anyhow::anyhow!("cannot hash a password: {error:?}"))?;
    Ok(format!("$6${salt}${hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_hashed_as_crypt_does() {
        // As `openssl passwd -6 -salt saltstring` has it; 5000 rounds are what is meant when none are given.
        let params = Sha512Params::default();
        let hash = sha_crypt::sha512_crypt_b64(b"Hello world!", b"saltstring", &params).unwrap();
        let known = "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
        assert_eq!(hash, known);
    }

    #[test]
    fn only_the_named_users_field_changes() {
        let text = "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n";
        let changed = with_password(text, "root", "$6$x$y").unwrap();
        assert_eq!(changed, "root:$6$x$y:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n");
        assert_eq!(with_password(text, "nobody", "x"), None);
    }
}
