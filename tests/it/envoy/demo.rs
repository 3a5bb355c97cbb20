//! `picket demo` from end to end: the binary, a real Envoy, the sample policies.

use std::path::Path;
use std::process::Command;

use super::bench::binary;

fn tell(story: &[&str], calls_min: usize) {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_picket"));
    // A relative path, as a person types it.
    let (folder, name) = (binary().parent().unwrap(), Path::new(".").join(binary().file_name().unwrap()));
    let demo = demo.current_dir(folder).arg("demo").args(story).args(["--output", "json", "--envoy"]);
    let demo = demo.arg(name).output().unwrap();
    let said = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{said}\n{}", String::from_utf8_lossy(&demo.stderr));
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(told["as_expected"], true);
    assert!(told["calls"].as_array().unwrap().len() >= calls_min);
}

#[test]
fn every_call_of_the_demonstration_ends_as_expected() {
    tell(&[], 10);
}

#[test]
fn every_call_of_the_agents_scenario_ends_as_expected() {
    tell(&["--agents"], 11);
}

#[test]
fn every_call_of_the_content_scenario_ends_as_expected() {
    tell(&["--content"], 8);
}

#[test]
fn a_wrong_envoy_differs_from_a_wrong_verdict() {
    let demo = Command::new(env!("CARGO_BIN_EXE_picket")).args(["demo", "--envoy", "/absent/envoy"]).output().unwrap();
    assert_eq!(demo.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&demo.stderr).contains("`/absent/envoy` is not a file"));
}
