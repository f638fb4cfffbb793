//! The few tests that boot a real image: what they share.
//!
//! The image is built once, by the program as a user would run it; each test boots a disposable copy of it, or
//! one whose writes are kept. Everything a test says to a guest goes over the agent's channel or the serial console.

mod stand_ins;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use agent_protocol::host::{Agent, AgentError, Output};
use agent_protocol::message::{BootReport, Outcome, Status};
use agent_protocol::seed;
use mkimage::boot::{self, AcceleratorChoice, Options};
use mkimage::build::Image;
use mkimage::guest::Brought;
use mkimage::programs;
use mkimage::tools::Choice;
use mkimage::ui::Verbosity;
use mkimage::world::World;
use mkimage_tree::{Layer, MergePolicy, Provenance, Tree, TreePath};
use qemu_machine::{Config, Exit, Machine};
use tempfile::TempDir;

/// What any single step in a guest may take on a quiet machine with KVM; stretched for slower ones. Generous:
/// it only bounds how long a broken guest is waited for.
pub const STEP: Duration = Duration::from_secs(100);

/// The password of root in the default image.
pub const PASSWORD: &str = "dinit";

/// The `mkimage` program, built from this checkout.
pub fn mkimage() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // Does nothing when `cargo test` has built it already.
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "-p", "mkimage"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(cargo.status().expect("cargo can be run").success(), "mkimage can be built");
        let test = std::env::current_exe().expect("a test knows where it is");
        let folder =
            test.ancestors().find(|folder| folder.join("mkimage").is_file()).expect("mkimage was built");
        folder.join("mkimage")
    })
}

/// The default image, built by the program into a folder of the tests.
pub fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| build("image", &[]))
}

/// The image with the packages that there are services for, from the manifest in `tests/packages`.
pub fn packages_image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/image.toml");
        build("packages-image", &["--locked", manifest])
    })
}

/// The image with the other variants of some of them, from the manifest in `tests/variants`.
pub fn variants_image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/variants/image.toml");
        build("variants-image", &["--locked", manifest])
    })
}

/// The image of eudev and sysklogd, from stand-ins for their packages and the default image's manifest.
pub fn stand_ins_image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rootfs/images");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/boot-tests/stand-ins");
        fs::create_dir_all(&folder).expect("a folder");
        stand_ins::write(&folder);
        let default = fs::read_to_string(images.join("base.toml")).expect("the default manifest");
        let manifest = default
            .replace("    \"inetutils-syslogd\",\n", "")
            .replace("name = \"base\"", "name = \"stand-ins\"")
            .replace("[packages]\n", "[packages]\nlocal = [\"*.deb\"]\n");
        fs::write(folder.join("image.toml"), manifest).expect("the folder is writable");
        // The other packages stay the same as far as they can.
        let lock = folder.join("image.lock");
        if !lock.exists() {
            fs::copy(images.join("base.lock"), lock).expect("the folder is writable");
        }
        let manifest = folder.join("image.toml");
        build("stand-ins-image", &[manifest.to_str().expect("UTF-8")])
    })
}

/// Builds an image into a folder of the tests.
fn build(name: &str, arguments: &[&str]) -> Image {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/boot-tests").join(name);
    let mut build = Command::new(mkimage());
    let output = build.arg("build").arg("--output").arg(&folder).args(arguments).output();
    let output = output.expect("mkimage can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Image::open(&folder).expect("mkimage has built an image")
}

/// What a test changes about the machine it boots.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Words for the kernel command line, besides the image's own.
    pub append: String,
    /// What is started: by default `boot` and the agent.
    pub start: Option<&'static str>,
    /// Whether the root file system is a copy that keeps what the guest writes.
    pub keep: bool,
    /// Whether there are debug shells; see [`Guest::debug_shell`].
    pub debug_shell: bool,
    /// Files that are in /run before dinit starts: paths below it, and texts; scripts can be run. Descriptions in `dinit.d` cover
    /// those of the image.
    pub seed: Vec<(&'static str, &'static str)>,
}

/// A running guest with an agent in it.
pub struct Guest {
    /// The machine.
    pub machine: Machine,
    /// The agent, once it is there.
    pub agent: Agent,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// Waits until no other guest of this program runs: two of them on few processors only slow each other down.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has ended its guest.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guest {
    /// Starts a machine with the default image.
    pub fn start(wishes: &Wishes, change: impl FnOnce(&mut Config)) -> Guest {
        Guest::start_image(image(), wishes, change)
    }

    /// Starts a machine with an image.
    pub fn start_image(image: &Image, wishes: &Wishes, change: impl FnOnce(&mut Config)) -> Guest {
        let turn = turn();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let brought = Brought { agent: true, debug_shell: wishes.debug_shell };
        let mut config = prepare(image, wishes, brought, folder.path());
        config.channels = vec![seed::PORT.to_owned()];
        if wishes.debug_shell {
            config.second_serial = Some(folder.path().join("debug-shell"));
        }
        change(&mut config);
        let mut machine = Machine::start(&config).expect("QEMU starts");
        let pulse = machine.pulse();
        let channel = machine.channel(seed::PORT).expect("a channel");
        let agent = Agent::new(channel, move || pulse.beat()).expect("an agent");
        Guest { machine, agent, folder, _turn: turn }
    }

    /// Waits until `boot` is started.
    pub fn must_boot(&mut self) -> BootReport {
        let limit = self.machine.scaled(STEP);
        let waited = self.agent.wait_ready(limit).and_then(|()| self.agent.wait_boot("boot", limit));
        let report = match waited {
            Ok(report) => report,
            Err(error) => panic!("{error}; {:?}\n{}", self.machine.failed(), self.console()),
        };
        assert_eq!(report.outcome, Outcome::Started, "{report:#?}\n{}", self.console());
        report
    }

    /// Runs shell commands as root and gives what they print; each must succeed, not only the last. (The shell lets
    /// pass what is negated: `! COMMAND || exit 1` unless it is the last.)
    pub fn run(&mut self, command: &str) -> String {
        let output = self.try_run(&format!("set -e\n{command}"));
        let (out, error) = (String::from_utf8_lossy(&output.out), String::from_utf8_lossy(&output.error));
        assert_eq!(
            output.status,
            Status::Exited(0),
            "`{command}` printed:\n{out}{error}\n{}",
            self.console()
        );
        out.into_owned()
    }

    /// Runs a shell command as root.
    pub fn try_run(&mut self, command: &str) -> Output {
        let limit = self.machine.scaled(STEP);
        match self.agent.shell(command, limit) {
            Ok(output) => output,
            Err(error) => panic!("`{command}`: {error}; {:?}\n{}", self.machine.failed(), self.console()),
        }
    }

    /// Writes a file in the guest.
    pub fn put(&mut self, path: &str, mode: u32, text: &str) {
        self.agent.put(path.as_bytes(), mode, text.as_bytes()).expect("the guest takes the file");
    }

    /// Waits for a text on the serial console.
    pub fn expect(&mut self, text: &str) -> String {
        let limit = self.machine.scaled(STEP);
        match self.machine.expect(text, limit) {
            Ok(before) => String::from_utf8_lossy(&before).into_owned(),
            Err(error) => panic!("{error}\n{}", self.console()),
        }
    }

    /// Types a line on the serial console.
    pub fn type_line(&mut self, line: &str) {
        self.machine.send(format!("{line}\n").as_bytes()).expect("the guest reads");
    }

    /// Waits for the machine's end, which must be a clean one.
    pub fn must_end(&mut self) -> Exit {
        let limit = self.machine.scaled(STEP);
        match self.machine.wait(limit) {
            Ok(exit) => {
                assert!(exit.is_clean(), "{exit}\n{}", self.console());
                exit
            }
            Err(error) => panic!("{error}\n{}", self.console()),
        }
    }

    /// Logs in as root on the serial console, where a login prompt stands or is about to.
    pub fn log_in(&mut self) {
        self.log_in_as("root", PASSWORD, "# ");
    }

    /// Logs in on the serial console, where a login prompt stands or is about to, and waits for a shell's prompt.
    pub fn log_in_as(&mut self, user: &str, password: &str, prompt: &str) {
        self.expect("login: ");
        self.type_line(user);
        self.expect("Password: ");
        self.type_line(password);
        self.expect(prompt);
    }

    /// Goes to the debug shell on the second serial port, which [`Wishes::debug_shell`] asks for.
    pub fn debug_shell(&self) -> DebugShell {
        let port = UnixStream::connect(self.folder.path().join("debug-shell")).expect("QEMU listens");
        port.set_read_timeout(Some(self.machine.scaled(STEP))).expect("a time limit");
        DebugShell { port, heard: Vec::new() }
    }

    /// Answers sulogin, whose question stands on the console or is about to, and waits for its shell.
    pub fn answer_sulogin(&mut self, answer: &str) {
        self.expect("to continue): ");
        self.type_until(answer, "# ");
    }

    /// Types a line until a text comes: what is typed before somebody listens is lost, and nothing shows when that is.
    pub fn type_until(&mut self, line: &str, text: &str) {
        let patience = self.machine.scaled(Duration::from_secs(5));
        for _ in 0..10 {
            self.type_line(line);
            if self.machine.expect(text, patience).is_ok() {
                return;
            }
        }
        panic!("no `{text}`\n{}", self.console());
    }

    /// Waits until `boot` is started after a reboot that the guest was told to do, or several of them.
    pub fn must_come_back(&mut self) {
        let limit = self.machine.scaled(STEP);
        let mut back = self.agent.wait_restarted(limit);
        loop {
            match back.and_then(|()| self.agent.wait_boot("boot", limit)) {
                Err(AgentError::Restarted) => back = Ok(()),
                Ok(report) => {
                    assert_eq!(report.outcome, Outcome::Started, "{report:#?}\n{}", self.console());
                    return;
                }
                Err(error) => panic!("{error}; {:?}\n{}", self.machine.failed(), self.console()),
            }
        }
    }

    /// The root file system that keeps what the guest writes.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root.ext4")
    }

    /// Everything that was on the console.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&self.machine.transcript()).into_owned()
    }
}

/// Starts a machine with the default image and no agent, whose channel costs a guest 8 MB; what it has to tell, it
/// tells on the console. The folder is the machine's; what is bound last is dropped first, which is to be the machine.
pub fn without_agent(
    wishes: &Wishes,
    change: impl FnOnce(&mut Config),
) -> (MutexGuard<'static, ()>, TempDir, Machine) {
    let turn = turn();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = prepare(image(), wishes, Brought { agent: false, debug_shell: false }, folder.path());
    change(&mut config);
    (turn, folder, Machine::start(&config).expect("QEMU starts"))
}

/// Describes the machine that is wished for. What goes into it is made in the folder.
fn prepare(image: &Image, wishes: &Wishes, brought: Brought, folder: &Path) -> Config {
    let world = World::new(Verbosity::Quiet, None).expect("a world");
    world.keep_others_out().expect("the cache can be locked");
    let programs = programs::run(&world).expect("our programs");
    let options = Options {
        memory: 512,
        processors: 2,
        append: wishes.append.clone(),
        init: None,
        debug_shell: boot::DebugShell::No,
        keep: wishes.keep,
        tools: Choice::Own,
        locking: mkimage::packages::Locking::AsNeeded,
        accelerator: AcceleratorChoice::Probe,
    };
    let mut config = boot::config(&world, image, &options).expect("a machine");
    world.let_others_in();
    if wishes.keep {
        let copy = folder.join("root.ext4");
        copy_sparse(&image.root(), &copy);
        config.disks[0].path = copy;
    }
    if brought.is_any() {
        config.initramfs.push(brought.archive(&programs, folder).expect("what is brought"));
    }
    if !wishes.seed.is_empty() {
        config.initramfs.push(seed_archive(&wishes.seed, folder));
    }
    let start = wishes.start.map_or_else(|| brought.command_line(&wishes.append), str::to_owned);
    config.command_line.push_str(&format!(" panic=-1 {start}"));
    config
}

/// A root shell on the guest's second serial port.
pub struct DebugShell {
    port: UnixStream,
    heard: Vec<u8>,
}

impl DebugShell {
    /// Runs a command, one line, that must succeed, and waits until it has. A shell that does not listen yet is asked
    /// again, so nothing may depend on how often the command is run.
    pub fn run(&mut self, command: &str) {
        let patience = self.port.read_timeout().expect("a time limit").unwrap_or(STEP);
        self.port.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit");
        let deadline = Instant::now() + patience;
        self.heard.clear();
        while Instant::now() < deadline {
            // The token is split, so that its echo does not match.
            self.port.write_all(format!("{command} && echo do\"\"ne\n").as_bytes()).expect("the guest reads");
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = self.port.read(&mut buffer) {
                self.heard.extend_from_slice(&buffer[..count]);
                if self.heard.windows(4).any(|four| four == b"done") {
                    self.port.set_read_timeout(Some(patience)).expect("a time limit");
                    return;
                }
            }
        }
        panic!("`{command}` in the debug shell: {}", String::from_utf8_lossy(&self.heard));
    }
}

/// A shell loop that waits until a command succeeds, and fails if it never does.
pub fn until(command: &str) -> String {
    format!("for i in $(seq 600); do {command} && exit 0; sleep 0.1; done; exit 1")
}

/// A command of the guest that succeeds once the service power-button reads a button. What is pressed before is lost.
pub const BUTTON_IS_READ: &str =
    "pgrep -x dinit-when | sed 's#.*#/proc/&/fd#' | xargs ls -l | grep -q /dev/input/event";

/// An archive behind the initramfs that brings files into /run.
fn seed_archive(files: &[(&str, &str)], folder: &Path) -> PathBuf {
    let run = Path::new(initramfs_config::RUN_SEED.trim_start_matches('/'));
    let mut layer = Layer::new(Provenance::Generated("seed of a test".into()));
    let at = |path: &Path| TreePath::new(path.to_str().expect("UTF-8")).expect("a path inside");
    for (name, text) in files {
        let file = run.join(name);
        let above: Vec<&Path> = file.ancestors().skip(1).filter(|it| !it.as_os_str().is_empty()).collect();
        for directory in above.into_iter().rev() {
            layer.directory(at(directory), 0o755);
        }
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        layer.file(at(&file), mode, text.as_bytes());
    }
    let tree = Tree::standalone([&layer], &MergePolicy::new()).expect("a tree");
    let archive = folder.join("seed.img");
    mkimage::build::write_initramfs(&tree, &archive, 0).expect("an archive");
    archive
}

/// Copies a file without filling its holes.
fn copy_sparse(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--sparse=always").args([from, to]).status().expect("cp can be run");
    assert!(status.success(), "cp has copied the image");
}

/// Whether an ext4 file system was unmounted properly: its superblock says clean, and its journal is empty.
pub fn is_clean(root: &Path) -> bool {
    use std::os::unix::fs::FileExt;
    const SUPERBLOCK: u64 = 1024;
    let file = std::fs::File::open(root).expect("the root file system can be opened");
    let mut state = [0; 2];
    let mut features = [0; 4];
    file.read_exact_at(&mut state, SUPERBLOCK + 58).expect("the superblock can be read");
    file.read_exact_at(&mut features, SUPERBLOCK + 96).expect("the superblock can be read");
    let needs_recovery = u32::from_le_bytes(features) & 4 != 0;
    u16::from_le_bytes(state) == 1 && !needs_recovery
}
