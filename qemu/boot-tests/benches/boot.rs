//! What a boot of the default image takes until it is handed over, until its login prompt and until everything is
//! started; the memory it has used by then; and how long it takes to power off.
//!
//! `cargo bench -p boot-tests --bench boot`. Under TCG, so that machines compare: processor time of QEMU in seconds,
//! the least of several boots. The reference is dinit with its own example services and no wait for devices, by the
//! same marks on one machine.

use std::error::Error;
use std::io::{self, Write};
use std::time::Instant;

use agent_protocol::message::Shutdown;
use boot_tests::{Guest, Wishes};
use qemu_machine::Accelerator;

/// The least of so many boots counts.
const ROUNDS: usize = 3;

/// What is printed: what it is, its unit, the reference's figure.
const FIGURES: [(&str, &str, Option<f64>); 6] = [
    ("processor time until init runs", "s", None),
    ("processor time until the login prompt", "s", Some(9.3)),
    ("  of that, since init runs", "s", Some(5.2)),
    ("processor time until all is started", "s", None),
    ("memory used then", "MB", Some(47.1)),
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

/// Boots twice: once as everybody does, and once with the kernel's own messages, among which the handover shows.
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
    let used =
        guest.run("awk '/^MemTotal/ { t = $2 } /^MemAvailable/ { print (t - $2) / 1024 }' /proc/meminfo");
    let start = Instant::now();
    guest.agent.shut_down(Shutdown::PowerOff)?;
    guest.must_end();
    Ok([handover, prompt, since, booted, used.trim().parse()?, start.elapsed().as_secs_f64()])
}
