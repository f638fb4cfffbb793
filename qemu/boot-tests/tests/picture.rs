//! The picture of the default boot in services/README.md is what `dinitctl graph` says of the default image.
//!
//! `UPDATE_GOLDEN=1` draws it anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use mkimage::build::{self, Reuse};
use mkimage::manifest::Manifest;
use mkimage::packages::{self, Locking};
use mkimage::programs;
use mkimage::ui::Verbosity;
use mkimage::world::World;
use mkimage_tree::Kind;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../services/README.md");
const BEGIN: &str = "```mermaid\n";
const END: &str = "```\n";

/// How each kind of reference is drawn; the last two only order.
const ARROWS: [(&str, &str); 5] = [
    ("depends-on", "-->"),
    ("depends-ms", "-->"),
    ("waits-for", "-.->"),
    ("after", "~~~"),
    ("before", "~~~"),
];

#[test]
fn the_picture_of_the_default_boot_is_current() {
    let readme = fs::read_to_string(README).expect("services/README.md can be read");
    let (head, rest) = readme.split_once(BEGIN).expect("services/README.md has a picture");
    let (drawn, tail) = rest.split_once(END).expect("the picture ends");
    let picture = picture(&graph());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(README, [head, BEGIN, &picture, END, tail].concat())
            .expect("services/README.md is writable");
        return;
    }
    assert!(
        drawn == picture,
        "services changed: draw the picture anew with UPDATE_GOLDEN=1; it is now\n{picture}"
    );
}

/// What `dinitctl graph boot` prints about the services of the default image.
fn graph() -> String {
    let world = World::new(Verbosity::Quiet, None).expect("a world");
    world.keep_others_out().expect("the cache can be locked");
    let path = world.data.default_manifest();
    let manifest = Manifest::parse(&path, fs::read_to_string(&path).expect("readable")).expect("a manifest");
    let locking = Locking::AsNeeded;
    let (lock, _) = packages::lock(&world, &manifest, locking).expect("a lock");
    let programs = programs::run(&world).expect("our programs");
    let (tree, _) =
        build::assemble(&world, &manifest, lock, locking, &programs, Reuse::WhatFits).expect("a tree");
    world.let_others_in();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let descriptions = "usr/lib/dinit.d/";
    for (path, entry) in tree.iter() {
        let path = Path::new(std::str::from_utf8(path.as_bytes()).expect("UTF-8"));
        let Ok(below) = path.strip_prefix(descriptions) else { continue };
        let place = folder.path().join(below);
        match &entry.kind {
            Kind::Directory => fs::create_dir_all(&place).expect("made"),
            Kind::File(content) => fs::write(&place, content.bytes().expect("readable")).expect("written"),
            // Only the names in a directory of links count.
            _ => fs::write(&place, "").expect("written"),
        }
    }
    let mut dinitctl = Command::new(programs.path("dinitctl"));
    let output =
        dinitctl.args(["--offline", "--services-dir"]).arg(folder.path()).args(["graph", "boot"]).output();
    let output = output.expect("dinitctl can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The same as a flow chart of Mermaid. A reference that holds anyway, by way of another service, is left out.
fn picture(graph: &str) -> String {
    let mut references: Vec<(&str, &str, &str)> = Vec::new();
    let mut from = "";
    for line in graph.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [name] => from = name,
            [kind, to] => references.push((from, kind, to)),
            _ => panic!("`{line}` is no line of a graph"),
        }
    }
    let needs = |from: &str, to: &str| {
        let (mut seen, mut next) = (vec![from], vec![from]);
        while let Some(at) = next.pop() {
            for (_, _, further) in
                references.iter().filter(|(one, kind, _)| *one == at && *kind == "depends-on")
            {
                // The reference itself proves nothing.
                if (at, *further) != (from, to) && !seen.contains(further) {
                    seen.push(further);
                    next.push(further);
                }
            }
        }
        seen.contains(&to)
    };
    let mut text = "flowchart RL\n".to_owned();
    for (from, kind, to) in &references {
        let (_, arrow) = ARROWS.iter().find(|(known, _)| known == kind).expect("a kind of reference");
        if *arrow != "~~~" && !needs(from, to) {
            text.push_str(&format!("    {} {arrow} {}\n", node(from), node(to)));
        }
    }
    text
}

/// A node: Mermaid's own names have no marks in them.
fn node(name: &str) -> String {
    format!("{}[\"{name}\"]", name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
}
