//! What the user sees while mkimage works: on standard error, a bar for the stage at hand and one line
//! for each stage that is done. Standard output belongs to data and to the guest's console.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Problems only.
    Quiet,
    /// A line a stage, and bars on a terminal.
    Normal,
}

/// The user's view of a run.
#[derive(Debug)]
pub struct Ui {
    verbosity: Verbosity,
    bars: MultiProgress,
    drawn: bool,
    timings: Mutex<Vec<Timing>>,
}

/// What one stage took.
#[derive(Debug, Clone)]
pub struct Timing {
    /// The stage's name, such as `fetch`.
    pub stage: &'static str,
    /// Wall-clock time.
    pub wall: Duration,
}

/// One stage under way. Says nothing more when dropped without [`Stage::done`]: it has failed, and the
/// error will be shown.
#[derive(Debug)]
pub struct Stage {
    ui: Arc<Ui>,
    name: &'static str,
    started: Instant,
    bar: ProgressBar,
}

impl Ui {
    /// Makes a view that draws bars only where standard error is a terminal.
    pub fn new(verbosity: Verbosity) -> Arc<Self> {
        let drawn = verbosity == Verbosity::Normal && std::io::stderr().is_terminal();
        let target =
            if drawn { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        Arc::new(Self {
            verbosity,
            bars: MultiProgress::with_draw_target(target),
            drawn,
            timings: Mutex::default(),
        })
    }

    /// Begins a stage; `doing` is shown beside the bar, such as `Fetching`.
    pub fn stage(self: &Arc<Self>, name: &'static str, doing: &'static str) -> Stage {
        let bar = self.bars.add(ProgressBar::no_length());
        bar.set_style(style("{msg:<12} {spinner} {elapsed}"));
        bar.set_message(doing);
        if self.drawn {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Stage { ui: Arc::clone(self), name, started: Instant::now(), bar }
    }

    /// Says a line that is neither a stage nor an error.
    pub fn say(&self, line: impl Display) {
        if self.verbosity == Verbosity::Normal {
            self.show(line);
        }
    }

    /// Says a line whatever the verbosity.
    pub fn show(&self, line: impl Display) {
        // Nowhere to complain when standard error itself is gone.
        self.bars.suspend(|| drop(writeln!(std::io::stderr(), "{line}")));
    }

    /// Remembers what a stage took that was not shown.
    pub fn took(&self, stage: &'static str, wall: Duration) {
        if let Ok(mut timings) = self.timings.lock() {
            timings.push(Timing { stage, wall });
        }
    }

    /// The stages finished so far, in order.
    pub fn timings(&self) -> Vec<Timing> {
        self.timings.lock().map(|timings| timings.clone()).unwrap_or_default()
    }
}

impl Stage {
    /// Shows how much there is to do, in bytes.
    pub fn length_in_bytes(&self, bytes: u64) {
        self.bar.set_style(style("{msg:<12} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}"));
        self.bar.set_length(bytes);
    }

    /// Shows how much there is to do, in items.
    pub fn length_in_items(&self, items: u64) {
        self.bar.set_style(style("{msg:<12} [{bar:30}] {pos}/{len}"));
        self.bar.set_length(items);
    }

    /// Shows what is being done just now.
    pub fn doing(&self, what: String) {
        self.bar.set_message(what);
    }

    /// Shows how much is done.
    pub fn position(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Finishes the stage with its one line: what was done, and how long it took.
    pub fn done(self, line: impl Display) {
        self.finish(Some(line.to_string()));
    }

    /// Finishes a stage that needed no work, without a line of its own.
    pub fn silently_done(self) {
        self.finish(None);
    }

    fn finish(self, line: Option<String>) {
        self.bar.finish_and_clear();
        let wall = self.started.elapsed();
        if let Some(line) = line {
            self.ui.say(format_args!("{line} in {}", seconds(wall)));
        }
        self.ui.took(self.name, wall);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A duration in seconds, with as many digits as mean something.
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.2}s") } else { format!("{seconds:.1}s") }
}

/// A number of bytes as people read it.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut value = bytes as f64;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal_multiples() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(34_400_000), "34.4 MB");
        assert_eq!(bytes(1_000_000_000), "1.0 GB");
    }

    #[test]
    fn finished_stages_are_remembered_in_order_and_failed_ones_are_not() {
        let ui = Ui::new(Verbosity::Quiet);
        ui.stage("resolve", "Resolving").done("Resolved 3 packages");
        drop(ui.stage("fetch", "Fetching"));
        ui.stage("unpack", "Unpacking").silently_done();
        let names: Vec<_> = ui.timings().iter().map(|timing| timing.stage).collect();
        assert_eq!(names, ["resolve", "unpack"]);
    }
}
