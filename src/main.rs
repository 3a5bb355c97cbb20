//! The `picket` binary.

use std::process::ExitCode;

// The system's own took a quarter of a check's instructions: docs/decisions/0011-what-a-check-costs.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    picket::cli::run().into()
}
