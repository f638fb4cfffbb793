//! Stand-ins for packages that the archive does not have, made of those that it has, for a manifest's `local`.
//!
//! They have the names, relations, scripts and places of files of the real ones, and refuse options that the manuals of
//! the real ones do not have; what does the work behind that is Debian's own udev and syslogd.

use std::fs::{self, File};
use std::path::Path;

use mkimage::manifest::Manifest;
use mkimage::packages::{self, Locking};
use mkimage::ui::Verbosity;
use mkimage::world::World;
use mkimage_archive::fixture;
use tar::{Builder, EntryType, Header};

/// Where the programs are that do the work.
const WORKERS: &str = "./usr/lib/stand-in/";

const EUDEV: &str = "\
Package: eudev
Version: 1:3.2.14-2
Architecture: amd64
Multi-Arch: foreign
Maintainer: Nobody <nobody@example.org>
Pre-Depends: debconf (>= 0.5) | debconf-2.0
Depends: libblkid1, libc6, libkmod2, libsystemd-shared, adduser, libeudev1 (= 1:3.2.14-2), lsb-base (>= 3.0-6), \
util-linux (>= 2.27.1), procps
Provides: udev (= 1:3.2.14-2)
Conflicts: udev, hal
Replaces: udev
Description: stand-in for the device manager eudev
";

const LIBEUDEV: &str = "\
Package: libeudev1
Version: 1:3.2.14-2
Architecture: amd64
Multi-Arch: same
Maintainer: Nobody <nobody@example.org>
Depends: libc6
Provides: libudev1 (= 1:3.2.14-2)
Conflicts: libudev1
Replaces: libudev1
Description: stand-in for eudev's library
";

const SYSLOGD: &str = "\
Package: syslogd
Version: 2.7.2-1
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Depends: libc6, lsb-base (>= 3.0-6)
Provides: syslogd, linux-kernel-log-daemon, system-log-daemon
Conflicts: syslogd, linux-kernel-log-daemon, system-log-daemon
Description: stand-in for the system log sysklogd
";

const EUDEV_PREINST: &str = "\
#!/bin/sh -e
. /usr/share/debconf/confmodule
[ \"$1\" = install ] || exit 1
";

const EUDEV_POSTINST: &str = "\
#!/bin/sh -e
if [ \"$1\" = triggered ]; then
    udevadm hwdb --update --usr || true
    exit 0
fi
[ \"$1\" = configure ] || exit 1
udevadm hwdb --update --usr || true
addgroup --quiet --system input
if [ \"$(stat -c %d/%i /)\" = \"$(stat -Lc %d/%i /proc/1/root)\" ]; then
    for interface in /sys/class/net/*; do udevadm test --action=add \"$interface\" > /dev/null || true; done
    invoke-rc.d udev start
    kill -HUP 1
fi
if [ -x /etc/init.d/eudev ]; then update-rc.d eudev defaults > /dev/null || exit 1; fi
";

const SYSLOGD_POSTINST: &str = "\
#!/bin/sh
set -e
[ \"$1\" = configure ] || exit 0
if deb-systemd-helper --quiet was-enabled syslogd.service; then
    deb-systemd-helper enable syslogd.service > /dev/null || true
fi
if [ -x /etc/init.d/syslogd ]; then
    update-rc.d syslogd defaults > /dev/null
    invoke-rc.d syslogd start || exit 1
fi
";

/// As eudev's udevd(8) has them.
const UDEVD: &str = "\
#!/bin/sh
for option do
    case $option in
        --daemon | --debug | --children-max=* | --exec-delay=* | --event-timeout=* | --resolve-names=*) ;;
        *) echo \"udevd: unrecognized option '$option'\" >&2; exit 1 ;;
    esac
done
unset NOTIFY_SOCKET
exec /usr/lib/stand-in/udevd \"$@\"
";

/// As eudev's udevadm(8) has them.
const UDEVADM: &str = "\
#!/bin/sh
match='--subsystem-match --subsystem-nomatch --attr-match --attr-nomatch --property-match --tag-match'
case ${1:-} in
    info) known='--query --path --name --root --attribute-walk --export --export-db --cleanup-db' ;;
    trigger) known=\"--verbose --dry-run --type --action $match --sysname-match --name-match --parent-match\" ;;
    settle) known='--timeout --exit-if-exists' ;;
    control) known='--exit --log-priority --stop-exec-queue --start-exec-queue --reload --property --children-max --timeout' ;;
    monitor) known='--kernel --udev --property --subsystem-match --tag-match' ;;
    hwdb) known='--update --usr --test --root --output' ;;
    test | test-builtin) known='--action --resolve-names' ;;
    *) echo 'udevadm: missing or unknown command' >&2; exit 2 ;;
esac
for option do
    case $option in -*) ;; *) continue ;; esac
    case \" $known \" in
        *\" ${option%%=*} \"*) ;;
        *) echo \"udevadm: unrecognized option '$option'\" >&2; exit 2 ;;
    esac
done
exec /usr/lib/stand-in/udevadm \"$@\"
";

/// As sysklogd's syslogd(8) has them. In the background it would be lost.
const SYSLOGD_PROGRAM: &str = "\
#!/bin/sh
foreground=
while getopts 468AcdFHKknsTtva:b:C:f:m:P:p:r: option; do
    case $option in
        F) foreground=yes ;;
        '?') exit 1 ;;
    esac
done
[ -n \"$foreground\" ] || { /usr/lib/stand-in/syslogd -n & exit 0; }
exec /usr/lib/stand-in/syslogd -n
";

const SYSLOG_CONF: &str = "\
auth,authpriv.* /var/log/auth.log
*.*;auth,authpriv.none -/var/log/syslog
kern.* -/var/log/kern.log
*.=emerg *
";

/// What an init script of another init says; nobody runs it.
const INIT_SCRIPT: &str = "#!/bin/sh\nexit 1\n";

/// Writes the packages `eudev`, `libeudev1` and `syslogd` into a folder. They change only when what they are made of
/// does.
pub(crate) fn write(folder: &Path) {
    let world = World::new(Verbosity::Quiet, None).expect("a world");
    world.keep_others_out().expect("the cache can be locked");
    let path = world.data.default_manifest();
    let text = fs::read_to_string(&path).expect("the default manifest is readable");
    let manifest = Manifest::parse(&path, text).expect("a manifest");
    let (lock, _) = packages::lock(&world, &manifest, Locking::AsNeeded).expect("a lock");
    let (_, packages) = packages::packages(&world, &manifest, lock, Locking::AsNeeded).expect("packages");
    world.let_others_in();
    let files = |name: &str| {
        let package = packages.iter().find(|package| package.name == name).expect("a package of the image");
        File::open(&package.data).expect("a package in the cache")
    };

    let mut eudev = Deb::new(EUDEV, EUDEV_POSTINST);
    append(&mut eudev.control, "./preinst", 0o755, EUDEV_PREINST.as_bytes());
    append(&mut eudev.control, "./triggers", 0o644, b"interest-noawait /lib/udev/hwdb.d\n");
    append(&mut eudev.control, "./conffiles", 0o644, b"/etc/init.d/eudev\n/etc/udev/udev.conf\n");
    eudev.take(files("udev"), |path| match path {
        "./usr/bin/udevadm" => Some(format!("{WORKERS}udevadm")),
        // One of many, because an index of all takes long to make.
        "./usr/lib/udev/hwdb.d/70-mouse.hwdb" | "./etc/udev/udev.conf" => Some(path.replace("./usr/", "./")),
        _ if path.contains("/hwdb.d/") => None,
        _ => path.strip_prefix("./usr/lib/udev/").map(|rest| format!("./lib/udev/{rest}")),
    });
    eudev.link(&format!("{WORKERS}udevd"), "udevadm");
    eudev.file("./sbin/udevd", 0o755, UDEVD.as_bytes());
    eudev.file("./bin/udevadm", 0o755, UDEVADM.as_bytes());
    eudev.file("./etc/init.d/eudev", 0o755, INIT_SCRIPT.as_bytes());
    eudev.write(&folder.join("eudev.deb"));

    let mut library = Deb::new(LIBEUDEV, "");
    library.take(files("libudev1"), |path| {
        path.strip_prefix("./usr/lib/x86_64-linux-gnu/").map(|rest| format!("./lib/x86_64-linux-gnu/{rest}"))
    });
    library.write(&folder.join("libeudev1.deb"));

    let mut syslogd = Deb::new(SYSLOGD, SYSLOGD_POSTINST);
    append(&mut syslogd.control, "./conffiles", 0o644, b"/etc/init.d/syslogd\n/etc/syslog.conf\n");
    syslogd.take(files("inetutils-syslogd"), |path| {
        (path == "./usr/sbin/syslogd").then(|| format!("{WORKERS}syslogd"))
    });
    syslogd.file("./usr/sbin/syslogd", 0o755, SYSLOGD_PROGRAM.as_bytes());
    syslogd.file("./etc/syslog.conf", 0o644, SYSLOG_CONF.as_bytes());
    syslogd.file("./etc/init.d/syslogd", 0o755, INIT_SCRIPT.as_bytes());
    syslogd.write(&folder.join("syslogd.deb"));
}

/// A package in the making.
struct Deb {
    control: Builder<Vec<u8>>,
    data: Builder<Vec<u8>>,
    folders: Vec<String>,
}

impl Deb {
    fn new(control: &str, postinst: &str) -> Self {
        let mut deb =
            Self { control: Builder::new(Vec::new()), data: Builder::new(Vec::new()), folders: Vec::new() };
        append(&mut deb.control, "./control", 0o644, control.as_bytes());
        if !postinst.is_empty() {
            append(&mut deb.control, "./postinst", 0o755, postinst.as_bytes());
        }
        deb
    }

    /// Takes files and links of another package, at the paths that `place` gives them.
    fn take(&mut self, data: File, place: impl Fn(&str) -> Option<String>) {
        let mut archive = tar::Archive::new(data);
        for entry in archive.entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").to_str().expect("UTF-8").to_owned();
            let Some(path) = place(&path).filter(|path| !path.ends_with('/')) else { continue };
            self.folders_of(&path);
            let mut header = entry.header().clone();
            if let Some(target) = entry.link_name().expect("a target") {
                self.data.append_link(&mut header, path, &target).expect("appended");
            } else if header.entry_type() == EntryType::Regular {
                self.data.append_data(&mut header, path, &mut entry).expect("appended");
            }
        }
    }

    fn file(&mut self, path: &str, mode: u32, text: &[u8]) {
        self.folders_of(path);
        append(&mut self.data, path, mode, text);
    }

    fn link(&mut self, path: &str, target: &str) {
        self.folders_of(path);
        let mut header = header(EntryType::Symlink, 0o777, 0);
        self.data.append_link(&mut header, path, target).expect("appended");
    }

    /// The folders that lead to a path, each once.
    fn folders_of(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            let folder = path[..=end].to_owned();
            if !self.folders.contains(&folder) {
                let mut header = header(EntryType::Directory, 0o755, 0);
                self.data.append_data(&mut header, &folder, &[][..]).expect("appended");
                self.folders.push(folder);
            }
        }
    }

    fn write(self, path: &Path) {
        let control = self.control.into_inner().expect("an archive in memory");
        let data = self.data.into_inner().expect("an archive in memory");
        fs::write(path, fixture::deb_of(control, data)).expect("the folder is writable");
    }
}

fn append(builder: &mut Builder<Vec<u8>>, path: &str, mode: u32, text: &[u8]) {
    let mut header = header(EntryType::Regular, mode, text.len() as u64);
    builder.append_data(&mut header, path, text).expect("appended");
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}
