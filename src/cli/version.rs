//! What `--version` says.

/// `0.1.0`.
pub(super) fn short() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Version, commit and features. The commit comes from the build script; outside a git checkout it is `unknown`.
pub(super) fn long() -> &'static str {
    if cfg!(feature = "kafka") {
        concat!(env!("CARGO_PKG_VERSION"), "\ncommit: ", env!("PARSER_COMMIT"), "\nfeatures: sqlite, contract, kafka")
    } else {
        concat!(env!("CARGO_PKG_VERSION"), "\ncommit: ", env!("PARSER_COMMIT"), "\nfeatures: sqlite, contract")
    }
}
