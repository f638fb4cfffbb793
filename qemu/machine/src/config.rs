//! The machine as a value: what is wanted, before anything runs. [`arguments`] turns it into QEMU's command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::program::{Program, Version};

/// A machine to start; made with [`Config::new`], then changed field by field.
#[derive(Debug, Clone)]
pub struct Config {
    /// How QEMU is run.
    pub program: Program,
    /// The version of that QEMU, see [`Program::version`]; older ones need work-arounds.
    pub version: Version,
    /// What executes the guest's instructions.
    pub accelerator: Accelerator,
    /// Memory of the guest in MiB.
    pub memory: u32,
    /// Number of processors of the guest.
    pub processors: u32,
    /// The kernel image (`bzImage`).
    pub kernel: PathBuf,
    /// Initramfs archives; several are laid one behind the other, later files replacing earlier ones.
    pub initramfs: Vec<PathBuf>,
    /// The kernel command line, without `console=`, which is `ttyS0` for the console of this crate, and
    /// `no_timer_check`, which QEMU's translator needs on a busy host.
    pub command_line: String,
    /// Disks, on virtio-blk in this order: `/dev/vda`, `/dev/vdb`, …
    pub disks: Vec<Disk>,
    /// The guest's network.
    pub network: Network,
    /// What a reboot by the guest does.
    pub on_reboot: OnReboot,
    /// Names of the virtio-serial ports; each is reached with [`Machine::channel`](crate::Machine::channel).
    pub channels: Vec<String>,
    /// A second serial port, `ttyS1`: the socket on which QEMU listens for whoever wants to use it, one at a time.
    /// What the guest says while nobody is there is lost. A socket that is there already is replaced.
    pub second_serial: Option<PathBuf>,
    /// Whether there is a VGA display, which a screendump needs.
    pub display: Display,
    /// Console texts that mean the guest has failed.
    pub failures: Vec<FailureText>,
    /// For how long both the console and [`Pulse`](crate::Pulse) may be silent; `None` is for ever. Time in which
    /// QEMU waits for a processor or a disk of a busy host does not count.
    pub silence: Option<Duration>,
    /// Set by whoever wants the machine to end: QEMU is killed, and every wait fails with
    /// [`Failure::Interrupted`](crate::Failure::Interrupted).
    pub cancelled: Arc<AtomicBool>,
}

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's translator, one host thread a guest processor.
    Tcg,
    /// QEMU's translator with a virtual clock that counts instructions: steady guest times on a loaded host.
    ///
    /// One processor only; each instruction takes 2^shift nanoseconds.
    TcgCounting {
        /// The exponent.
        shift: u8,
    },
}

impl Accelerator {
    /// Stretches a time limit that is generous on a quiet machine with KVM to one fit for this accelerator.
    pub fn scaled(self, limit: Duration) -> Duration {
        match self {
            Accelerator::Kvm => limit,
            Accelerator::Tcg | Accelerator::TcgCounting { .. } => limit * 6,
        }
    }
}

/// A disk of the guest.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The raw image, or a block device.
    pub path: PathBuf,
    /// Where the guest's writes go.
    pub writes: Writes,
}

/// Where the guest's writes to a disk go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Into the image.
    Kept,
    /// Into a temporary file that is gone with the machine; the image is never changed.
    Dropped,
    /// Nowhere: the guest sees a read-only disk.
    Refused,
}

/// The guest's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// No network card.
    None,
    /// A virtio-net card on QEMU's own user-mode network: out, but not in.
    User,
}

/// What a reboot by the guest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnReboot {
    /// The machine starts again.
    Restart,
    /// QEMU ends; also what turns a kernel panic with `panic=-1` into an end.
    End,
}

/// Whether there is a VGA display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Display {
    /// None.
    None,
    /// A VGA card that nobody looks at but a screendump.
    Vga,
}

/// A text on the console that means the guest has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureText {
    /// The text, found anywhere in the output.
    pub text: String,
    /// What it means, in lower case, such as `the kernel panicked`.
    pub meaning: String,
    /// A word of the kernel command line that asks for just this; with it the text is no failure.
    pub wanted_with: Option<String>,
}

impl FailureText {
    /// Makes one of a text and its meaning.
    pub fn new(text: &str, meaning: &str) -> FailureText {
        FailureText { text: text.to_owned(), meaning: meaning.to_owned(), wanted_with: None }
    }

    /// Makes it no failure on machines whose kernel command line has a word.
    pub fn unless(self, word: &str) -> FailureText {
        FailureText { wanted_with: Some(word.to_owned()), ..self }
    }

    /// Says what Linux, dinit, its services and its initramfs print when they cannot go on, and sulogin(8) when it
    /// asks a person to help.
    pub fn usual() -> Vec<FailureText> {
        vec![
            FailureText::new("initramfs: cannot ", "the initramfs could not enter the root file system"),
            FailureText::new("Kernel panic", "the kernel panicked"),
            FailureText::new("Choose: (r)eboot", "the boot failed and the recovery prompt waits"),
            FailureText::new("fscheck: errors remain on the root ", "the root needs repair by hand"),
            // sulogin(8) of util-linux: two texts of version 2.41, the same two of older ones, and the end of each.
            maintenance("root password for system maintenance"),
            maintenance("Press Enter for system maintenance"),
            maintenance("root password for maintenance"),
            maintenance("Press Enter for maintenance"),
            maintenance("Cannot open access to console, the root account is locked"),
        ]
    }
}

/// A prompt of the maintenance shell, which `single` asks for.
fn maintenance(prompt: &str) -> FailureText {
    FailureText::new(prompt, "the guest waits in a maintenance shell").unless("single")
}

impl Config {
    /// The texts of [`Config::failures`] that are failures with this command line.
    pub(crate) fn failures_here(&self) -> Vec<FailureText> {
        let asked_for = |word: &str| self.command_line.split_whitespace().any(|given| given == word);
        let counts = |text: &&FailureText| !text.wanted_with.as_deref().is_some_and(asked_for);
        self.failures.iter().filter(counts).cloned().collect()
    }

    /// Describes a machine with 512 MiB, two processors, no disk and no network, that ends when the guest reboots.
    pub fn new(program: Program, version: Version, accelerator: Accelerator, kernel: PathBuf) -> Config {
        Config {
            program,
            version,
            accelerator,
            memory: 512,
            processors: 2,
            kernel,
            initramfs: Vec::new(),
            command_line: String::new(),
            disks: Vec::new(),
            network: Network::None,
            on_reboot: OnReboot::End,
            channels: Vec::new(),
            second_serial: None,
            display: Display::None,
            failures: FailureText::usual(),
            silence: Some(accelerator.scaled(Duration::from_secs(20))),
            cancelled: Arc::default(),
        }
    }
}

/// The files that only a started machine has, needed for its command line.
#[derive(Debug, Clone)]
pub struct Places {
    /// The socket that QEMU connects to for QMP.
    pub qmp: PathBuf,
    /// The sockets that QEMU connects to, one for each of [`Config::channels`].
    pub channels: Vec<PathBuf>,
    /// The one initramfs that is given to QEMU.
    pub initramfs: Option<PathBuf>,
}

/// Makes QEMU's whole command line, program first.
pub fn arguments(config: &Config, places: &Places) -> Vec<OsString> {
    let mut line = Line { words: vec![config.program.executable.clone()] };
    line.words.extend(config.program.leading_arguments.iter().cloned());
    for folder in &config.program.data_folders {
        line.path("-L", folder);
    }
    line.flag("-nodefaults");
    line.flag("-no-user-config");
    // Without controllers for disks that it does not have, whose drivers the guest would load.
    line.pair("-machine", "q35,usb=off,vmport=off,sata=off,smbus=off");
    add_processor(&mut line, config);
    line.pair("-m", config.memory);
    add_boot(&mut line, config, places);
    add_console_and_monitor(&mut line, config, places);
    add_channels(&mut line, config, places);
    for (index, disk) in config.disks.iter().enumerate() {
        add_disk(&mut line, index, disk);
    }
    add_network(&mut line, config.network);
    if config.on_reboot == OnReboot::End {
        line.flag("-no-reboot");
    }
    line.words
}

fn add_processor(line: &mut Line, config: &Config) {
    let mut processors = config.processors.max(1);
    match config.accelerator {
        Accelerator::Kvm => {
            line.pair("-accel", "kvm");
            line.pair("-cpu", "host");
        }
        Accelerator::Tcg => {
            line.pair("-accel", "tcg,thread=multi");
            line.pair("-cpu", tcg_processor(config.version));
        }
        Accelerator::TcgCounting { shift } => {
            processors = 1;
            line.pair("-accel", "tcg,thread=single");
            line.pair("-cpu", tcg_processor(config.version));
            line.pair("-icount", format!("shift={shift},sleep=off"));
            line.pair("-rtc", "clock=vm");
        }
    }
    line.pair("-smp", processors);
}

/// Without five-level paging and protection keys the translator needs a quarter less time; without virtualization
/// extensions, which the translator would have to emulate, the guest does not load KVM. Before QEMU 8 a 6.12
/// kernel panics now and then right behind a `cmpxchg16b`, so the guest is not shown that instruction.
fn tcg_processor(version: Version) -> &'static str {
    if version.major < 8 { "max,la57=off,pku=off,svm=off,cx16=off" } else { "max,la57=off,pku=off,svm=off" }
}

/// Linux counts timer interrupts against a delay loop when it starts, and panics when there are too few of them, as
/// there are when QEMU waits for a processor of a busy host. Under KVM it knows that and does not count.
const TRUST_TIMER: &str = "no_timer_check ";

fn add_boot(line: &mut Line, config: &Config, places: &Places) {
    line.path("-kernel", &config.kernel);
    if let Some(initramfs) = &places.initramfs {
        line.path("-initrd", initramfs);
    }
    let timer = match config.accelerator {
        Accelerator::Kvm => "",
        Accelerator::Tcg | Accelerator::TcgCounting { .. } => TRUST_TIMER,
    };
    line.pair("-append", format!("console=ttyS0 {timer}{}", config.command_line).trim_end());
}

fn add_console_and_monitor(line: &mut Line, config: &Config, places: &Places) {
    line.pair("-display", "none");
    match config.display {
        Display::None => line.pair("-vga", "none"),
        Display::Vga => line.pair("-vga", "std"),
    }
    line.pair("-chardev", "stdio,id=console,signal=off");
    line.pair("-serial", "chardev:console");
    if let Some(path) = &config.second_serial {
        line.chardev("serial1", "server=on,wait=off", path);
        line.pair("-serial", "chardev:serial1");
    }
    line.socket("qmp", &places.qmp);
    line.pair("-mon", "chardev=qmp,mode=control");
}

fn add_channels(line: &mut Line, config: &Config, places: &Places) {
    if config.channels.is_empty() {
        return;
    }
    // Each possible port costs the guest two queues; the first one is for a console.
    line.pair("-device", format!("virtio-serial-pci,max_ports={}", config.channels.len() + 1));
    for (index, (name, path)) in config.channels.iter().zip(&places.channels).enumerate() {
        let id = format!("channel{index}");
        line.socket(&id, path);
        line.pair("-device", format!("virtserialport,chardev={id},name={}", doubled(name)));
    }
}

fn add_disk(line: &mut Line, index: usize, disk: &Disk) {
    let mut drive = OsString::from(format!("if=none,id=disk{index},format=raw,file="));
    drive.push(doubled_path(&disk.path));
    drive.push(match disk.writes {
        Writes::Kept => ",discard=unmap",
        Writes::Dropped => ",snapshot=on,cache=unsafe",
        Writes::Refused => ",readonly=on",
    });
    line.words.extend(["-drive".into(), drive]);
    // Each queue costs the guest memory, and QEMU serves them one after the other.
    line.pair("-device", format!("virtio-blk-pci,drive=disk{index},serial=disk{index},num-queues=1"));
}

fn add_network(line: &mut Line, network: Network) {
    match network {
        Network::None => line.pair("-nic", "none"),
        // No boot ROM: nothing boots from this network, and the tools tree need not carry one.
        Network::User => {
            line.pair("-netdev", "user,id=net0");
            line.pair("-device", "virtio-net-pci,netdev=net0,romfile=");
        }
    }
}

/// A command line in the making.
struct Line {
    words: Vec<OsString>,
}

impl Line {
    fn flag(&mut self, name: &str) {
        self.words.push(name.into());
    }

    fn pair(&mut self, name: &str, value: impl ToString) {
        self.words.extend([name.into(), value.to_string().into()]);
    }

    fn path(&mut self, name: &str, path: &Path) {
        self.words.extend([name.into(), path.into()]);
    }

    /// A character device that QEMU connects to a socket we listen on, so there is nothing to wait for.
    fn socket(&mut self, id: &str, path: &Path) {
        self.chardev(id, "server=off", path);
    }

    fn chardev(&mut self, id: &str, role: &str, path: &Path) {
        let mut value = OsString::from(format!("socket,id={id},{role},path="));
        value.push(doubled_path(path));
        self.words.extend(["-chardev".into(), value]);
    }
}

/// Commas end a value in QEMU's options; a doubled one stands for itself.
fn doubled(value: &str) -> String {
    value.replace(',', ",,")
}

fn doubled_path(path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut bytes = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        bytes.push(byte);
        if byte == b',' {
            bytes.push(byte);
        }
    }
    OsString::from_vec(bytes)
}

/// Writes a command line as one would type it, for messages and logs.
pub fn shown(words: &[OsString]) -> String {
    let quote = |word: &OsStr| {
        let text = word.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            text
        } else {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
    };
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(accelerator: Accelerator) -> Config {
        Config::new(Program::installed("qemu"), Version { major: 10, minor: 0 }, accelerator, "/k".into())
    }

    fn line(config: &Config) -> String {
        let places = Places {
            qmp: "/t/qmp".into(),
            channels: (0..config.channels.len()).map(|i| format!("/t/channel{i}").into()).collect(),
            initramfs: (!config.initramfs.is_empty()).then(|| "/t/initramfs".into()),
        };
        shown(&arguments(config, &places))
    }

    #[test]
    fn the_smallest_machine_has_a_console_and_a_monitor() {
        let expected = "qemu -nodefaults -no-user-config -machine q35,usb=off,vmport=off,sata=off,smbus=off -accel tcg,thread=multi \
                        -cpu max,la57=off,pku=off,svm=off -smp 2 -m 512 -kernel /k -append 'console=ttyS0 no_timer_check' -display none \
                        -vga none -chardev stdio,id=console,signal=off -serial chardev:console \
                        -chardev socket,id=qmp,server=off,path=/t/qmp -mon chardev=qmp,mode=control \
                        -nic none -no-reboot";
        assert_eq!(line(&config(Accelerator::Tcg)), expected);
    }

    #[test]
    fn everything_that_can_be_asked_for_is_on_the_command_line() {
        let mut wanted = config(Accelerator::Kvm);
        wanted.program.executable = "/t/ld.so".into();
        wanted.program.leading_arguments = vec!["--library-path".into(), "/t/lib".into(), "/t/qemu".into()];
        wanted.program.data_folders = vec!["/t/qemu-data".into(), "/t/seabios".into()];
        wanted.memory = 256;
        wanted.processors = 4;
        wanted.initramfs = vec!["/i".into()];
        wanted.command_line = "root=/dev/vda single".to_owned();
        let disk = |path: &str, writes| Disk { path: path.into(), writes };
        wanted.disks =
            vec![disk("/a,b", Writes::Kept), disk("/c", Writes::Dropped), disk("/d e", Writes::Refused)];
        wanted.network = Network::User;
        wanted.on_reboot = OnReboot::Restart;
        wanted.channels = vec!["agent".to_owned(), "x,y".to_owned()];
        wanted.second_serial = Some("/s,1".into());
        wanted.display = Display::Vga;
        let expected = "/t/ld.so --library-path /t/lib /t/qemu -L /t/qemu-data -L /t/seabios -nodefaults \
                        -no-user-config -machine q35,usb=off,vmport=off,sata=off,smbus=off -accel kvm -cpu host -smp 4 -m 256 \
                        -kernel /k -initrd /t/initramfs -append 'console=ttyS0 root=/dev/vda single' \
                        -display none -vga std -chardev stdio,id=console,signal=off -serial chardev:console \
                        -chardev socket,id=serial1,server=on,wait=off,path=/s,,1 -serial chardev:serial1 \
                        -chardev socket,id=qmp,server=off,path=/t/qmp -mon chardev=qmp,mode=control \
                        -device virtio-serial-pci,max_ports=3 \
                        -chardev socket,id=channel0,server=off,path=/t/channel0 \
                        -device virtserialport,chardev=channel0,name=agent \
                        -chardev socket,id=channel1,server=off,path=/t/channel1 \
                        -device virtserialport,chardev=channel1,name=x,,y \
                        -drive if=none,id=disk0,format=raw,file=/a,,b,discard=unmap \
                        -device virtio-blk-pci,drive=disk0,serial=disk0,num-queues=1 \
                        -drive if=none,id=disk1,format=raw,file=/c,snapshot=on,cache=unsafe \
                        -device virtio-blk-pci,drive=disk1,serial=disk1,num-queues=1 \
                        -drive 'if=none,id=disk2,format=raw,file=/d e,readonly=on' \
                        -device virtio-blk-pci,drive=disk2,serial=disk2,num-queues=1 \
                        -netdev user,id=net0 -device virtio-net-pci,netdev=net0,romfile=";
        assert_eq!(line(&wanted), expected);
    }

    /// What the console shows of a guest whose command line is given, as a failure.
    fn failure_of(command_line: &str, printed: &str) -> Option<String> {
        let mut config = config(Accelerator::Tcg);
        config.command_line = command_line.to_owned();
        let failures = config.failures_here();
        let mut transcript = crate::console::Transcript::default();
        transcript.append(printed.as_bytes(), &failures);
        transcript.failure().map(|(which, line)| format!("{}: {line}", failures[which].meaning))
    }

    #[test]
    fn a_maintenance_shell_is_a_failure_unless_it_was_asked_for() {
        let prompts = [
            "Enter root password for system maintenance\r\n(or press Control-D to continue): ",
            "Press Enter for system maintenance\r\n(or press Control-D to continue): ",
            "Give root password for maintenance\r\n(or press Control-D to continue): ",
            "Press Enter for maintenance\r\n(or press Control-D to continue): ",
            "\r\nCannot open access to console, the root account is locked.\r\n",
        ];
        for prompt in prompts {
            let failure = failure_of("root=/dev/vda quiet", prompt).expect(prompt);
            assert!(failure.starts_with("the guest waits in a maintenance shell: "), "{failure}");
            assert!(failure_of("root=/dev/vda singles", prompt).is_some());
            assert_eq!(failure_of("root=/dev/vda single -t agent", prompt), None);
        }
    }

    #[test]
    fn a_failed_check_of_a_file_system_gives_the_line_that_says_so() {
        // The text is the check's own: take it from there.
        let script = include_str!("../../../services/base/scripts/fscheck");
        let mut texts = script.split(['\'', '"']).filter(|text| text.starts_with("errors remain on "));
        let root = texts.next().expect("it says so");
        let failure =
            failure_of("root=/dev/vda single", &format!("fscheck: {root}\n")).expect("it is a failure");
        let expected = "the root needs repair by hand: fscheck: errors remain on the root file system; ";
        assert!(failure.starts_with(expected), "{failure}");
        // The boot goes on without another file system.
        let other = texts.next().expect("it says so of others too");
        assert_eq!(failure_of("root=/dev/vda", &format!("fscheck: {other}\n")), None);
    }

    #[test]
    fn counting_instructions_means_one_processor_and_a_virtual_clock() {
        let text = line(&config(Accelerator::TcgCounting { shift: 1 }));
        let expected = "-accel tcg,thread=single -cpu max,la57=off,pku=off,svm=off -icount shift=1,sleep=off \
                        -rtc clock=vm -smp 1 ";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_qemu_before_version_8_hides_cmpxchg16b_from_the_guest() {
        let mut old = config(Accelerator::Tcg);
        old.version = Version { major: 7, minor: 2 };
        assert!(line(&old).contains("-cpu max,la57=off,pku=off,svm=off,cx16=off "));
    }
}
