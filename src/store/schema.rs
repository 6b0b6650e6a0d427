//! The backend's tables, as numbered files for each engine. Both lists have the same versions with the same meaning.

/// For SQLite.
pub(super) const SQLITE: &[(&str, &str)] = &[
    ("V1__catalogue", include_str!("migrations/sqlite/V1__catalogue.sql")),
    ("V4__nodes", include_str!("migrations/sqlite/V4__nodes.sql")),
];

/// For PostgreSQL.
pub(super) const POSTGRES: &[(&str, &str)] = &[
    ("V1__catalogue", include_str!("migrations/postgres/V1__catalogue.sql")),
    ("V4__nodes", include_str!("migrations/postgres/V4__nodes.sql")),
];
