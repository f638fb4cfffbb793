//! What `--json`, the conditions of `list`, and `graph` print, against a real daemon: each block of
//! `documents.txt` is a fresh daemon, what is done before (`>`), a command (`$`), what it prints, and its exit
//! status (`=`). `UPDATE_GOLDEN=1` rewrites the file.
//!
//! The documents are an interface: fields may be added, but a line that changes here breaks somebody's program.

use std::path::Path;

use crate::world::World;

#[test]
fn what_programs_read_stays_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples/documents.txt");
    let golden = std::fs::read_to_string(&path).unwrap();
    let seen: Vec<String> = golden.trim_end().split("\n\n").map(seen).collect();
    let seen = seen.join("\n\n") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &seen).unwrap();
        return;
    }
    for (expected, seen) in golden.split("\n\n").zip(seen.split("\n\n")) {
        assert_eq!(seen, expected);
    }
}

/// Does what a block says, and gives the block with what really came of it.
fn seen(block: &str) -> String {
    let (mut lines, mut world) = (Vec::new(), None);
    for line in block.lines() {
        match line.split_at_checked(2) {
            Some(("# ", title)) => {
                let is_offline = title.ends_with("without a daemon");
                world = Some(if is_offline { World::without_daemon() } else { World::with_daemon() });
            }
            Some(("> ", step)) => world.as_ref().expect("a title").prepare(step),
            Some(("$ ", _)) => {}
            // What was printed, which is about to be seen.
            _ => continue,
        }
        lines.push(line.to_owned());
        if let Some(command) = line.strip_prefix("$ ") {
            let (out, status) = world.as_ref().expect("a title").seen(command);
            if command.contains("--json") && !out.is_empty() {
                let document: serde_json::Value = serde_json::from_str(&out).expect("one JSON document");
                assert!(document.is_object() && out.lines().count() == 1, "{out}");
            }
            lines.extend(out.lines().map(|line| format!("| {line}")));
            lines.push(format!("= {status}"));
        }
    }
    lines.join("\n")
}
