//! Device nodes that load a kernel module when they are opened, such as /dev/loop-control and /dev/net/tun.
//!
//! depmod(8) lists them in `modules.devname`; systemd-tmpfiles(8) makes them at boot, where /dev is one of the kernel's.
//! Who may use them is said by the device manager's own tmpfiles.d.

use anyhow::Result;
use mkimage_tree::{Layer, Provenance, State, Tree};

use super::path;

/// Where the list goes.
const LIST: &str = "usr/lib/tmpfiles.d/static-nodes.conf";

/// The list for the kernels in the tree; nothing if there is none, or none that wants any.
pub(super) fn layer<S: State>(tree: &Tree<S>) -> Result<Option<Layer>> {
    let is_list = |path: &[u8]| path.starts_with(b"usr/lib/modules/") && path.ends_with(b"/modules.devname");
    let mut lines = Vec::new();
    for (path, _) in tree.iter().filter(|(path, _)| is_list(path.as_bytes())) {
        let text = tree.read(path)?;
        lines.extend(String::from_utf8_lossy(&text).lines().filter_map(tmpfiles_line));
    }
    if lines.is_empty() {
        return Ok(None);
    }
    lines.sort();
    lines.dedup();
    let mut layer = Layer::new(Provenance::Generated("static device nodes".into()));
    layer.file(path(LIST)?, 0o644, lines.concat().into_bytes());
    Ok(Some(layer))
}

/// Turns `loop loop-control c10:237` into a line of tmpfiles.d(5); anything else is nothing.
fn tmpfiles_line(line: &str) -> Option<String> {
    let [_module, name, device] = line.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
    let (kind, number) = device.split_at_checked(1)?;
    let (major, minor) = number.split_once(':')?;
    let is_number = |digits: &str| digits.parse::<u32>().is_ok();
    let is_plain = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let wanted = matches!(kind, "b" | "c") && is_number(major) && is_number(minor) && is_plain;
    wanted.then(|| format!("{kind}! /dev/{name} 0600 root root - {number}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkimage_tree::MergePolicy;

    #[test]
    fn each_node_of_each_kernel_has_a_line_once() {
        let mut modules = Layer::new(Provenance::Skeleton);
        let lists = [
            ("6.12", "# Nodes.\nloop loop-control c10:237\ntun net/tun c10:200\n"),
            ("6.1", "loop loop-control c10:237\nx ../x c1:1\nx y z1:1\nx y c1\nx y\n"),
        ];
        for (release, text) in lists {
            let list = path(&format!("usr/lib/modules/{release}/modules.devname")).expect("a path");
            modules.file(list, 0o644, text.as_bytes());
        }
        let tree = Tree::standalone([&modules], &MergePolicy::new()).expect("a tree");
        let layer = layer(&tree).expect("readable").expect("there are some");
        let tree = Tree::standalone([&layer], &MergePolicy::new()).expect("a tree");
        let text = tree.read(&path(LIST).expect("a path")).expect("there");
        let expected =
            "c! /dev/loop-control 0600 root root - 10:237\nc! /dev/net/tun 0600 root root - 10:200\n";
        assert_eq!(String::from_utf8(text).expect("text"), expected);
        assert!(super::layer(&tree).expect("readable").is_none());
    }
}
