//! The `picket` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    picket::cli::run().into()
}
