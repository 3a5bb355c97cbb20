//! Reads a policy directory: a folder, a link to one, or a Kubernetes volume.
//!
//! Knows: the file system and its traps. Must not know: Cedar, snapshots.
//!
//! The link is resolved once per reading, and so is a Kubernetes volume's `..data`, so that all files
//! come from one version even while the next one is swapped in. Writers that do not swap are
//! noticed by reading twice: only two readings count that agree in contents, times and inodes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::layout::{Folder, Kind, Place};
use super::watch::Watch;
use super::{PolicySource, Reading, Settings};
use crate::catalog::file;
use crate::courtesy::let_others_run;
use crate::problem::Problem;

/// Largest policy file that is read, in bytes.
pub const POLICY_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Largest file that cannot be split, in bytes: one at the top, or a descriptor set. As the catalogue has it.
pub const WHOLE_FILE_BYTES_MAX: u64 = file::BYTES_MAX as u64;
/// Most bytes that all files of a directory are held in, descriptor sets as base64.
pub const TREE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most directory entries that are looked at, passed-over ones included.
pub const ENTRIES_MAX: usize = 20_000;
/// How long two readings that must agree lie apart.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a directory that does not hold still is read before giving up for now.
const READINGS_MAX: usize = 6;

/// A policy directory and the watch on it.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    watch: Watch,
    /// Digest of the last reading that was seen twice: seen again, it needs no second look.
    stable: Mutex<Option<String>>,
}

impl Directory {
    /// Reads the directory that the settings name.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { root: settings.directory.clone(), watch: Watch::new(&settings.directory), stable: Mutex::new(None) }
    }

    async fn read_once(&self) -> Result<(Reading, Stamps), Vec<Problem>> {
        let root = self.root.clone();
        match tokio::task::spawn_blocking(move || read_stamped(&root)).await {
            Ok(result) => result,
            Err(_) => Err(vec![Problem::error("", "reading the policy directory was broken off")]),
        }
    }

    async fn read_stable(&self) -> Result<Reading, Vec<Problem>> {
        let mut before = self.read_once().await;
        if let Ok((reading, _)) = &before
            && lock(&self.stable).as_ref() == Some(&reading.digest())
        {
            return before.map(|(reading, _)| reading);
        }
        for _ in 1..READINGS_MAX {
            tokio::time::sleep(PAUSE).await;
            let after = self.read_once().await;
            if after == before {
                let (reading, _) = after?;
                *lock(&self.stable) = Some(reading.digest());
                return Ok(reading);
            }
            before = after;
        }
        Err(vec![
            Problem::error("", format!("policy directory `{}` is still changing", self.root.display()))
                .help("publish by swapping a symbolic link or renaming a folder; it is read again shortly"),
        ])
    }
}

impl PolicySource for Directory {
    fn read(&self) -> BoxFuture<'_, Result<Reading, Vec<Problem>>> {
        self.read_stable().boxed()
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        self.watch.changed().boxed()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Reads a policy directory once.
///
/// # Errors
/// The directory itself cannot be read, or holds more than [`ENTRIES_MAX`] entries or [`TREE_BYTES_MAX`].
pub fn read(root: &Path) -> Result<Reading, Vec<Problem>> {
    read_stamped(root).map(|(reading, _)| reading)
}

/// When each file was last written and which inode it is. A file that is emptied and filled all the
/// time is found empty twice; its stamps tell.
type Stamps = BTreeMap<String, (SystemTime, u64)>;

fn read_stamped(root: &Path) -> Result<(Reading, Stamps), Vec<Problem>> {
    read_within(root, TREE_BYTES_MAX)
}

/// As [`read`], where all files may take `room` bytes together.
fn read_within(root: &Path, room: u64) -> Result<(Reading, Stamps), Vec<Problem>> {
    let home = fs::canonicalize(root).map_err(|error| {
        let message = format!("policy directory `{}` cannot be opened: {}", root.display(), reason(&error));
        vec![Problem::error("", message)]
    })?;
    let mut reader =
        Reader { home: home.clone(), reading: Reading::default(), stamps: Stamps::default(), entries: 0, room };
    reader.enter(&Folder::Top, &home).map_err(|problem| vec![problem])?;
    let Reader { mut reading, stamps, .. } = reader;
    // A unit is read whole or not at all; what was read of a withheld one is dropped.
    let withheld: Vec<String> = reading.withheld.keys().cloned().collect();
    for unit in withheld {
        super::parts::drop_unit(&mut reading.tree, &unit);
    }
    Ok((reading, stamps))
}

struct Reader {
    /// The configured directory, links resolved: everything read lies inside it.
    home: PathBuf,
    reading: Reading,
    stamps: Stamps,
    entries: usize,
    /// How many bytes further files may take.
    room: u64,
}

/// What a folder lists under a name. The folder's own path has no links left, so only a link's is to be resolved; that
/// takes a question to the file system for each step of the path.
enum Entry {
    Itself(PathBuf, Kind),
    Link(PathBuf),
}

/// Why an entry cannot be read: what is wrong, and what would be right.
struct Fault(String, &'static str);

impl Reader {
    /// Reads a folder. An `Err` ends the whole reading; what ails one unit is noted in `withheld`.
    fn enter(&mut self, folder: &Folder, at: &Path) -> Result<(), Problem> {
        let entries = match self.list(at) {
            Ok(listed) => listed,
            Err(fault) if *folder == Folder::Top => return Err(problem("", "policy directory", &fault)),
            Err(fault) => {
                self.withhold(folder.unit(), problem(&folder.path(), "folder", &fault));
                return Ok(());
            }
        };
        if matches!(folder, Folder::Mesh | Folder::Namespace(_)) {
            self.reading.tree.folders.insert(folder.path());
        }
        for (name, entry) in entries {
            let_others_run();
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                let message = format!("more than {ENTRIES_MAX} files and folders");
                return Err(Problem::error(folder.path(), message).help("point Picket at the policy directory alone"));
            }
            self.entry(folder, &name, entry)?;
        }
        // As for a file: all was read from here, unless a link took the folder's place meanwhile.
        if !fs::canonicalize(at).is_ok_and(|now| now == at) {
            let fault = problem(&folder.path(), "folder", &replaced());
            if *folder == Folder::Top {
                return Err(fault);
            }
            self.withhold(folder.unit(), fault);
        }
        Ok(())
    }

    fn entry(&mut self, folder: &Folder, name: &Result<String, String>, entry: Entry) -> Result<(), Problem> {
        let name = match name {
            Ok(name) => name,
            Err(lossy) => {
                let fault = Fault("has a name that is not UTF-8".to_owned(), "rename it");
                self.withhold(folder.unit(), problem(&folder.join(lossy), "entry", &fault));
                return Ok(());
            }
        };
        if folder.passes_over(name) {
            return Ok(());
        }
        let found = match entry {
            Entry::Itself(path, kind) => Ok((path, kind)),
            Entry::Link(path) => self.resolve(&path),
        };
        let (target, kind) = match found {
            Ok(found) => found,
            Err(fault) => {
                // A broken folder of a namespace is that namespace's trouble, not the platform's.
                let unit = match folder.place(name, Kind::Folder) {
                    Place::Folder(inner) => inner.unit().to_owned(),
                    Place::PassedOver if *folder == Folder::Top => return Ok(()),
                    Place::PassedOver | Place::File | Place::Unexpected(_) => folder.unit().to_owned(),
                };
                self.withhold(&unit, problem(&folder.join(name), "entry", &fault));
                return Ok(());
            }
        };
        match folder.place(name, kind) {
            Place::PassedOver => {}
            Place::Folder(inner) => self.enter(&inner, &target)?,
            Place::File => match content(folder, &target) {
                Ok((text, stamp)) => {
                    let room = self.room.checked_sub(text.len() as u64);
                    self.room = room.ok_or_else(|| {
                        let message = "the files up to this one are larger than 512 MiB together";
                        Problem::error(folder.join(name), message).help("take out what no policy needs")
                    })?;
                    self.stamps.insert(folder.join(name), stamp);
                    self.reading.tree.files.insert(folder.join(name), text.into());
                }
                Err(fault) => self.withhold(folder.unit(), problem(&folder.join(name), "file", &fault)),
            },
            Place::Unexpected(allowed) => {
                let path = folder.join(name);
                let message = format!("`{path}` does not belong here");
                self.withhold(folder.unit(), Problem::error(path, message).help(allowed));
            }
        }
        Ok(())
    }

    fn withhold(&mut self, unit: &str, problem: Problem) {
        self.reading.withheld.entry(unit.to_owned()).or_default().push(problem);
    }

    /// The folder's entries by name, `..data` resolved: a Kubernetes volume's own links point through
    /// it and would, one by one, follow a swap in the middle of the reading.
    fn list(&self, at: &Path) -> Result<BTreeMap<Result<String, String>, Entry>, Fault> {
        let data = at.join("..data");
        let at = match fs::symlink_metadata(&data) {
            Ok(_) => self.resolve(&data)?.0,
            Err(error) if error.kind() == ErrorKind::NotFound => at.to_owned(),
            Err(error) => return Err(unreadable(&error)),
        };
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(&at).map_err(|error| unreadable(&error))?.take(ENTRIES_MAX + 1) {
            let entry = entry.map_err(|error| unreadable(&error))?;
            let name = entry.file_name().into_string().map_err(|name| name.to_string_lossy().into_owned());
            let kind = entry.file_type().map_err(|error| unreadable(&error))?;
            let entry = match kind.is_symlink() {
                true => Entry::Link(entry.path()),
                false => Entry::Itself(entry.path(), kind_of(kind)),
            };
            entries.insert(name, entry);
        }
        Ok(entries)
    }

    /// Follows links. What lies outside the policy directory is not read: whoever may commit a link
    /// could otherwise have any file of this machine quoted in an error message.
    fn resolve(&self, path: &Path) -> Result<(PathBuf, Kind), Fault> {
        let target = fs::canonicalize(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Fault("is a link to nothing".to_owned(), "remove it, or restore what it points to"),
            ErrorKind::PermissionDenied => unreadable(&error),
            // ELOOP has no stable `ErrorKind`; 40 is its number on Linux.
            _ if error.raw_os_error() == Some(40) => {
                Fault("is a link that leads back to itself".to_owned(), "remove the loop")
            }
            _ => unreadable(&error),
        })?;
        if !target.starts_with(&self.home) {
            return Err(Fault(
                "leads outside the policy directory".to_owned(),
                "links may point only to files inside it",
            ));
        }
        let kind = kind_of(fs::metadata(&target).map_err(|error| unreadable(&error))?.file_type());
        Ok((target, kind))
    }
}

fn kind_of(found: fs::FileType) -> Kind {
    match found {
        found if found.is_file() => Kind::File,
        found if found.is_dir() => Kind::Folder,
        _ => Kind::Other,
    }
}

/// A file as a tree holds it: its text, and of a descriptor set its bytes as base64.
fn content(folder: &Folder, path: &Path) -> Result<(String, (SystemTime, u64)), Fault> {
    let (bytes, stamp) = bytes(folder, path)?;
    if *folder == Folder::Descriptors {
        return Ok((STANDARD.encode(bytes), stamp));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Fault(format!("is not UTF-8 at byte {offset}"), "save it as UTF-8")
    })?;
    Ok((text, stamp))
}

/// How large a file of this folder may be, in bytes and in words, and what helps where it is larger.
fn bound(folder: &Folder) -> (u64, &'static str, &'static str) {
    match folder {
        Folder::Mesh | Folder::Namespaces | Folder::Namespace(_) => {
            (POLICY_FILE_BYTES_MAX, "1 MiB", "split it into several files")
        }
        Folder::Top => (
            WHOLE_FILE_BYTES_MAX,
            "64 MiB",
            "it cannot be split: take out what no policy needs, such as schemas of tools",
        ),
        Folder::Descriptors => {
            (WHOLE_FILE_BYTES_MAX, "64 MiB", "make a set of its own for each service, without `--include_source_info`")
        }
    }
}

fn bytes(folder: &Folder, path: &Path) -> Result<(Vec<u8>, (SystemTime, u64)), Fault> {
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    // It was listed as a file; a link that took its place since could lead anywhere.
    let named = fs::symlink_metadata(path).map_err(|error| unreadable(&error))?;
    if (named.dev(), named.ino()) != (metadata.dev(), metadata.ino()) {
        return Err(replaced());
    }
    let modified = metadata.modified().map_err(|error| unreadable(&error))?;
    let stamp = (modified, metadata.ino());
    let mut bytes = Vec::new();
    let (most, words, help) = bound(folder);
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > most {
        return Err(Fault(format!("is larger than {words}"), help));
    }
    Ok((bytes, stamp))
}

fn replaced() -> Fault {
    Fault("was replaced while it was read".to_owned(), "it is read again shortly")
}

fn problem(file: &str, what: &str, fault: &Fault) -> Problem {
    Problem::error(file, format!("{what} `{file}` {}", fault.0)).help(fault.1)
}

fn unreadable(error: &std::io::Error) -> Fault {
    Fault(format!("cannot be read: {}", reason(error)), "let the user that Picket runs as read it")
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::NotADirectory => "it is not a folder".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
