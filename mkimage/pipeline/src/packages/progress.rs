//! The archive's progress on the user's screen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mkimage_archive::{Amount, Progress, Stage};

use crate::ui::{self, Ui};

/// Draws a bar for each kind of work under way, and says a line when it is done.
pub(super) struct View {
    ui: Arc<Ui>,
    under_way: Mutex<BTreeMap<Stage, Work>>,
}

struct Work {
    shown: ui::Stage,
    total: Amount,
    bytes: u64,
}

impl View {
    pub(super) fn new(ui: Arc<Ui>) -> Self {
        Self { ui, under_way: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Stage, Work>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for View {
    fn began(&self, stage: Stage, total: Amount) {
        let (name, doing) = match stage {
            Stage::Index => ("index", "Indexing"),
            Stage::Download => ("fetch", "Fetching"),
            Stage::Unpack => ("unpack", "Unpacking"),
        };
        let shown = self.ui.stage(name, doing);
        shown.length_in_bytes(total.bytes);
        self.lock().insert(stage, Work { shown, total, bytes: 0 });
    }

    fn advanced(&self, stage: Stage, bytes: u64) {
        if let Some(work) = self.lock().get_mut(&stage) {
            work.bytes += bytes;
            work.shown.position(work.bytes);
        }
    }

    fn finished_item(&self, _: Stage, _: &str) {}

    fn ended(&self, stage: Stage) {
        let Some(work) = self.lock().remove(&stage) else { return };
        let (items, bytes) = (work.total.items, ui::bytes(work.total.bytes));
        match stage {
            Stage::Index => work.shown.done(format_args!("Updated the package index ({bytes})")),
            Stage::Download => work.shown.done(format_args!("Fetched {items} packages ({bytes})")),
            Stage::Unpack => work.shown.done(format_args!("Unpacked {items} packages")),
        }
    }

    fn note(&self, message: &str) {
        self.ui.say(message);
    }
}
