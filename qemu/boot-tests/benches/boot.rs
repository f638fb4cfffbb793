//! What a boot of the default image takes until it is handed over, until its login prompt and until everything is
//! started; the memory it has used by then; and how long it takes to power off.
//!
//! `cargo bench -p boot-tests --bench boot`. Under TCG, so that machines compare: processor time of QEMU in seconds,
//! the least of several boots. The reference is dinit with its own example services and no wait for devices, by the
//! same marks on one machine.

use std::error::Error;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use agent_protocol::message::Shutdown;
use boot_tests::{Guest, Wishes, without_agent};
use qemu_machine::Accelerator;

/// The least of so many boots counts.
const ROUNDS: usize = 3;
/// A boot is waited for so long, on a quiet machine with KVM.
const LIMIT: Duration = Duration::from_secs(60);

/// What is printed: what it is, its unit, the reference's figure.
const FIGURES: [(&str, &str, Option<f64>); 6] = [
    ("processor time until init runs", "s", None),
    ("processor time until the login prompt", "s", Some(9.3)),
    ("  of that, since init runs", "s", Some(5.2)),
    ("processor time until all is started", "s", None),
    ("memory used at the login prompt", "MB", Some(43.5)),
    ("power off, wall clock", "s", Some(4.2)),
];

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo test --benches` asks for a sign of life only.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let mut least = [f64::INFINITY; FIGURES.len()];
    for _ in 0..ROUNDS {
        for (least, figure) in least.iter_mut().zip(boot()?) {
            *least = least.min(figure);
        }
    }
    let mut out = io::stdout();
    for ((what, unit, reference), figure) in FIGURES.iter().zip(least) {
        write!(out, "{what:<40} {figure:>6.2} {unit}")?;
        match reference {
            Some(reference) => {
                writeln!(out, ", {:.2} times the reference's {reference} {unit}", figure / reference)?;
            }
            None => writeln!(out)?,
        }
    }
    Ok(())
}

/// Tells on the console what memory is used, once the system has come to rest: everything is started, and the device
/// manager's helpers, which live on for some seconds, have gone.
const TELLER: (&str, &str) = (
    "teller",
    "#!/bin/sh\n\
     until dinitctl is-started boot > /dev/null && ! pgrep -f 'udev-worker' > /dev/null; do sleep 1; done\n\
     awk '/^MemTotal/ { t = $2 } /^MemAvailable/ { print \"used \" (t - $2) / 1024 \" MB\" }' /proc/meminfo \
     > /dev/console\n",
);
const TELLER_SERVICE: (&str, &str) = (
    "dinit.d/teller",
    "type = scripted\ncommand = /run/teller\nstart-timeout = 0\nafter: loginready\nafter: serial-gettys\n",
);

/// Boots three times: as everybody does; with the kernel's own messages, among which the handover shows; and without
/// what costs memory and does not belong to the image.
fn boot() -> Result<[f64; FIGURES.len()], Box<dyn Error>> {
    let time = |guest: &Guest| guest.machine.processor_time().as_secs_f64();
    let loud = Wishes { append: "loglevel=7".to_owned(), ..Wishes::default() };
    let mut guest = Guest::start(&loud, |config| config.accelerator = Accelerator::Tcg);
    guest.expect("initramfs: running ");
    let handover = time(&guest);
    guest.expect("login: ");
    let since = time(&guest) - handover;
    drop(guest);

    let mut guest = Guest::start(&Wishes::default(), |config| config.accelerator = Accelerator::Tcg);
    guest.expect("login: ");
    let prompt = time(&guest);
    guest.must_boot();
    let booted = time(&guest);
    let start = Instant::now();
    guest.agent.shut_down(Shutdown::PowerOff)?;
    guest.must_end();
    let off = start.elapsed().as_secs_f64();
    drop(guest);
    Ok([handover, prompt, since, booted, memory()?, off])
}

/// The memory that is used at the login prompt, in MB: MemTotal less MemAvailable.
fn memory() -> Result<f64, Box<dyn Error>> {
    let wishes =
        Wishes { seed: vec![TELLER, TELLER_SERVICE], start: Some("-t boot -t teller"), ..Wishes::default() };
    let (_turn, _folder, mut machine) =
        without_agent(&wishes, |config| config.accelerator = Accelerator::Tcg);
    let limit = machine.scaled(LIMIT);
    machine.expect("login: ", limit)?;
    machine.expect("used ", limit)?;
    machine.expect(" MB", limit)?;
    let console = String::from_utf8_lossy(&machine.transcript()).into_owned();
    let (_, told) = console.rsplit_once("used ").ok_or("the guest told nothing")?;
    Ok(told.split(' ').next().unwrap_or_default().parse()?)
}
