//! What will be done, decided before any of it is: a function from two texts to a list of steps.

use initramfs_config::{Config, Module};
use nix::mount::MsFlags;

use crate::cmdline::{Access, BadWord, Root, Wait, Wishes, read};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Mount a file system of the kernel.
    Mount(&'static EarlyMount),
    /// Mount one that a kernel may lack.
    MountIfPossible(&'static EarlyMount),
    /// Load a module.
    Load(Module),
    /// Lay what the initramfs brings for `/run` into it.
    SeedRun,
    /// Wait, because the person said so.
    Sleep { seconds: u32 },
    /// Wait until the root device is there; without `seconds` for ever.
    FindRoot { root: Root, seconds: Option<u32> },
    /// Mount the device that was found.
    MountRoot(RootMount),
    /// Carry the early mounts into the new root.
    MoveMounts,
    /// Delete the initramfs and make the new root the only one.
    EnterRoot,
    /// Become the first of these programs that can be run.
    Execute { programs: Vec<Vec<u8>> },
}

/// A file system of the kernel that everything after needs, and the new root too.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EarlyMount {
    pub(crate) kind: &'static str,
    pub(crate) place: &'static str,
    pub(crate) flags: MsFlags,
    pub(crate) data: &'static str,
}

const NO_PROGRAMS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);
const NO_DEVICES: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);
const NO_PROGRAMS_BUT_DEVICES: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC);

/// In the order in which they are mounted, and later moved.
pub(crate) const EARLY_MOUNTS: &[EarlyMount] = &[
    EarlyMount { kind: "proc", place: "/proc", flags: NO_PROGRAMS, data: "" },
    EarlyMount { kind: "sysfs", place: "/sys", flags: NO_PROGRAMS, data: "" },
    EarlyMount { kind: "devtmpfs", place: "/dev", flags: MsFlags::MS_NOSUID, data: "mode=0755" },
    EarlyMount { kind: "tmpfs", place: "/run", flags: NO_DEVICES, data: "mode=0755" },
];

/// What goes into those, and is carried along with them. The new root's own services mount these where they are
/// missing; a few calls here spare them to start a program for each.
const INNER_MOUNTS: &[EarlyMount] = &[
    EarlyMount { kind: "devpts", place: "/dev/pts", flags: NO_PROGRAMS_BUT_DEVICES, data: "gid=5,mode=0620" },
    EarlyMount { kind: "tmpfs", place: "/dev/shm", flags: NO_DEVICES, data: "mode=1777" },
    EarlyMount { kind: "cgroup2", place: "/sys/fs/cgroup", flags: NO_PROGRAMS, data: "" },
];

/// How the root is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootMount {
    /// The types to try; when there are none, what the superblock says.
    pub(crate) types: Vec<String>,
    /// The type to try when the superblock says nothing.
    pub(crate) default_type: Option<String>,
    pub(crate) flags: MsFlags,
    /// What is for the file system itself.
    pub(crate) data: String,
}

/// The steps before anything can be read.
pub(crate) fn early() -> Vec<Step> {
    let inner = INNER_MOUNTS.iter().map(Step::MountIfPossible);
    EARLY_MOUNTS.iter().map(Step::Mount).chain(inner).collect()
}

/// The steps after, from the kernel command line and the configuration.
pub(crate) fn plan(command_line: &[u8], config: &Config) -> Result<Vec<Step>, BadWord> {
    let wishes = read(command_line)?;
    let mut steps: Vec<Step> = config.modules.iter().cloned().map(Step::Load).collect();
    steps.push(Step::SeedRun);
    if wishes.delay > 0 {
        steps.push(Step::Sleep { seconds: wishes.delay });
    }
    let seconds = match wishes.wait {
        Wait::Configured => Some(config.root_wait),
        Wait::Seconds(seconds) => Some(seconds),
        Wait::ForEver => None,
    };
    steps.push(Step::FindRoot { root: wishes.root.clone(), seconds });
    steps.push(Step::MountRoot(root_mount(&wishes, config)));
    steps.push(Step::MoveMounts);
    steps.push(Step::EnterRoot);
    steps.push(Step::Execute { programs: programs(&wishes, config) });
    Ok(steps)
}

/// Options of a mount that are flags of the system call, as mount(8) writes them.
const FLAG_OPTIONS: &[(&str, MsFlags)] = &[
    ("nosuid", MsFlags::MS_NOSUID),
    ("nodev", MsFlags::MS_NODEV),
    ("noexec", MsFlags::MS_NOEXEC),
    ("sync", MsFlags::MS_SYNCHRONOUS),
    ("dirsync", MsFlags::MS_DIRSYNC),
    ("noatime", MsFlags::MS_NOATIME),
    ("nodiratime", MsFlags::MS_NODIRATIME),
    ("relatime", MsFlags::MS_RELATIME),
    ("strictatime", MsFlags::MS_STRICTATIME),
    ("lazytime", MsFlags::MS_LAZYTIME),
];

fn root_mount(wishes: &Wishes, config: &Config) -> RootMount {
    let mut flags = match wishes.access {
        Access::ReadOnly => MsFlags::MS_RDONLY,
        Access::ReadWrite => MsFlags::empty(),
    };
    let mut data = Vec::new();
    for option in wishes.flags.split(',').filter(|option| !option.is_empty()) {
        match FLAG_OPTIONS.iter().find(|(name, _)| *name == option) {
            Some((_, flag)) => flags |= *flag,
            None => data.push(option),
        }
    }
    let data = data.join(",");
    RootMount { types: wishes.types.clone(), default_type: config.root_type.clone(), flags, data }
}

/// With `init=` that program alone, as the kernel does: who names one does not want another.
fn programs(wishes: &Wishes, config: &Config) -> Vec<Vec<u8>> {
    if let Some(init) = &wishes.init {
        return vec![init.clone()];
    }
    let mut programs = vec![config.init.clone().into_bytes()];
    if config.init != initramfs_config::DEFAULT_INIT {
        programs.push(initramfs_config::DEFAULT_INIT.into());
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line a step, as a person would tell it.
    fn told(command_line: &str, config: &Config) -> String {
        let steps = plan(command_line.as_bytes(), config).expect("valid");
        steps.iter().map(|step| format!("{step:?}\n")).collect()
    }

    #[test]
    fn the_shortest_command_line_waits_mounts_read_only_and_runs_init() {
        let expected = r#"SeedRun
FindRoot { root: Device([118, 100, 97]), seconds: Some(30) }
MountRoot(RootMount { types: [], default_type: None, flags: MsFlags(MS_RDONLY), data: "" })
MoveMounts
EnterRoot
Execute { programs: [[47, 115, 98, 105, 110, 47, 105, 110, 105, 116]] }
"#;
        assert_eq!(told("root=/dev/vda", &Config::default()), expected);
    }

    #[test]
    fn the_configuration_gives_modules_type_wait_and_init() {
        let text = "module /a.ko.xz\nmodule /b.ko x=1\nroot-type erofs\nroot-wait 5\ninit /d\n";
        let config = initramfs_config::parse(text).expect("valid");
        let expected = r#"Load(Module { path: "/a.ko.xz", parameters: "" })
Load(Module { path: "/b.ko", parameters: "x=1" })
SeedRun
FindRoot { root: Tag(Uuid, [120]), seconds: Some(5) }
MountRoot(RootMount { types: [], default_type: Some("erofs"), flags: MsFlags(MS_RDONLY), data: "" })
MoveMounts
EnterRoot
Execute { programs: [[47, 100], [47, 115, 98, 105, 110, 47, 105, 110, 105, 116]] }
"#;
        assert_eq!(told("root=UUID=x", &config), expected);
    }

    #[test]
    fn the_command_line_overrides_the_configuration() {
        let config = initramfs_config::parse("root-type erofs\nroot-wait 5\ninit /d\n").expect("valid");
        let line = "root=8:1 rw rootfstype=ext4,xfs rootflags=noatime,data=ordered,nodev,x rootwait rootdelay=3 init=/e";
        let expected = r#"SeedRun
Sleep { seconds: 3 }
FindRoot { root: Numbers([56, 58, 49]), seconds: None }
MountRoot(RootMount { types: ["ext4", "xfs"], default_type: Some("erofs"), flags: MsFlags(MS_NODEV | MS_NOATIME), data: "data=ordered,x" })
MoveMounts
EnterRoot
Execute { programs: [[47, 101]] }
"#;
        assert_eq!(told(line, &config), expected);
    }

    #[test]
    fn a_bad_word_stops_the_plan_before_anything_is_done() {
        assert!(plan(b"quiet", &Config::default()).is_err());
    }

    #[test]
    fn the_early_mounts_allow_no_more_than_needed() {
        let told: String = early().iter().map(|step| format!("{step:?}\n")).collect();
        let expected = r#"Mount(EarlyMount { kind: "proc", place: "/proc", flags: MsFlags(MS_NOSUID | MS_NODEV | MS_NOEXEC), data: "" })
Mount(EarlyMount { kind: "sysfs", place: "/sys", flags: MsFlags(MS_NOSUID | MS_NODEV | MS_NOEXEC), data: "" })
Mount(EarlyMount { kind: "devtmpfs", place: "/dev", flags: MsFlags(MS_NOSUID), data: "mode=0755" })
Mount(EarlyMount { kind: "tmpfs", place: "/run", flags: MsFlags(MS_NOSUID | MS_NODEV), data: "mode=0755" })
MountIfPossible(EarlyMount { kind: "devpts", place: "/dev/pts", flags: MsFlags(MS_NOSUID | MS_NOEXEC), data: "gid=5,mode=0620" })
MountIfPossible(EarlyMount { kind: "tmpfs", place: "/dev/shm", flags: MsFlags(MS_NOSUID | MS_NODEV), data: "mode=1777" })
MountIfPossible(EarlyMount { kind: "cgroup2", place: "/sys/fs/cgroup", flags: MsFlags(MS_NOSUID | MS_NODEV | MS_NOEXEC), data: "" })
"#;
        assert_eq!(told, expected);
    }
}
