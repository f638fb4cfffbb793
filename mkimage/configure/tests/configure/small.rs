//! Tests with packages made up for them, in a tree that has the shell of this machine.

use crate::world::{World, build, options};
use crate::{Skipped, Test};
use mkimage_configure::{Class, Device, DeviceKind, Error, Owner, PackageControl, configure};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as Test)),*] };
}

/// The tests with their names.
pub(crate) const TESTS: &[(&str, Test)] = tests![
    a_files_owner_follows_it_when_it_is_renamed_into_place,
    a_program_that_replaces_a_file_finds_and_keeps_the_owner_it_had,
    set_id_bits_are_recorded_and_never_on_the_disk,
    a_device_is_recorded_and_a_pipe_is_made,
    what_a_script_gives_back_to_root_is_told,
    overrides_and_diversions_of_a_preinst_apply_to_what_is_unpacked_already,
    a_path_of_a_script_that_climbs_is_an_error_that_names_it,
    nothing_outside_of_the_tree_changes_whatever_scripts_leave_in_it,
    a_failing_script_is_an_error_with_its_status_and_output,
    a_script_that_cannot_be_started_is_an_error,
    a_configuration_file_is_known_by_what_its_package_ships,
    triggers_call_who_waits_after_all_are_configured,
    scripts_are_told_what_dpkg_tells_them,
    a_script_sees_no_network_no_other_processes_and_nothing_outside,
    what_a_script_leaves_running_is_ended,
    a_build_that_is_stopped_leaves_nothing_running,
    a_builder_that_is_killed_leaves_nothing_running,
    a_needless_script_is_reported_and_not_run,
    a_kernel_without_its_modules_is_an_error,
    the_same_packages_give_the_same_bytes_for_any_user,
];

fn owner(uid: u32, gid: u32) -> Owner {
    Owner { uid, gid }
}

fn a_files_owner_follows_it_when_it_is_renamed_into_place() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let script = "touch /etc/new; chown 0:42 /etc/new; mv /etc/new /etc/secret; touch /etc/new\n\
                  mkdir /etc/dir; chgrp -h games /etc/dir; ln -s nowhere /etc/link; chown -h 5 /etc/link";
    world.package("one", "", &[("postinst", script)]);
    let configured = world.configure()?;
    let expected = [("/etc/dir", owner(0, 60)), ("/etc/link", owner(5, 0)), ("/etc/secret", owner(0, 42))];
    let expected = expected.map(|(path, owner)| (path.as_bytes().to_vec(), owner));
    assert_eq!(configured.ownership, BTreeMap::from(expected));
    Ok(())
}

fn a_program_that_replaces_a_file_finds_and_keeps_the_owner_it_had() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let script = "stat -c '%u:%g %a' /etc/kept; cp -p /etc/kept /etc/kept.new; mv /etc/kept.new /etc/kept";
    world.package("one", "", &[("postinst", script)]);
    world.ship("./etc/kept", owner(5, 42), 0o2750, "text");
    let configured = world.configure()?;
    assert_eq!(configured.report.scripts[0].output, b"5:42 2750\n");
    assert_eq!(configured.ownership[b"/etc/kept".as_slice()], owner(5, 42));
    assert_eq!(configured.modes[b"/etc/kept".as_slice()], 0o2750);
    Ok(())
}

fn set_id_bits_are_recorded_and_never_on_the_disk() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let script = "touch /usr/bin/raised; chmod 6755 /usr/bin/raised\n\
                  chmod u-s /usr/bin/lowered\n\
                  chown games /usr/bin/given\n\
                  mkdir /var/lib/shared; chmod 2770 /var/lib/shared; chmod 0400 /etc/passwd";
    world.package("one", "", &[("postinst", script)]);
    for name in ["lowered", "given", "kept"] {
        world.ship(&format!("./usr/bin/{name}"), owner(0, 0), 0o4755, "program");
    }
    let configured = world.configure()?;
    let expected = [
        ("/etc/passwd", 0o400),
        ("/usr/bin/given", 0o755),
        ("/usr/bin/kept", 0o4755),
        ("/usr/bin/lowered", 0o755),
        ("/usr/bin/raised", 0o6755),
        ("/var/lib/shared", 0o2770),
    ];
    let expected = expected.map(|(path, mode)| (path.as_bytes().to_vec(), mode));
    assert_eq!(configured.modes, BTreeMap::from(expected));
    for path in configured.modes.keys() {
        let mode = fs::metadata(world.root().join(OsStr::from_bytes(&path[1..]))).expect("metadata").mode();
        assert_eq!(mode & 0o6000, 0);
        assert_eq!(mode & 0o600, 0o600);
    }
    Ok(())
}

fn a_device_is_recorded_and_a_pipe_is_made() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let script = "mkdir /srv; mknod -m 660 /srv/disk b 8 17; mknod /srv/line c 4 64; mkfifo /srv/pipe\n\
                  test -b /srv/disk; test -c /srv/line; chgrp games /srv/disk; mv /srv/disk /srv/moved\n\
                  stat -c '%t:%T' /srv/moved";
    world.package("one", "", &[("postinst", script)]);
    let configured = world.configure()?;
    assert_eq!(configured.report.scripts[0].output, b"8:11\n");
    let disk = Device { kind: DeviceKind::Block, major: 8, minor: 17 };
    let line = Device { kind: DeviceKind::Character, major: 4, minor: 64 };
    assert_eq!(
        configured.devices,
        BTreeMap::from([(b"/srv/line".to_vec(), line), (b"/srv/moved".to_vec(), disk)])
    );
    assert_eq!(configured.ownership[b"/srv/moved".as_slice()], owner(0, 60));
    let moved = fs::metadata(world.place("/srv/moved")).expect("metadata");
    assert!(moved.is_file() && moved.mode() & 0o777 == 0o660);
    assert!(fs::metadata(world.place("/srv/pipe")).expect("metadata").file_type().is_fifo());
    Ok(())
}

fn what_a_script_gives_back_to_root_is_told() -> Result<(), Skipped> {
    let mut world = World::new()?;
    world.package("one", "", &[("postinst", "chown root:root /etc/a; rm /etc/b /etc/c; touch /etc/b")]);
    for path in ["./etc/a", "./etc/b", "./etc/c", "./etc/d"] {
        world.ship(path, owner(5, 60), 0o644, "text");
    }
    let configured = world.configure()?;
    let expected = [("/etc/a", owner(0, 0)), ("/etc/b", owner(0, 0)), ("/etc/d", owner(5, 60))];
    let expected = expected.map(|(path, owner)| (path.as_bytes().to_vec(), owner));
    assert_eq!(configured.ownership, BTreeMap::from(expected));
    Ok(())
}

fn overrides_and_diversions_of_a_preinst_apply_to_what_is_unpacked_already() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let preinst = "echo 'games shadow 2755 /usr/bin/game' >> /var/lib/dpkg/statoverride\n\
                   printf '/usr/bin/tool\\n/usr/bin/tool.real\\none\\n' >> /var/lib/dpkg/diversions";
    world.package("one", "", &[("preinst", preinst), ("postinst", "stat -c '%U:%G %a' /usr/bin/game")]);
    world.ship("./usr/bin/game", owner(0, 0), 0o755, "program");
    world.package("two", "", &[]);
    world.ship("./usr/bin/tool", owner(0, 0), 0o755, "program");
    let configured = world.configure()?;
    assert_eq!(configured.report.scripts[1].output, b"games:shadow 2755\n");
    assert_eq!(configured.ownership[b"/usr/bin/game".as_slice()], owner(5, 42));
    assert!(world.place("/usr/bin/tool.real").exists() && !world.place("/usr/bin/tool").exists());
    Ok(())
}

fn nothing_outside_of_the_tree_changes_whatever_scripts_leave_in_it() -> Result<(), Skipped> {
    /// What is done, by which script, and that script, with `OUTSIDE` where a folder beside the tree is meant.
    const ATTACKS: &[(&str, &str, &str)] = &[
        (
            "a diversion that climbs",
            "preinst",
            "printf '/usr/bin/tool\\n/../outside/new\\none\\n' > /var/lib/dpkg/diversions",
        ),
        (
            "a diversion over a link",
            "preinst",
            "ln -s OUTSIDE /link; printf '/usr/bin/tool\\n/link/new\\none\\n' > /var/lib/dpkg/diversions",
        ),
        (
            "an override that climbs",
            "preinst",
            "echo 'root root 777 /../outside/file' > /var/lib/dpkg/statoverride",
        ),
        (
            "an override over a link",
            "preinst",
            "ln -s OUTSIDE /link; echo 'root root 777 /link/file' > /var/lib/dpkg/statoverride",
        ),
        ("a link that tidying meets", "postinst", "ln -s OUTSIDE /var/log; ln -s OUTSIDE /var/tmp"),
        (
            "a link in the place of the database",
            "postinst",
            "mv /var/lib/dpkg /gone; ln -s OUTSIDE /var/lib/dpkg",
        ),
        ("a link in the place of /etc", "postinst", "mv /etc /gone; ln -s OUTSIDE /etc"),
    ];
    for (what, script, attack) in ATTACKS {
        let mut world = World::new()?;
        let outside = world.root().with_file_name("outside");
        for name in ["apt", "triggers", "tmp.ci"] {
            fs::create_dir_all(outside.join(name)).expect("directory");
        }
        for name in
            ["file", "dpkg.log", "apt/history", "status-old", "machine-id", "tmp.ci/x", "triggers/Unincorp"]
        {
            fs::write(outside.join(name), "theirs").expect("write");
        }
        let before = picture(&outside);
        let attack = attack.replace("OUTSIDE", &outside.display().to_string());
        world.package("one", "", &[(script, &attack)]);
        world.package("two", "", &[("preinst", "true"), ("postinst", "true")]);
        world.ship("./usr/bin/tool", owner(0, 0), 0o755, "program");
        // Whether it is an error depends on what is left; what matters here is the outside.
        let _ = world.try_configure()?;
        assert_eq!(picture(&outside), before, "{what}");
    }
    Ok(())
}

/// Gives the names, modes and contents of all below a directory.
fn picture(directory: &Path) -> String {
    let mut lines = vec![format!("{:o}", fs::metadata(directory).expect("metadata").mode())];
    describe(directory, directory, &mut lines);
    lines.join("\n")
}

fn a_path_of_a_script_that_climbs_is_an_error_that_names_it() -> Result<(), Skipped> {
    for preinst in [
        "printf '/usr/bin/tool\\n/../tool\\none\\n' > /var/lib/dpkg/diversions",
        "echo 'root root 755 /../tool' > /var/lib/dpkg/statoverride",
    ] {
        let mut world = World::new()?;
        world.package("one", "", &[("preinst", preinst)]);
        let error = world.try_configure()?.expect_err("an error").to_string();
        assert_eq!(error, "`/../tool` has `..` in it, which no path of a package may have");
    }
    Ok(())
}

fn a_failing_script_is_an_error_with_its_status_and_output() -> Result<(), Skipped> {
    let mut world = World::new()?;
    world.package("fine", "", &[("postinst", "true")]);
    world.package("one", "Depends: fine\n", &[("postinst", "echo said; echo cried >&2; exit 7")]);
    let error = world.try_configure()?.expect_err("an error");
    let text =
        "the postinst of `one` failed, exit status: 7 (called with `configure `); it printed:\nsaid\ncried";
    assert_eq!(error.to_string(), text);
    Ok(())
}

fn a_script_that_cannot_be_started_is_an_error() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let control = world.package("one", "", &[]);
    control.members.insert("postinst".to_owned(), b"#!/usr/bin/absent\n".to_vec());
    let error = world.try_configure()?.expect_err("an error").to_string();
    assert!(error.starts_with("the postinst of `one` failed, it could not be started: "), "{error}");
    Ok(())
}

fn a_configuration_file_is_known_by_what_its_package_ships() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let list = "/etc/kept\n/etc/changed\nremove-on-upgrade /etc/old\n/etc/absent\n";
    let control = world.package("one", "", &[("conffiles", list)]);
    for path in ["./etc/kept", "etc/changed"] {
        assert!(control.is_conffile(path.as_bytes()));
        control.conffiles.insert(path.into(), b"shipped".to_vec());
    }
    assert!(!control.is_conffile(b"./etc/old") && !control.is_conffile(b"./etc"));
    world.ship("./etc/kept", owner(0, 0), 0o644, "shipped");
    world.ship("./etc/changed", owner(0, 0), 0o644, "the skeleton's");
    world.configure()?;
    let status = fs::read_to_string(world.place("/var/lib/dpkg/status")).expect("read");
    let digest = "8407efe4e76e884909955a5e7293661e";
    let expected = format!(
        "\nConffiles:\n /etc/kept {digest}\n /etc/changed {digest}\n /etc/old newconffile remove-on-upgrade\n"
    );
    assert!(status.contains(&expected), "{status}");
    Ok(())
}

fn triggers_call_who_waits_after_all_are_configured() -> Result<(), Skipped> {
    let mut world = World::new()?;
    world.package("bell", "", &[("postinst", "echo bell \"$@\" >> /log"), ("triggers", "interest ring\n")]);
    let ring = "echo ringer >> /log; echo 'ring ringer' >> /var/lib/dpkg/triggers/Unincorp";
    world.package("ringer", "Depends: bell\n", &[("postinst", ring)]);
    world.package(
        "shelf",
        "",
        &[("postinst", "echo shelf \"$@\" >> /log"), ("triggers", "interest-noawait /usr/books\n")],
    );
    world.package("tome", "Depends: shelf\n", &[]);
    world.ship("./usr/books/tome", owner(0, 0), 0o644, "text");
    world.configure()?;
    let log = fs::read_to_string(world.place("/log")).expect("read");
    assert_eq!(
        log,
        "bell configure \nringer\nshelf configure \nbell triggered ring\nshelf triggered /usr/books\n"
    );
    assert_eq!(fs::read(world.place("/var/lib/dpkg/triggers/Unincorp")).expect("read"), b"");
    Ok(())
}

fn scripts_are_told_what_dpkg_tells_them() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let script = "echo $0 $# $DPKG_MAINTSCRIPT_PACKAGE $DPKG_MAINTSCRIPT_NAME $DPKG_MAINTSCRIPT_ARCH \
                  $DEBIAN_FRONTEND ${DPKG_ROOT-unset} $(umask) $(readlink /proc/self/cwd)";
    let members = [("preinst", script), ("postinst", script), ("templates", "Template: t\n")];
    world.package("lib", "Multi-Arch: same\n", &members);
    let configured = world.configure()?;
    let output =
        |index: usize| String::from_utf8_lossy(&configured.report.scripts[index].output).into_owned();
    assert_eq!(output(0), "/var/lib/dpkg/tmp.ci/preinst 1 lib preinst all noninteractive 0022 /\n");
    assert_eq!(output(1), "/var/lib/dpkg/info/lib:all.postinst 2 lib postinst all noninteractive 0022 /\n");
    assert!(world.place("/var/lib/dpkg/info/lib:all.templates").exists());
    assert!(!world.place("/var/lib/dpkg/tmp.ci").exists());
    Ok(())
}

fn a_script_sees_no_network_no_other_processes_and_nothing_outside() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let outside = world.root().display().to_string();
    let script = format!(
        "id -u; id -g; test ! -e '{outside}'; test ! -e /sys/kernel\n\
         while read -r line; do case $line in *:*) echo \"${{line%%:*}}\";; esac; done < /proc/net/dev\n\
         for p in /proc/[0-9]*; do test \"$(cat $p/comm)\" != sh || continue; done; test ! -d /proc/100000\n\
         ls -d /proc/[0-9]* | while read -r p; do test ${{p#/proc/}} -lt 1000; done\n\
         if (echo pwned > /proc/sys/kernel/hostname) 2>/dev/null; then echo wrote a sysctl; fi\n\
         if (echo h > /proc/sysrq-trigger) 2>/dev/null; then echo wrote sysrq; fi\n\
         echo scratch > /run/file; echo scratch > /tmp/file; echo gone > /dev/null; sync"
    );
    world.package("one", "", &[("postinst", &script)]);
    let configured = world.configure()?;
    assert_eq!(String::from_utf8_lossy(&configured.report.scripts[0].output), "0\n0\nlo\n");
    for name in ["run", "tmp", "dev", "proc"] {
        assert_eq!(fs::read_dir(world.place(name)).expect("list").count(), 0, "{name}");
    }
    Ok(())
}

/// Makes a pipe in the tree that a script can hold open for as long as it lives.
fn make_lifeline(root: &Path) {
    nix::unistd::mkfifo(&root.join("lifeline"), nix::sys::stat::Mode::from_bits_truncate(0o600))
        .expect("pipe");
}

/// Waits until the script has the pipe open, and gives our end: it ends when everything in the sandbox has.
fn open_lifeline(root: &Path) -> fs::File {
    let mut lifeline = fs::File::open(root.join("lifeline")).expect("open");
    let mut word = [0; 6];
    lifeline.read_exact(&mut word).expect("read");
    assert_eq!(&word, b"alive\n");
    lifeline
}

/// Holds the pipe open for ever.
const HOLD: &str = "exec 9> /lifeline; echo alive >&9; sleep 1000000";

fn what_a_script_leaves_running_is_ended() -> Result<(), Skipped> {
    let mut world = World::new()?;
    make_lifeline(&world.root());
    world.package("one", "", &[("postinst", &format!("({HOLD}) > /dev/null 2>&1 & echo left"))]);
    // Opened for both directions, so that the script need not wait for us.
    let path = world.place("/lifeline");
    let both = fs::OpenOptions::new().read(true).write(true).open(&path).expect("open");
    let mut lifeline = fs::File::open(&path).expect("open");
    world.configure()?;
    drop(both);
    let mut rest = Vec::new();
    lifeline.read_to_end(&mut rest).expect("the end of all that held it");
    Ok(())
}

fn a_build_that_is_stopped_leaves_nothing_running() -> Result<(), Skipped> {
    let mut world = World::new()?;
    make_lifeline(&world.root());
    world.package("one", "", &[("postinst", HOLD)]);
    let root = world.root();
    let alive = std::thread::spawn(move || open_lifeline(&root));
    let error = match world.configure_while(&mut || !alive.is_finished()) {
        Ok(result) => result.expect_err("stopped"),
        Err(skipped) => {
            // Lets the thread go, which waits for a script that never comes.
            fs::OpenOptions::new().write(true).open(world.place("/lifeline")).expect("open");
            return Err(skipped);
        }
    };
    assert!(matches!(error, Error::Cancelled), "{error}");
    let mut rest = Vec::new();
    alive.join().expect("alive").read_to_end(&mut rest).expect("the end of all that held it");
    assert_eq!(rest, b"");
    Ok(())
}

fn a_builder_that_is_killed_leaves_nothing_running() -> Result<(), Skipped> {
    let world = World::new()?;
    make_lifeline(&world.root());
    let program = std::env::current_exe().expect("program");
    let mut builder =
        Command::new(program).arg("--hold").arg(world.root()).stdout(Stdio::piped()).spawn().expect("start");
    let (send, events) = std::sync::mpsc::channel();
    let (root, send_alive) = (world.root(), send.clone());
    std::thread::spawn(move || send_alive.send(Ok(open_lifeline(&root))));
    // It says something only if it cannot do what it should.
    let mut output = builder.stdout.take().expect("output");
    std::thread::spawn(move || {
        let mut said = String::new();
        output.read_to_string(&mut said).expect("read");
        // Nobody listens any more after the builder was killed.
        let _ = send.send(Err(said));
    });
    let mut lifeline = match events.recv().expect("an event") {
        Ok(lifeline) => lifeline,
        Err(said) => {
            builder.wait().expect("wait");
            return Err(Skipped(said));
        }
    };
    builder.kill().expect("kill");
    builder.wait().expect("wait");
    let mut rest = Vec::new();
    lifeline.read_to_end(&mut rest).expect("the end of all that held it");
    assert_eq!(rest, b"");
    Ok(())
}

/// What the builder of the test above runs: a script that never ends.
pub(crate) fn hold(root: &Path) -> String {
    let mut control = PackageControl::default();
    control.members.insert("control".to_owned(), b"Package: one\nVersion: 1\nArchitecture: all\n".to_vec());
    control.members.insert("postinst".to_owned(), format!("#!/bin/sh\n{HOLD}\n").into_bytes());
    match configure(root, &[control], &options(), &mut |_| true) {
        Ok(_) => "it ended".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn a_needless_script_is_reported_and_not_run() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let script = "dpkg-maintscript-helper rm_conffile /etc/old 1 -- \"$@\"";
    world.package("one", "", &[("preinst", script)]);
    let configured = world.configure()?;
    assert!(matches!(configured.report.scripts[0].class, Class::Needless(_)));
    Ok(())
}

fn a_kernel_without_its_modules_is_an_error() -> Result<(), Skipped> {
    let world = World::new()?;
    let options = mkimage_configure::Options { kernel_release: Some("6.12".to_owned()), ..options() };
    match configure(&world.root(), &[], &options, &mut |_| true) {
        Err(Error::NoNamespaces { cause }) => Err(Skipped(cause.to_string())),
        Err(error) => {
            assert_eq!(error.to_string(), "the tree has no modules for the kernel `6.12`");
            Ok(())
        }
        Ok(_) => panic!("a kernel without modules was accepted"),
    }
}

/// Builds a tree and gives all that is in it and known of it, times apart.
pub(crate) fn portrait(root: &Path) -> Result<String, Skipped> {
    build(root)?;
    let mut control = PackageControl::default();
    control.members.insert("control".to_owned(), b"Package: one\nVersion: 1\nArchitecture: all\n".to_vec());
    let script = "#!/bin/sh\nset -e\ntouch /etc/secret; chown 5:42 /etc/secret; chmod 4750 /etc/secret\n\
                  mknod /etc/node c 1 3; echo $SOURCE_DATE_EPOCH > /etc/date; mkdir -p /var/log; ls / > /var/log/dpkg.log";
    control.members.insert("postinst".to_owned(), script.as_bytes().to_vec());
    let configured = match configure(root, &[control], &options(), &mut |_| true) {
        Err(Error::NoNamespaces { cause }) => return Err(Skipped(cause.to_string())),
        result => result.unwrap_or_else(|error| panic!("{error}")),
    };
    let mut lines =
        vec![format!("{:?} {:?} {:?}", configured.ownership, configured.modes, configured.devices)];
    describe(root, root, &mut lines);
    Ok(lines.join("\n"))
}

fn describe(root: &Path, directory: &Path, lines: &mut Vec<String>) {
    let mut entries: Vec<_> =
        fs::read_dir(directory).expect("list").map(|entry| entry.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        let metadata = fs::symlink_metadata(&path).expect("metadata");
        let name = path.strip_prefix(root).expect("below").display();
        let is_tool = path.starts_with(root.join("usr/bin")) || name.to_string().starts_with("lib");
        let content =
            if metadata.is_file() && !is_tool { fs::read(&path).expect("read") } else { Vec::new() };
        lines.push(format!(
            "{name} {:o} {}",
            metadata.permissions().mode(),
            String::from_utf8_lossy(&content)
        ));
        if metadata.is_dir() {
            describe(root, &path, lines);
        }
    }
}

fn the_same_packages_give_the_same_bytes_for_any_user() -> Result<(), Skipped> {
    const NOBODY: u32 = 65534;
    let directory = tempfile::tempdir().expect("directory");
    let first = portrait(&directory.path().join("first"))?;
    assert!(
        first.contains("etc/date 100644 1750000000") && !first.contains("\nvar/log/dpkg.log "),
        "{first}"
    );
    let second = portrait(&directory.path().join("second"))?;
    assert_eq!(first, second);
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let theirs = directory.path().join("theirs");
    fs::create_dir(&theirs).expect("directory");
    std::os::unix::fs::chown(&theirs, Some(NOBODY), Some(NOBODY)).expect("chown");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    // Where this program lies may be closed to others.
    let program = theirs.join("program");
    fs::copy(std::env::current_exe().expect("program"), &program).expect("copy");
    let mut command = Command::new(&program);
    command.uid(NOBODY).gid(NOBODY).arg("--portrait").arg(theirs.join("root"));
    let output = command.output().expect("run");
    let third = String::from_utf8_lossy(&output.stdout);
    match third.strip_prefix("skipped: ") {
        Some(why) => Err(Skipped(format!("as another user: {why}"))),
        None => {
            assert_eq!(first, third, "{}", String::from_utf8_lossy(&output.stderr));
            Ok(())
        }
    }
}
