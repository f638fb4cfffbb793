//! How much memory a tree may take: a build must not push a machine, or the group of processes it is in, to where
//! the kernel ends some of them.

use std::fs;
use std::path::{Component, Path};

/// A tree goes into memory only if this many of its size are available.
const ROOM: u64 = 3;

/// Says how many bytes of memory a tree of this size in bytes may take when it is configured, or that there is not
/// enough for it.
///
/// What is available is counted as `/proc/meminfo` and the memory controllers of both versions of control groups
/// have it; what they do not say limits nothing.
pub fn room_in_memory(size: u64) -> Option<u64> {
    most_of(available(Path::new("/"))?, size)
}

/// Says how much of what is available a tree may take; a third stays for the rest of the machine, whatever scripts
/// write.
fn most_of(available: u64, size: u64) -> Option<u64> {
    (available / ROOM >= size).then_some(available / ROOM * (ROOM - 1))
}

/// Gives the available bytes; nothing if the machine does not tell.
fn available(root: &Path) -> Option<u64> {
    let machine = number_after(&read(root, "proc/meminfo")?, "MemAvailable:")?.checked_mul(1024)?;
    let groups = read(root, "proc/self/cgroup").unwrap_or_default();
    let left = groups.lines().filter_map(|line| left_in_group(root, line)).min();
    Some(left.map_or(machine, |left| left.min(machine)))
}

/// Gives what the groups of one line of `/proc/self/cgroup` leave, and those that they are in; see cgroups(7).
fn left_in_group(root: &Path, line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, group) = rest.split_once(':')?;
    let version = VERSIONS.iter().find(|version| version.controllers == controllers)?;
    // In a container the path may be one of the machine's, and only the root of the mount is there.
    let group = Path::new(group.trim_start_matches('/'));
    let is_plain = group.components().all(|part| matches!(part, Component::Normal(_)));
    let groups = group.ancestors().filter(|_| is_plain).chain([Path::new("")]);
    let mounts = version.mounts.iter().map(|mount| root.join(mount));
    let places = mounts.flat_map(|mount| groups.clone().map(move |group| mount.join(group)));
    places.filter_map(|place| version.left(&place)).min()
}

/// Where a version of the memory controller keeps its figures.
struct Version {
    /// What `/proc/self/cgroup` calls it.
    controllers: &'static str,
    mounts: &'static [&'static str],
    limit: &'static str,
    usage: &'static str,
    /// The lines of `memory.stat` that say how much of the usage is given back when it is needed.
    cache: &'static str,
}

const VERSIONS: &[Version] = &[
    Version {
        controllers: "",
        mounts: &["sys/fs/cgroup", "sys/fs/cgroup/unified"],
        limit: "memory.max",
        usage: "memory.current",
        cache: "inactive_file ",
    },
    Version {
        controllers: "memory",
        mounts: &["sys/fs/cgroup/memory"],
        limit: "memory.limit_in_bytes",
        usage: "memory.usage_in_bytes",
        cache: "total_inactive_file ",
    },
];

impl Version {
    /// Gives what a group may still take; nothing if it has no limit that can be read.
    fn left(&self, place: &Path) -> Option<u64> {
        let number = |name: &str| read(place, name)?.trim().parse::<u64>().ok();
        let (limit, usage) = (number(self.limit)?, number(self.usage)?);
        let cache = read(place, "memory.stat").and_then(|text| number_after(&text, self.cache)).unwrap_or(0);
        Some(limit.saturating_sub(usage.saturating_sub(cache)))
    }
}

/// Gives the number behind a name that a line starts with.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn read(folder: &Path, name: &str) -> Option<String> {
    fs::read_to_string(folder.join(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n");

    /// What a machine with these files has available.
    fn available_with(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().expect("directory");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("directory");
            fs::write(path, text).expect("write");
        }
        available(root.path())
    }

    #[test]
    fn without_control_groups_it_is_what_the_machine_has() {
        assert_eq!(available_with(&[MACHINE]), Some(4_096_000));
        assert_eq!(available_with(&[]), None);
    }

    #[test]
    fn the_tightest_of_all_groups_around_counts_and_its_cache_is_room() {
        let group = "sys/fs/cgroup/outer/inner";
        let outer = "sys/fs/cgroup/outer";
        let files = [
            MACHINE,
            ("proc/self/cgroup", "0::/outer/inner\n"),
            (&format!("{group}/memory.max"), "max\n"),
            (&format!("{group}/memory.current"), "10\n"),
            (&format!("{outer}/memory.max"), "1000000\n"),
            (&format!("{outer}/memory.current"), "900000\n"),
            (&format!("{outer}/memory.stat"), "file 800000\ninactive_file 500000\n"),
        ];
        assert_eq!(available_with(&files), Some(600_000));
    }

    #[test]
    fn a_group_of_the_older_kind_counts_also_where_only_the_mount_shows_it() {
        for place in ["sys/fs/cgroup/memory/box", "sys/fs/cgroup/memory"] {
            let files = [
                MACHINE,
                ("proc/self/cgroup", "4:memory:/box\n1:cpu:/box\n"),
                (&format!("{place}/memory.limit_in_bytes"), "2000\n"),
                (&format!("{place}/memory.usage_in_bytes"), "500\n"),
            ];
            assert_eq!(available_with(&files), Some(1500), "{place}");
        }
    }

    #[test]
    fn a_tree_that_would_take_more_than_a_third_stays_on_the_disk() {
        assert_eq!(most_of(900, 301), None);
        assert_eq!(most_of(900, 300), Some(600));
    }
}
