//! Results of a bench, as lines of JSON on standard output, which `benches/all` stores in `target/bench`.

use serde_json::Value;

/// Prints a row; `bench` names what kind it is.
pub fn row(bench: &str, mut row: Value) {
    row.as_object_mut().unwrap().insert("bench".to_owned(), bench.into());
    println!("{row}");
}
