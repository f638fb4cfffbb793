//! Tests with packages made up for them, in a tree that has the shell of this machine.

use crate::world::{Place, World, options};
use crate::{Skipped, Test};
use mkimage_configure::{Class, Device, DeviceKind, Error, Options, Owner, PackageControl, configure};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
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
    a_file_that_two_packages_ship_gets_its_place_when_that_of_the_other_is_diverted,
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
    a_builder_that_is_killed_leaves_nothing_running_and_nothing_in_memory,
    what_is_in_memory_is_nowhere_else_and_shows_the_tree_alone,
    a_tree_that_outgrows_its_memory_is_an_error_and_not_the_end_of_the_machine,
    an_index_is_made_of_what_scripts_leave,
    an_index_that_cannot_be_made_at_first_is_made_when_all_is_configured,
    a_script_does_not_wait_for_the_hardware_database,
    a_needless_script_is_reported_and_not_run,
    a_kernel_without_its_modules_is_an_error,
    the_same_packages_give_the_same_bytes_in_any_place_and_for_any_user,
];

fn owner(uid: u32, gid: u32) -> Owner {
    Owner { uid, gid }
}

fn a_files_owner_follows_it_when_it_is_renamed_into_place() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let script = "touch /etc/new; chown 0:42 /etc/new; mv /etc/new /etc/secret; touch /etc/new\n\
                  mkdir /etc/dir; chgrp -h games /etc/dir; ln -s nowhere /etc/link; chown -h 5 /etc/link";
    world.package("one", "", &[("postinst", script)]);
    let configured = world.configure();
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
    let configured = world.configure();
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
    let configured = world.configure();
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
    let configured = world.configure();
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
    let configured = world.configure();
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
    let configured = world.configure();
    assert_eq!(configured.report.scripts[1].output, b"games:shadow 2755\n");
    assert_eq!(configured.ownership[b"/usr/bin/game".as_slice()], owner(5, 42));
    assert!(world.place("/usr/bin/tool.real").exists() && !world.place("/usr/bin/tool").exists());
    Ok(())
}

/// Adds two packages that ship the same file: `old`, and `new` with a `preinst`.
fn ship_twice(world: &mut World, preinst: &str, content: &str) {
    world.package("new", "Depends: old\n", &[("preinst", preinst), ("postinst", "cat /usr/bin/tool*")]);
    world.ship("./usr/bin/tool", owner(5, 0), 0o4755, content);
    world.let_wait("/usr/bin/tool.waits");
    world.package("old", "", &[]);
    world.ship("./usr/bin/tool", owner(0, 0), 0o755, "old");
}

fn a_file_that_two_packages_ship_gets_its_place_when_that_of_the_other_is_diverted() -> Result<(), Skipped> {
    let note = "printf '/usr/bin/tool\\n/usr/bin/tool.old\\nnew\\n' >> /var/lib/dpkg/diversions";
    // With `--rename` and without it, dpkg-divert leaves this behind.
    for preinst in [&format!("{note}\nmv /usr/bin/tool /usr/bin/tool.old"), note] {
        let mut world = World::new()?;
        ship_twice(&mut world, preinst, "new");
        // Whatever is diverted later, this is done.
        let later = "printf '/etc/x\\n/etc/y\\nlast\\n' >> /var/lib/dpkg/diversions";
        world.package("last", "Depends: new\n", &[("preinst", later)]);
        let configured = world.configure();
        let content = |path: &str| fs::read_to_string(world.place(path)).expect("it is there");
        assert_eq!((content("/usr/bin/tool"), content("/usr/bin/tool.old")), ("new".into(), "old".into()));
        assert!(!world.place("/usr/bin/tool.waits").exists());
        assert_eq!(configured.report.scripts[1].output, b"newold");
        assert_eq!(configured.ownership, BTreeMap::from([(b"/usr/bin/tool".to_vec(), owner(5, 0))]));
        assert_eq!(configured.modes, BTreeMap::from([(b"/usr/bin/tool".to_vec(), 0o4755)]));
    }

    // What somebody else has diverted has its place elsewhere.
    let mut world = World::new()?;
    ship_twice(&mut world, &note.replace("nnew", "nold"), "new");
    world.configure();
    assert_eq!(fs::read_to_string(world.place("/usr/bin/tool.old")).expect("it is there"), "new");

    let mut world = World::new()?;
    ship_twice(&mut world, "true", "old");
    world.configure();
    assert!(!world.place("/usr/bin/tool.waits").exists());

    let mut world = World::new()?;
    ship_twice(&mut world, "true", "new");
    let error = world.try_configure().expect_err("a conflict");
    let said =
        "`new` brings `/usr/bin/tool`, which another package has brought and no `preinst` has diverted";
    assert_eq!(error.to_string(), said);
    assert!(error.help().is_some());
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
    let places = [Place::Memory, Place::Disk];
    for (place, (what, script, attack)) in
        places.iter().flat_map(|place| ATTACKS.iter().map(move |attack| (*place, attack)))
    {
        let mut world = World::at(place)?;
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
        let _ = world.try_configure();
        assert_eq!(picture(&outside), before, "{what}, {place:?}");
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
        let error = world.try_configure().expect_err("an error").to_string();
        assert_eq!(error, "`/../tool` has `..` in it, which no path of a package may have");
    }
    Ok(())
}

fn a_failing_script_is_an_error_with_its_status_and_output() -> Result<(), Skipped> {
    let mut world = World::new()?;
    world.package("fine", "", &[("postinst", "true")]);
    world.package("one", "Depends: fine\n", &[("postinst", "echo said; echo cried >&2; exit 7")]);
    let error = world.try_configure().expect_err("an error");
    let text =
        "the postinst of `one` failed, exit status: 7 (called with `configure `); it printed:\nsaid\ncried";
    assert_eq!(error.to_string(), text);
    Ok(())
}

fn a_script_that_cannot_be_started_is_an_error() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let control = world.package("one", "", &[]);
    control.members.insert("postinst".to_owned(), b"#!/usr/bin/absent\n".to_vec());
    let error = world.try_configure().expect_err("an error").to_string();
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
    world.ship("./usr/share/one", owner(0, 0), 0o644, "text");
    world.configure();
    let status = fs::read_to_string(world.place("/var/lib/dpkg/status")).expect("read");
    let digest = "8407efe4e76e884909955a5e7293661e";
    let expected = format!(
        "\nConffiles:\n /etc/kept {digest}\n /etc/changed {digest}\n /etc/old newconffile remove-on-upgrade\n"
    );
    assert!(status.contains(&expected), "{status}");
    // The package brings no sums of its own, and dpkg --audit would miss them.
    let sums = fs::read_to_string(world.place("/var/lib/dpkg/info/one.md5sums")).expect("read");
    assert_eq!(sums, "1cb251ec0d568de6a929b520c4aed8d1  usr/share/one\n");
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
    world.configure();
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
    let configured = world.configure();
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
    let outside = world.folder().display().to_string();
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
    let configured = world.configure();
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
fn open_lifeline(path: &Path) -> fs::File {
    let mut lifeline = fs::File::open(path).expect("open");
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
    world.configure();
    drop(both);
    let mut rest = Vec::new();
    lifeline.read_to_end(&mut rest).expect("the end of all that held it");
    Ok(())
}

fn a_build_that_is_stopped_leaves_nothing_running() -> Result<(), Skipped> {
    let mut world = World::new()?;
    make_lifeline(&world.root());
    world.package("one", "", &[("postinst", HOLD)]);
    let path = world.place("/lifeline");
    let alive = std::thread::spawn(move || open_lifeline(&path));
    let error = world.configure_while(&mut || !alive.is_finished()).expect_err("stopped");
    assert!(matches!(error, Error::Cancelled), "{error}");
    let mut rest = Vec::new();
    alive.join().expect("alive").read_to_end(&mut rest).expect("the end of all that held it");
    assert_eq!(rest, b"");
    Ok(())
}

fn a_builder_that_is_killed_leaves_nothing_running_and_nothing_in_memory() -> Result<(), Skipped> {
    for place in [Place::Memory, Place::Disk] {
        let folder = tempfile::tempdir().expect("directory");
        let program = std::env::current_exe().expect("program");
        let mut builder = Command::new(program)
            .arg("--hold")
            .arg(folder.path())
            .arg(place.name())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start");
        let mut said = BufReader::new(builder.stdout.take().expect("output"));
        let mut root = String::new();
        said.read_line(&mut root).expect("read");
        let Some(root) = root.strip_prefix(AT) else {
            builder.wait().expect("wait");
            return Err(Skipped(root));
        };
        let lifeline = Path::new(root.trim_end()).join("lifeline");
        let (send, events) = std::sync::mpsc::channel();
        let send_alive = send.clone();
        std::thread::spawn(move || send_alive.send(Ok(open_lifeline(&lifeline))));
        // It says something more only if it cannot do what it should.
        std::thread::spawn(move || {
            let mut why = String::new();
            said.read_to_string(&mut why).expect("read");
            // Nobody listens any more after the builder was killed.
            let _ = send.send(Err(why));
        });
        let mut lifeline = match events.recv().expect("an event") {
            Ok(lifeline) => lifeline,
            Err(why) => panic!("{place:?}: {why}"),
        };
        builder.kill().expect("kill");
        builder.wait().expect("wait");
        let mut rest = Vec::new();
        lifeline.read_to_end(&mut rest).expect("the end of all that held it");
        assert_eq!(rest, b"");
        let left = fs::read_dir(folder.path()).expect("list").count();
        assert_eq!(left, usize::from(place == Place::Disk), "{place:?}");
    }
    Ok(())
}

/// What the builder of the test above says first, before the path of its tree.
const AT: &str = "at ";

/// What that builder does: it runs a script that never ends.
pub(crate) fn hold(folder: &Path, place: Place) -> Result<String, Skipped> {
    let (workspace, sandbox) = place.prepare(folder)?;
    make_lifeline(workspace.root());
    let own = format!("/proc/{}/", std::process::id());
    let root = workspace.root().display().to_string().replacen("/proc/self/", &own, 1);
    writeln!(io::stdout(), "{AT}{root}").expect("say");
    let mut control = PackageControl::default();
    control.members.insert("control".to_owned(), b"Package: one\nVersion: 1\nArchitecture: all\n".to_vec());
    control.members.insert("postinst".to_owned(), format!("#!/bin/sh\n{HOLD}\n").into_bytes());
    Ok(match configure(&workspace, sandbox, &[control], &options(), &mut |_| true) {
        Ok(_) => "it ended".to_owned(),
        Err(error) => error.to_string(),
    })
}

fn what_is_in_memory_is_nowhere_else_and_shows_the_tree_alone() -> Result<(), Skipped> {
    let mut world = World::new()?;
    world.package("one", "", &[("postinst", "echo text > /etc/new; test -e /dev/null; touch /run/lost")]);
    world.configure();
    assert_eq!(fs::read_to_string(world.place("/etc/new")).expect("read"), "text\n");
    for name in ["dev", "proc", "run", "tmp"] {
        assert_eq!(fs::read_dir(world.place(name)).expect("list").count(), 0, "{name}");
    }
    assert_eq!(fs::read_dir(world.folder()).expect("list").count(), 0);
    Ok(())
}

fn a_tree_that_outgrows_its_memory_is_an_error_and_not_the_end_of_the_machine() -> Result<(), Skipped> {
    let mut world = World::new()?;
    world.package("one", "", &[("postinst", "while :; do cat /usr/bin/* >> /etc/big; done")]);
    let error = world.try_configure().expect_err("full").to_string();
    assert!(error.contains("No space left on device"), "{error}");
    Ok(())
}

fn a_needless_script_is_reported_and_not_run() -> Result<(), Skipped> {
    let mut world = World::new()?;
    let script = "dpkg-maintscript-helper rm_conffile /etc/old 1 -- \"$@\"";
    world.package("one", "", &[("preinst", script)]);
    let configured = world.configure();
    assert!(matches!(configured.report.scripts[0].class, Class::Needless(_)));
    Ok(())
}

fn a_kernel_without_its_modules_is_an_error() -> Result<(), Skipped> {
    let world = World::new()?;
    let options = Options { kernel_release: Some("6.12".to_owned()), ..options() };
    let error = world.configure_with(&options, &mut || true).expect_err("no modules");
    assert_eq!(error.to_string(), "the tree has no modules for the kernel `6.12`");
    Ok(())
}

/// Puts into a tree a kernel with one module, and a depmod that copies what there is of both.
fn make_modules(world: &mut World, depmod: &str) {
    world.package("kmod", "", &[]);
    world.ship("./usr/lib/modules/6.12/kernel/disk.ko", owner(0, 0), 0o644, "disk\n");
    world.ship("./usr/sbin/depmod", owner(0, 0), 0o755, depmod);
}

/// A depmod that shows what it is made of.
const DEPMOD: &str = "#!/bin/sh\nset -e; test \"$1\" = -a; cd /usr/lib/modules/$2; umask 077\n\
                      cat kernel/* /etc/depmod.d/* > modules.dep 2>/dev/null || test ! -e /etc/depmod.d\n\
                      chown games modules.dep";

fn an_index_is_made_of_what_scripts_leave() -> Result<(), Skipped> {
    const INDEX: &str = "/usr/lib/modules/6.12/modules.dep";
    for (script, expected) in [
        ("true", "disk\n"),
        ("mkdir /etc/depmod.d; echo choice > /etc/depmod.d/one", "disk\nchoice\n"),
        ("echo net > /usr/lib/modules/6.12/kernel/net.ko", "disk\nnet\n"),
        ("echo DISK > /usr/lib/modules/6.12/kernel/disk.ko", "DISK\n"),
    ] {
        let mut world = World::new()?;
        make_modules(&mut world, DEPMOD);
        world.package("one", "", &[("postinst", script)]);
        let configured = world.configure();
        assert_eq!(fs::read_to_string(world.place(INDEX)).expect("read"), expected, "{script}");
        assert_eq!(configured.ownership[INDEX.as_bytes()], owner(5, 0));
        let last = configured.report.scripts.last().expect("a step");
        assert_eq!((last.script.as_str(), last.arguments.join(" ").as_str()), ("depmod", "-a 6.12"));
    }
    Ok(())
}

fn an_index_that_cannot_be_made_at_first_is_made_when_all_is_configured() -> Result<(), Skipped> {
    let depmod = "#!/bin/sh\ncat /etc/configured > /usr/lib/modules/$2/modules.dep";
    let mut world = World::new()?;
    make_modules(&mut world, depmod);
    world.package("one", "", &[("postinst", "echo now > /etc/configured")]);
    world.configure();
    assert_eq!(fs::read_to_string(world.place("/usr/lib/modules/6.12/modules.dep")).expect("read"), "now\n");

    let mut world = World::new()?;
    make_modules(&mut world, depmod);
    let error = world.try_configure().expect_err("no index").to_string();
    assert!(error.starts_with("the depmod of `kmod` failed, exit status: 1"), "{error}");
    Ok(())
}

fn a_script_does_not_wait_for_the_hardware_database() -> Result<(), Skipped> {
    let mut world = World::new()?;
    world.package("udev", "", &[("postinst", "systemd-hwdb --usr update; echo done")]);
    let program = "#!/bin/sh\necho indexing; echo \"$@\" >> /usr/lib/udev/hwdb.bin";
    world.ship("./usr/bin/systemd-hwdb", owner(0, 0), 0o755, program);
    world.ship("./usr/lib/udev/hwdb.d/one.hwdb", owner(0, 0), 0o644, "text");
    let configured = world.configure();
    let outputs: Vec<_> = configured.report.scripts.iter().map(|run| run.output.as_slice()).collect();
    assert_eq!(outputs, [b"done\n".as_slice(), b"indexing\n"]);
    assert_eq!(fs::read_to_string(world.place("/usr/lib/udev/hwdb.bin")).expect("read"), "--usr update\n");
    Ok(())
}

/// Builds a tree and gives all that is in it and known of it, times apart.
pub(crate) fn portrait(folder: &Path, place: Place) -> Result<String, Skipped> {
    let (workspace, sandbox) = place.prepare(folder)?;
    let root = workspace.root();
    let mut control = PackageControl::default();
    control.members.insert("control".to_owned(), b"Package: one\nVersion: 1\nArchitecture: all\n".to_vec());
    let script = "#!/bin/sh\nset -e\ntouch /etc/secret; chown 5:42 /etc/secret; chmod 4750 /etc/secret\n\
                  mknod /etc/node c 1 3; echo $SOURCE_DATE_EPOCH > /etc/date; mkdir -p /var/log; ls / > /var/log/dpkg.log";
    control.members.insert("postinst".to_owned(), script.as_bytes().to_vec());
    let configured = configure(&workspace, sandbox, &[control], &options(), &mut |_| true)
        .unwrap_or_else(|error| panic!("{error}"));
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

fn the_same_packages_give_the_same_bytes_in_any_place_and_for_any_user() -> Result<(), Skipped> {
    const NOBODY: u32 = 65534;
    let directory = tempfile::tempdir().expect("directory");
    let folder = |name: &str| {
        let folder = directory.path().join(name);
        fs::create_dir(&folder).expect("directory");
        folder
    };
    let first = portrait(&folder("first"), Place::Memory)?;
    assert!(
        first.contains("etc/date 100644 1750000000") && !first.contains("\nvar/log/dpkg.log "),
        "{first}"
    );
    assert_eq!(first, portrait(&folder("second"), Place::Disk)?);
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    for place in [Place::Memory, Place::Disk] {
        let theirs = folder(place.name());
        std::os::unix::fs::chown(&theirs, Some(NOBODY), Some(NOBODY)).expect("chown");
        // Where this program lies may be closed to others.
        let program = directory.path().join("program");
        fs::copy(std::env::current_exe().expect("program"), &program).expect("copy");
        let mut command = Command::new(&program);
        command.uid(NOBODY).gid(NOBODY).arg("--portrait").arg(theirs).arg(place.name());
        let output = command.output().expect("run");
        let third = String::from_utf8_lossy(&output.stdout);
        if let Some(why) = third.strip_prefix("skipped: ") {
            return Err(Skipped(format!("as another user: {why}")));
        }
        assert_eq!(first, third, "{place:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
