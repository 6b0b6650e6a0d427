//! How far files are, on a terminal: a bar for each that is being imported, and one for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::bulk::inputs::Source;
use crate::bulk::nodes;
use crate::bulk::tables::Meter;
use crate::cli::{bars, harmless, table};
use crate::model::RowCounts;
use crate::store::objects::ObjectUrl;

/// One file.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(name: &str) -> Self {
        if !bars::wanted() {
            return Self(ProgressBar::hidden());
        }
        let template = "{prefix} {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  eta {eta}  {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(bars::add(ProgressBar::no_length().with_style(style).with_prefix(harmless(name).into_owned())))
    }

    /// One whose length is in records.
    pub(super) fn records(name: &str) -> Self {
        let bar = Self::new(name);
        let template = "{prefix} {bar:30} {pos}/{len} records  eta {eta}  {msg}";
        bar.0.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }

    pub(super) fn show(&self, read: u64, length: Option<u64>, rows: u64, failed: u64) {
        if let Some(length) = length {
            self.0.set_length(length);
        }
        self.0.set_position(read);
        let elapsed = self.0.elapsed().as_secs_f64().max(0.001);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate to look at"
        )]
        let rate = (rows as f64 / elapsed) as u64;
        self.0.set_message(format!("{} rows  {}/s  {failed} failed", table::grouped(rows), table::grouped(rate)));
    }

    pub(super) fn follow(&self, meter: &Meter) {
        let at = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let length = Some(at(&meter.length)).filter(|length| *length > 0);
        self.show(at(&meter.read), length, at(&meter.rows) + at(&meter.failed), at(&meter.failed));
    }
}

/// A file of nodes among others.
pub(super) struct OneOf<'a> {
    pub(super) bar: &'a Bar,
    pub(super) meter: &'a Meter,
    pub(super) all: &'a All,
}

impl nodes::Progress for OneOf<'_> {
    fn at(&self, rows: &RowCounts, read: u64, length: Option<u64>) {
        self.meter.read.store(read, Ordering::Relaxed);
        self.meter.rows.store(rows.processed(), Ordering::Relaxed);
        self.meter.failed.store(rows.failed, Ordering::Relaxed);
        self.bar.show(read, length, rows.total(), rows.failed);
        self.all.follow();
    }
}

/// All files together; drawn only if there are several.
pub(super) struct All {
    bar: Option<Bar>,
    /// Bytes of all of them, if all are files of this machine.
    length: Option<u64>,
    meters: Vec<Arc<Meter>>,
}

impl All {
    pub(super) fn new<'s>(sources: impl Iterator<Item = &'s Source>, meters: Vec<Arc<Meter>>) -> Self {
        let size = |source: &Source| match source {
            Source::Object(ObjectUrl::File(path)) => std::fs::metadata(path).ok().map(|file| file.len()),
            _ => None,
        };
        let length = sources.map(size).sum();
        let bar = (meters.len() > 1).then(|| Bar::new(&format!("{} files", meters.len())));
        Self { bar, length, meters }
    }

    pub(super) fn follow(&self) {
        let Some(bar) = &self.bar else { return };
        let sum = |of: fn(&Meter) -> &AtomicU64| {
            self.meters.iter().map(|meter| of(meter).load(Ordering::Relaxed)).sum::<u64>()
        };
        let (rows, failed) = (sum(|meter| &meter.rows), sum(|meter| &meter.failed));
        bar.show(sum(|meter| &meter.read), self.length, rows + failed, failed);
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}
