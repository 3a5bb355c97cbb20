//! The SDKs, fetched once into the build tree in pinned versions, as Envoy is.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the scripts and the pinned versions.
pub fn scripts(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(language)
}

/// The interpreter of an environment that has this line of the Python SDK.
///
/// A machine without PyPI cannot make one: as for Envoy, that is a failure and not a reason to pass over the test.
pub fn python(line: u8) -> PathBuf {
    environment(&format!("python-{line}"), &scripts("python").join(format!("requirements-{line}.txt")))
}

/// The interpreter of an environment that has the SDKs of the models' providers.
pub fn models() -> PathBuf {
    environment("models", &scripts("models").join("requirements.txt"))
}

/// The interpreter of an environment that has the SDK of A2A.
pub fn agents() -> PathBuf {
    environment("agents", &scripts("content").join("requirements.txt"))
}

fn environment(name: &str, requirements: &Path) -> PathBuf {
    let pins = fs::read_to_string(requirements).unwrap();
    let home = once(name, &pins, |home| {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home));
        let mut install = Command::new(home.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
        run(install.args(["--only-binary=:all:", "-r"]).arg(requirements));
    });
    home.join("bin/python")
}

/// A folder with the TypeScript SDKs and the scripts of `tests/sdk/NAME`; `None` where this machine has no node or no npm.
pub fn typescript(name: &str) -> Option<PathBuf> {
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if !runs("node") || !runs("npm") {
        return None;
    }
    let from = scripts(name);
    let pins = fs::read_to_string(from.join("package-lock.json")).unwrap();
    let home = once(name, &pins, |home| {
        fs::create_dir_all(home).unwrap();
        for name in ["package.json", "package-lock.json"] {
            fs::copy(from.join(name), home.join(name)).unwrap();
        }
        run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(home));
    });
    // Modules are searched for next to the script that names them.
    for script in fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()) {
        if script.extension().is_some_and(|extension| extension == "mjs") {
            fs::copy(&script, home.join(script.file_name().unwrap())).unwrap();
        }
    }
    Some(home)
}

/// Reports that this machine cannot try something.
pub fn skip(what: &str) {
    // Not by a macro: the test runner would capture its output.
    drop(writeln!(io::stderr(), "PASSED OVER: {what}, because `node` or `npm` is not here"));
}

/// A folder of the build tree that `make` fills, once for each text of pins.
fn once(name: &str, pins: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("sdk");
    fs::create_dir_all(&target).unwrap();
    let (home, made) = (target.join(name), target.join(format!("{name}.made")));
    let lock = File::create(target.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    if fs::read_to_string(&made).ok().as_deref() != Some(pins) {
        let shown = home.display();
        // Not by a macro: the test runner would capture its output.
        drop(writeln!(io::stderr(), "fetching the SDKs of `{name}` into {shown} (once)"));
        make(&home);
        fs::write(&made, pins).unwrap();
    }
    home
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "could not fetch the SDK by {command:?}:\n{said}");
}
