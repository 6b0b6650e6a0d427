//! The backend's tables, as numbered files for each engine. Both lists have the same versions with the same meaning.

/// For SQLite.
pub(super) const SQLITE: &[(&str, &str)] = &[
    ("V1__catalogue", include_str!("migrations/sqlite/V1__catalogue.sql")),
    ("V2__staging", include_str!("migrations/sqlite/V2__staging.sql")),
    ("V3__imports", include_str!("migrations/sqlite/V3__imports.sql")),
    ("V4__search", include_str!("migrations/sqlite/V4__search.sql")),
    ("V5__nodes", include_str!("migrations/sqlite/V5__nodes.sql")),
    ("V6__bulk", include_str!("migrations/sqlite/V6__bulk.sql")),
    ("V7__tables", include_str!("migrations/sqlite/V7__tables.sql")),
    ("V8__messages", include_str!("migrations/sqlite/V8__messages.sql")),
    ("V9__told", include_str!("migrations/sqlite/V9__told.sql")),
    ("V10__ready", include_str!("migrations/sqlite/V10__ready.sql")),
    ("V11__room", include_str!("migrations/sqlite/V11__room.sql")),
    ("V12__marks", include_str!("migrations/sqlite/V12__marks.sql")),
    ("V13__settled", include_str!("migrations/sqlite/V13__settled.sql")),
    ("V14__half", include_str!("migrations/sqlite/V14__half.sql")),
];

/// For PostgreSQL.
pub(super) const POSTGRES: &[(&str, &str)] = &[
    ("V1__catalogue", include_str!("migrations/postgres/V1__catalogue.sql")),
    ("V2__staging", include_str!("migrations/postgres/V2__staging.sql")),
    ("V3__imports", include_str!("migrations/postgres/V3__imports.sql")),
    ("V4__search", include_str!("migrations/postgres/V4__search.sql")),
    ("V5__nodes", include_str!("migrations/postgres/V5__nodes.sql")),
    ("V6__bulk", include_str!("migrations/postgres/V6__bulk.sql")),
    ("V7__tables", include_str!("migrations/postgres/V7__tables.sql")),
    ("V8__messages", include_str!("migrations/postgres/V8__messages.sql")),
    ("V9__told", include_str!("migrations/postgres/V9__told.sql")),
    ("V10__ready", include_str!("migrations/postgres/V10__ready.sql")),
    ("V11__room", include_str!("migrations/postgres/V11__room.sql")),
    ("V12__marks", include_str!("migrations/postgres/V12__marks.sql")),
    ("V13__settled", include_str!("migrations/postgres/V13__settled.sql")),
    ("V14__half", include_str!("migrations/postgres/V14__half.sql")),
];
