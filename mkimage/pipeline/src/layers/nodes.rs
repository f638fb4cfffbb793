//! `rootfs/overlay.toml`: folders, devices, owners and modes that a checkout cannot hold.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use diagnostics::{Diagnostic, Severity};
use mkimage_tree::{Entry, Kind, Layer, Provenance, State, Tree};
use serde::Deserialize;
use toml::Spanned;

use super::{path, users};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Node {
    kind: NodeKind,
    mode: Option<Spanned<String>>,
    user: Option<Spanned<String>>,
    group: Option<Spanned<String>>,
    major: Option<Spanned<u32>>,
    minor: Option<Spanned<u32>>,
}

#[derive(Deserialize, Clone, Copy)]
enum NodeKind {
    #[serde(rename = "file")]
    File,
    #[serde(rename = "directory")]
    Directory,
    #[serde(rename = "character device")]
    CharacterDevice,
}

/// Reads the table and makes what it names; users and groups are those of `tree`.
pub(super) fn layer<S: State>(file: &Path, tree: &Tree<S>) -> Result<Layer> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let problem = |span, message: String| {
        Diagnostic::at(file.display().to_string(), text.as_bytes(), span, Severity::Error, message)
    };
    let nodes: BTreeMap<Spanned<String>, Node> = match toml::from_str(&text) {
        Ok(nodes) => nodes,
        Err(error) => bail!("{}", problem(error.span().unwrap_or(0..0), error.message().to_owned())),
    };
    let provenance = Provenance::Overlay("rootfs/overlay.toml".into());
    let mut layer = Layer::new(provenance.clone());
    for (name, node) in &nodes {
        let Ok(at) = path(name.get_ref().trim_start_matches('/')) else {
            bail!("{}", problem(name.span(), "this is not a path inside the image".to_owned()));
        };
        let mode = match &node.mode {
            None if matches!(node.kind, NodeKind::Directory) => 0o755,
            None => 0o644,
            Some(mode) => match u32::from_str_radix(mode.get_ref(), 8) {
                Ok(bits) if bits <= 0o7777 => bits,
                _ => bail!("{}", problem(mode.span(), format!("`{}` is not an octal mode", mode.get_ref()))),
            },
        };
        let id = |name: &Option<Spanned<String>>, database: &str| -> Result<u32> {
            let Some(name) = name else { return Ok(0) };
            match users::id(tree, database, name.get_ref())? {
                Some(id) => Ok(id),
                None => bail!(
                    "{}",
                    problem(name.span(), format!("`{}` is not in the image's /{database}", name.get_ref()))
                ),
            }
        };
        let (uid, gid) = (id(&node.user, "etc/passwd")?, id(&node.group, "etc/group")?);
        let kind = match node.kind {
            NodeKind::Directory => {
                layer.impose(at.clone());
                Kind::Directory
            }
            NodeKind::CharacterDevice => match (&node.major, &node.minor) {
                (Some(major), Some(minor)) => {
                    Kind::CharDevice { major: *major.get_ref(), minor: *minor.get_ref() }
                }
                _ => bail!("{}", problem(name.span(), "a device needs `major` and `minor`".to_owned())),
            },
            NodeKind::File => match tree.content(&at) {
                Ok(content) => Kind::File(content.clone()),
                Err(_) => Kind::File(Vec::new().into()),
            },
        };
        if let (Kind::Directory | Kind::File(_), Some(number)) =
            (&kind, node.major.as_ref().or(node.minor.as_ref()))
        {
            bail!("{}", problem(number.span(), "only a device has `major` and `minor`".to_owned()));
        }
        layer.put(at, Entry::new(kind, mode, provenance.clone()).owned_by(uid, gid));
    }
    Ok(layer)
}
