//! Settings of bulk imports: how much goes in at once, and how long that may take.

use std::time::Duration;

use super::reader::Reader;

/// What bounds bulk imports.
#[derive(Debug, Clone)]
pub struct BulkSettings {
    /// Rows of one transaction; `None` = what suits the engine.
    pub rows: Option<u64>,
    /// Transactions of one file on their way at once.
    pub in_flight: usize,
    /// Files that one server works on at once.
    pub files: usize,
    /// How long one transaction may take: so long for each of its rows …
    pub per_row: Duration,
    /// … but never less …
    pub shortest: Duration,
    /// … and never more.
    pub longest: Duration,
}

impl Default for BulkSettings {
    fn default() -> Self {
        Self {
            rows: None,
            in_flight: 8,
            files: 2,
            per_row: Duration::from_millis(50),
            shortest: Duration::from_secs(1),
            longest: Duration::from_secs(30),
        }
    }
}

impl BulkSettings {
    /// How long a transaction of so many rows may take.
    pub fn patience(&self, rows: usize) -> Duration {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        self.per_row.saturating_mul(rows).clamp(self.shortest, self.longest.max(self.shortest))
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> BulkSettings {
    BulkSettings {
        rows: Some(u64::from(reader.number("IMPORT_BULK_ROWS", 0..=50_000))).filter(|rows| *rows > 0),
        in_flight: usize::try_from(reader.number("IMPORT_BULK_IN_FLIGHT", 1..=64)).unwrap_or(1),
        files: usize::try_from(reader.number("IMPORT_BULK_FILES", 1..=64)).unwrap_or(1),
        per_row: reader.seconds("IMPORT_BULK_ROW_SECONDS"),
        shortest: reader.seconds("IMPORT_BULK_SHORTEST_SECONDS"),
        longest: reader.seconds("IMPORT_BULK_LONGEST_SECONDS"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::BulkSettings;

    #[test]
    fn patience_grows_with_the_rows_between_its_bounds() {
        let settings = BulkSettings::default();
        for (rows, seconds) in [(0, 1), (20, 1), (100, 5), (1000, 30), (usize::MAX, 30)] {
            assert_eq!(settings.patience(rows), Duration::from_secs(seconds), "{rows}");
        }
    }
}
