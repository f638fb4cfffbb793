//! Trees and layers as short text, so that a test reads like a listing.
//!
//! A line is `kind path argument`: `d usr`, `f usr/bin/a content`, `l bin usr/bin`, `h b a` (hard link),
//! `c dev/null 1:3`, `b dev/vda 254:0`, `p run/pipe`, `- path` (removal). A mode and an owner may follow the
//! kind: `d:1777:0:0 tmp`.
#![allow(dead_code, reason = "each test program uses its own part")]

use mkimage_tree::{
    Complete, Configured, Entry, Error, Kind, Layer, MergePolicy, Provenance, Tree, TreePath, Weight,
};

use proptest::prelude::*;

pub(crate) fn path(text: &str) -> TreePath {
    if text == "." { TreePath::root() } else { TreePath::new(text).unwrap() }
}

pub(crate) fn package(name: &str) -> Provenance {
    Provenance::package(name, "1")
}

/// Makes a layer of the lines.
pub(crate) fn layer(provenance: &Provenance, lines: &[&str]) -> Layer {
    let mut layer = Layer::new(provenance.clone());
    for line in lines {
        let mut words = line.splitn(3, ' ');
        let kind = words.next().unwrap();
        let at = path(words.next().unwrap());
        let argument = words.next().unwrap_or("");
        if kind == "-" {
            layer.remove(at);
            continue;
        }
        let (entry, imposed) = entry(provenance, kind, argument);
        if imposed {
            layer.weigh(at.clone(), Weight::Imposed);
        }
        layer.put(at, entry);
    }
    layer
}

fn entry(provenance: &Provenance, kind: &str, argument: &str) -> (Entry, bool) {
    let mut fields = kind.split(':');
    let letter = fields.next().unwrap();
    let mode = fields.next().map(|mode| u32::from_str_radix(mode, 8).unwrap());
    let mut id = || fields.next().map_or(0, |id| id.parse().unwrap());
    let (uid, gid) = (id(), id());
    let (kind, usual) = match letter {
        "d" | "d!" => (Kind::Directory, 0o755),
        "f" => (Kind::File(argument.into()), 0o644),
        "l" => (Kind::Symlink(argument.as_bytes().to_vec()), 0o777),
        "h" => (Kind::Hardlink(path(argument)), 0o644),
        "c" | "b" => {
            let (major, minor) = argument.split_once(':').unwrap();
            let (major, minor) = (major.parse().unwrap(), minor.parse().unwrap());
            let char_device = letter == "c";
            let kind = if char_device {
                Kind::CharDevice { major, minor }
            } else {
                Kind::BlockDevice { major, minor }
            };
            (kind, 0o600)
        }
        "p" => (Kind::Fifo, 0o600),
        other => panic!("no kind `{other}`"),
    };
    (Entry::new(kind, mode.unwrap_or(usual), provenance.clone()).owned_by(uid, gid), letter == "d!")
}

/// Lists a tree in the same notation, without its root; modes and owners only where they are unusual.
pub(crate) fn listing<S: mkimage_tree::State>(tree: &Tree<S>) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, entry) in tree.iter().filter(|(path, _)| !path.is_root()) {
        let (letter, usual, argument) = match &entry.kind {
            Kind::Directory => ("d", 0o755, String::new()),
            Kind::File(content) => ("f", 0o644, String::from_utf8(content.bytes().unwrap()).unwrap()),
            Kind::Symlink(target) => ("l", 0o777, String::from_utf8(target.clone()).unwrap()),
            Kind::Hardlink(target) => ("h", 0o644, target.to_string()[1..].to_owned()),
            Kind::CharDevice { major, minor } => ("c", 0o600, format!("{major}:{minor}")),
            Kind::BlockDevice { major, minor } => ("b", 0o600, format!("{major}:{minor}")),
            Kind::Fifo => ("p", 0o600, String::new()),
        };
        // A hard link has the metadata of its target.
        let unusual = letter != "h" && (entry.mode, entry.uid, entry.gid) != (usual, 0, 0);
        let metadata =
            if unusual { format!(":{:o}:{}:{}", entry.mode, entry.uid, entry.gid) } else { String::new() };
        lines.push(format!("{letter}{metadata} {} {argument}", &path.to_string()[1..]).trim_end().to_owned());
    }
    lines
}

/// Merges layers, each of the package at its side.
pub(crate) fn merged(layers: &[(&str, &[&str])], policy: &MergePolicy) -> Result<Tree<Configured>, Error> {
    let mut tree = Tree::new();
    for (name, lines) in layers {
        tree = tree.merge(&layer(&package(name), lines), policy)?;
    }
    Ok(tree.configured())
}

/// Makes a complete tree of one layer.
pub(crate) fn tree(lines: &[&str]) -> Tree<Complete> {
    Tree::standalone([&layer(&package("only"), lines)], &MergePolicy::new()).unwrap()
}

/// Lines that often meet each other.
pub(crate) fn any_lines() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof!["[ab]", "[ab]/[ab]", "[ab]/[ab]/[ab]"];
    let line = (0..7_u8, name.clone(), name).prop_map(|(kind, at, other)| match kind {
        0 | 1 => format!("d {at}"),
        2 | 3 => format!("f {at} {other}"),
        4 => format!("l {at} {other}"),
        5 => format!("l {at} /{other}"),
        _ => format!("h {at} {other}"),
    });
    proptest::collection::vec(line, 0..8)
}

/// Makes a tree of whatever of the lines fits together.
pub(crate) fn any_tree() -> impl Strategy<Value = Tree<Complete>> {
    any_lines().prop_map(|lines| {
        let mut tree = Tree::new();
        for line in &lines {
            let layer = layer(&package("only"), &[line.as_str()]);
            tree = tree.clone().merge(&layer, &MergePolicy::new()).unwrap_or(tree);
        }
        tree.configured().complete()
    })
}
