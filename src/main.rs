//! The binary. Everything is in the library, so that tests and benchmarks reach it, too.

use std::process::ExitCode;

/// Returns memory to the system more readily than the system's own allocator and is faster on small objects.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    parser::cli::main()
}
