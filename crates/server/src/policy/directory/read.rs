//! One read of a policy directory, unit by unit.
//!
//! Knows: the file system and its traps. Must not know: Cedar, snapshots, other readings.
//!
//! The link is resolved once per reading, and so is a Kubernetes volume's `..data`, so that all files
//! come from one version even while the next one is swapped in. What ails a unit is noted with that unit: only a directory
//! that cannot be read at all ends a reading.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::layout::{EntryKind, EntryRole, Folder};
use super::super::{PLATFORM, digest};
use super::budget::{Budget, Limits, Overdrawn};
use crate::cooperative::maybe_yield;
use picket_core::catalog::file;
use picket_core::problem::Problem;

/// Largest policy file that is read, in bytes.
pub const POLICY_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Largest file that cannot be split, in bytes: one at the top, or a descriptor set. As the catalogue has it.
pub const WHOLE_FILE_BYTES_MAX: u64 = file::BYTES_MAX as u64;
/// Most problems that are noted of one unit.
const PROBLEMS_MAX: usize = 32;

/// Everything that was read, by unit.
pub(super) type Units = BTreeMap<String, UnitReading>;

/// When a file was last written and which inode it is. A file that is emptied and filled all the
/// time is found empty twice; its stamps tell.
type Stamp = (SystemTime, u64);

/// What was read of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct UnitReading {
    pub(super) files: BTreeMap<String, Arc<str>>,
    pub(super) folders: BTreeSet<String>,
    pub(super) stamps: BTreeMap<String, Stamp>,
    /// Why the unit is withheld, where it is.
    pub(super) problems: Vec<Problem>,
    pub(super) closed: Closed,
}

/// Whether more is read of a unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Closed {
    #[default]
    Open,
    /// It holds more than it may.
    Overdrawn,
}

impl UnitReading {
    /// Hex SHA-256 over contents and problems; equal digests, equal units. Stamps do not count.
    pub(super) fn digest(&self) -> String {
        digest(&self.folders, &self.files, [("", self.problems.as_slice())])
    }

    fn withhold(&mut self, problem: Problem) {
        match self.problems.len() {
            PROBLEMS_MAX => {
                self.problems.push(Problem::error(problem.file, "and further problems, which are not listed"))
            }
            fewer if fewer < PROBLEMS_MAX => self.problems.push(problem),
            _ => {}
        }
    }
}

/// Reads every unit of the directory.
///
/// # Errors
/// The directory itself cannot be read.
pub(super) fn units(root: &Path, limits: Limits) -> Result<Units, Vec<Problem>> {
    let home = fs::canonicalize(root).map_err(|error| {
        let message = format!("policy directory `{}` cannot be opened: {}", root.display(), reason(&error));
        vec![Problem::error("", message)]
    })?;
    let mut reader = TreeReader::new(home.clone(), limits);
    reader.enter(&Folder::Top, &home).map_err(|problem| vec![problem])?;
    Ok(reader.units)
}

pub(super) struct TreeReader {
    /// The configured directory, links resolved: everything read lies inside it.
    home: PathBuf,
    pub(super) units: Units,
    budget: Budget,
}

/// What a folder lists under a name. The folder's own path has no links left, so only a link's is to be resolved; that
/// takes a question to the file system for each step of the path.
enum Entry {
    Itself(PathBuf, EntryKind),
    Link(PathBuf),
}

/// Why an entry cannot be read: what is wrong, and what would be right.
pub(super) struct Fault(pub(super) String, &'static str);

impl TreeReader {
    pub(super) fn new(home: PathBuf, limits: Limits) -> Self {
        let units = Units::from([(PLATFORM.to_owned(), UnitReading::default())]);
        Self { home, units, budget: Budget::new(limits) }
    }

    /// Reads a folder. An `Err` ends the whole reading, and only the directory itself gives one; what ails one unit is
    /// noted with it.
    pub(super) fn enter(&mut self, folder: &Folder, at: &Path) -> Result<(), Problem> {
        let entries = match self.list(folder, at) {
            Ok(listed) => listed,
            Err(fault) if *folder == Folder::Top => return Err(problem("", "policy directory", &fault)),
            Err(fault) => {
                self.withhold(folder.unit(), problem(&folder.path(), "folder", &fault));
                return Ok(());
            }
        };
        if matches!(folder, Folder::Mesh | Folder::Namespace(_)) {
            self.unit(folder.unit()).folders.insert(folder.path());
        }
        let over = self.budget.add_entries(folder.unit(), entries.len());
        self.overdraw(over);
        for (name, entry) in entries {
            maybe_yield();
            // The platform's trouble hides no namespace.
            if self.is_closed(folder) && !matches!(folder, Folder::Top | Folder::Namespaces) {
                break;
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
            Err(shown) => {
                let fault = Fault("has a name that is not UTF-8, or holds control characters".to_owned(), "rename it");
                self.withhold(folder.unit(), problem(&folder.join(shown), "entry", &fault));
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
            Err(_) if *folder == Folder::Top && folder.place(name, EntryKind::Folder) == EntryRole::PassedOver => {
                return Ok(());
            }
            Err(fault) => {
                self.withhold(folder.owner(name), problem(&folder.join(name), "entry", &fault));
                return Ok(());
            }
        };
        match folder.place(name, kind) {
            EntryRole::PassedOver => {}
            EntryRole::Folder(inner) => self.enter(&inner, &target)?,
            EntryRole::File => self.file(folder, name, &target),
            EntryRole::Unexpected(allowed) => {
                let path = folder.join(name);
                let message = format!("`{path}` does not belong here");
                self.withhold(folder.owner(name), Problem::error(path, message).help(allowed));
            }
        }
        Ok(())
    }

    fn is_closed(&mut self, folder: &Folder) -> bool {
        self.unit(folder.unit()).closed == Closed::Overdrawn
    }

    fn file(&mut self, folder: &Folder, name: &str, target: &Path) {
        if self.is_closed(folder) {
            return;
        }
        match content(folder, target) {
            Ok((text, stamp)) => {
                let over = self.budget.add_file(folder.unit(), &text);
                let unit = self.unit(folder.unit());
                unit.stamps.insert(folder.join(name), stamp);
                unit.files.insert(folder.join(name), text.into());
                self.overdraw(over);
            }
            Err(fault) => self.withhold(folder.unit(), problem(&folder.join(name), "file", &fault)),
        }
    }

    fn unit(&mut self, unit: &str) -> &mut UnitReading {
        self.units.entry(unit.to_owned()).or_default()
    }

    fn withhold(&mut self, unit: &str, problem: Problem) {
        self.unit(unit).withhold(problem);
    }

    /// Lets go of units that hold too much. Which file came last says nothing, so the folder is named.
    fn overdraw(&mut self, over: Vec<Overdrawn>) {
        for Overdrawn { unit: name, what, help } in over {
            let (file, subject) = match name.as_str() {
                PLATFORM => (String::new(), "the platform's folders hold".to_owned()),
                namespace => (format!("namespaces/{namespace}"), format!("namespace `{namespace}` holds")),
            };
            let unit = self.unit(&name);
            *unit = UnitReading { closed: Closed::Overdrawn, ..UnitReading::default() };
            unit.withhold(Problem::error(file, format!("{subject} {what}")).help(help));
        }
    }

    /// The folder's entries by name, `..data` resolved: a Kubernetes volume's own links point through
    /// it and would, one by one, follow a swap in the middle of the reading.
    fn list(&self, folder: &Folder, at: &Path) -> Result<BTreeMap<Result<String, String>, Entry>, Fault> {
        let data = at.join("..data");
        let at = match fs::symlink_metadata(&data) {
            Ok(_) => self.resolve(&data)?.0,
            Err(error) if error.kind() == ErrorKind::NotFound => at.to_owned(),
            Err(error) => return Err(unreadable(&error)),
        };
        let mut entries = BTreeMap::new();
        let most = self.budget.entries_read(folder.unit());
        for entry in fs::read_dir(&at).map_err(|error| unreadable(&error))?.take(most) {
            let entry = entry.map_err(|error| unreadable(&error))?;
            let kind = entry.file_type().map_err(|error| unreadable(&error))?;
            let name = legible(entry.file_name());
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
    fn resolve(&self, path: &Path) -> Result<(PathBuf, EntryKind), Fault> {
        let target = fs::canonicalize(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Fault("is a link to nothing".to_owned(), "remove it, or restore what it points to"),
            ErrorKind::PermissionDenied => unreadable(&error),
            // ELOOP has no stable `ErrorKind`; 40 is its number on Linux.
            _ if error.raw_os_error() == Some(40) => {
                Fault("is a link that points back to itself".to_owned(), "remove the loop")
            }
            _ => unreadable(&error),
        })?;
        if !target.starts_with(&self.home) {
            return Err(Fault(
                "points outside the policy directory".to_owned(),
                "links may point only to files inside it",
            ));
        }
        let kind = kind_of(fs::metadata(&target).map_err(|error| unreadable(&error))?.file_type());
        Ok((target, kind))
    }
}

/// A name that can stand in a path of the tree and in a line of a log; else as it is shown.
fn legible(name: std::ffi::OsString) -> Result<String, String> {
    match name.into_string() {
        Ok(name) if name.chars().any(char::is_control) => Err(name.escape_debug().to_string()),
        Ok(name) => Ok(name),
        Err(name) => Err(name.to_string_lossy().escape_debug().to_string()),
    }
}

fn kind_of(found: fs::FileType) -> EntryKind {
    match found {
        found if found.is_file() => EntryKind::File,
        found if found.is_dir() => EntryKind::Folder,
        _ => EntryKind::Other,
    }
}

/// A file as a tree holds it: its text, and of a descriptor set its bytes as base64.
pub(super) fn content(folder: &Folder, path: &Path) -> Result<(String, (SystemTime, u64)), Fault> {
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
    let file = open(path).map_err(|error| unreadable(&error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    // It was listed as a file; a link that took its place since could lead anywhere, and a pipe never ends.
    let named = fs::symlink_metadata(path).map_err(|error| unreadable(&error))?;
    if (named.dev(), named.ino()) != (metadata.dev(), metadata.ino()) || !metadata.is_file() {
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

/// Opens a file without waiting: to open a pipe, which may have taken the file's place, waits for somebody to write to it.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)
}

/// `O_NONBLOCK` of this system's `open(2)`; it means nothing for files.
#[cfg(any(target_os = "linux", target_os = "android"))]
const O_NONBLOCK: i32 = 0o4000;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const O_NONBLOCK: i32 = 0x4;

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
