//! Rows into batches of a fixed number of rows, the same batches whenever the same file is read.

use std::collections::BTreeMap;

use crate::store::imports::FailedRow;
use crate::store::nodes::{Batch, NodeRow};

/// Collects rows.
#[derive(Debug)]
pub(super) struct Gather {
    size: u64,
    number: u64,
    rows: BTreeMap<(String, String), NodeRow>,
    duplicates: u64,
    failures: Vec<FailedRow>,
    /// Behind the last row: bytes, lines.
    position: (u64, u64),
}

impl Gather {
    pub(super) fn new(size: u64) -> Self {
        Self { size, number: 0, rows: BTreeMap::new(), duplicates: 0, failures: Vec::new(), position: (0, 0) }
    }

    /// Adds a row, behind which is `position`; gives the batch that it fills.
    pub(super) fn add(&mut self, row: Result<NodeRow, Box<FailedRow>>, position: (u64, u64)) -> Option<Batch> {
        self.position = position;
        match row {
            Ok(row) => {
                // The last one of a key wins.
                let key = (row.group.clone(), row.reference.clone());
                self.duplicates += u64::from(self.rows.insert(key, row).is_some());
            }
            Err(failure) => self.failures.push(*failure),
        }
        (self.len() >= self.size).then(|| self.close())
    }

    /// The last batch, if there is one.
    pub(super) fn rest(&mut self) -> Option<Batch> {
        (self.len() > 0).then(|| self.close())
    }

    fn len(&self) -> u64 {
        (self.rows.len() + self.failures.len()) as u64 + self.duplicates
    }

    fn close(&mut self) -> Batch {
        let batch = Batch {
            number: self.number,
            rows: std::mem::take(&mut self.rows).into_values().collect(),
            duplicates: std::mem::take(&mut self.duplicates),
            failures: std::mem::take(&mut self.failures),
            position: self.position,
            told: Vec::new(),
        };
        self.number += 1;
        batch
    }
}
