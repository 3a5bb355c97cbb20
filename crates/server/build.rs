//! Generates Picket's own admin service from its proto file, without a `protoc` on the machine.

use std::error::Error;

const PROTO: &str = "../../proto/picket/v1/admin.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let files = protox::compile([PROTO], ["../../proto"])?;
    tonic_prost_build::configure().emit_rerun_if_changed(false).compile_fds(files)?;
    Ok(())
}
