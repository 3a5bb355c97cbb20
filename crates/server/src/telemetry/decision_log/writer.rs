//! Writes records to standard output or a file.
//!
//! Knows: files. Must not know: what is in a record. Runs on a thread of its own, which may hang on its
//! sink for ever without holding up anything else: the queue in front of it is bounded.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::queue::{Batch, Queue};

/// How long to leave a failing sink alone.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to leave a sink alone that is non-blocking and full.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// Where records go.
#[derive(Debug)]
pub(super) enum Target {
    /// Standard output.
    Stdout,
    /// This file, appended to, and opened again where it was renamed or removed.
    File(PathBuf),
}

/// What became of one batch.
struct Wrote {
    lines: usize,
    error: Option<io::Error>,
}

struct Sink {
    target: Target,
    file: Option<File>,
    torn: bool,
}

/// Writes until the queue is closed and empty.
pub(super) fn run(queue: &Queue, target: Target) {
    let mut sink = Sink { target, file: None, torn: false };
    let mut failing = false;
    while let Some(batch) = queue.take() {
        let wrote = sink.write(&batch);
        let gap_lines = usize::from(batch.gap > 0);
        let written = wrote.lines.saturating_sub(gap_lines);
        let untold = if wrote.lines < gap_lines { batch.gap } else { 0 };
        let lost = batch.records.len().saturating_sub(written);
        queue.done(count(written), count(lost), untold);
        match (wrote.error, failing) {
            (Some(error), false) => {
                failing = true;
                tracing::error!(error = %error, "could not write the decision log; records are lost until a write succeeds");
            }
            (None, true) => {
                failing = false;
                tracing::info!("writing the decision log works again");
            }
            (Some(_), true) | (None, false) => {}
        }
        // At the end there is one try for each batch, and no waiting between them.
        if failing && queue.rest(PAUSE) && batch.records.is_empty() {
            return;
        }
    }
}

impl Sink {
    fn write(&mut self, batch: &Batch) -> Wrote {
        let mut buffer = Vec::new();
        let mut ends = Vec::with_capacity(batch.records.len() + 1);
        if self.torn {
            buffer.push(b'\n');
        }
        if batch.gap > 0 {
            buffer.extend_from_slice(format!("{{\"v\":1,\"gap\":{}}}\n", batch.gap).as_bytes());
            ends.push(buffer.len());
        }
        for record in &batch.records {
            buffer.extend_from_slice(record);
            buffer.push(b'\n');
            ends.push(buffer.len());
        }
        let mut done = 0;
        let error = self.open().and_then(|file| write_all(file, &buffer, &mut done)).err();
        if done > 0 {
            // A line cut short is ended before the next one begins, so that only it is unreadable.
            self.torn = buffer.get(done - 1) != Some(&b'\n');
        }
        if error.is_some() {
            self.file = None;
        }
        Wrote { lines: ends.iter().filter(|end| **end <= done).count(), error }
    }

    fn open(&mut self) -> io::Result<&mut File> {
        let file = match (self.file.take(), &self.target) {
            (Some(file), Target::Stdout) => file,
            (Some(file), Target::File(path)) if is_same(&file, path) => file,
            (None, Target::Stdout) => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            (_, Target::File(path)) => append(path)?,
        };
        Ok(self.file.insert(file))
    }
}

/// Like [`Write::write_all`], but says how far it got.
fn write_all(file: &mut File, buffer: &[u8], done: &mut usize) -> io::Result<()> {
    while let Some(rest) = buffer.get(*done..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(bytes) => *done += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL_PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn append(path: &Path) -> io::Result<File> {
    // Decisions name people and places: nobody but the owner and the group reads them.
    File::options().append(true).create(true).mode(0o640).open(path)
}

fn is_same(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.dev() == named.dev() && open.ino() == named.ino(),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}

fn count(records: usize) -> u64 {
    u64::try_from(records).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(gap: u64, records: &[&str]) -> Batch {
        Batch { gap, records: records.iter().map(|record| record.as_bytes().to_vec()).collect() }
    }

    fn sink(path: &Path) -> Sink {
        Sink { target: Target::File(path.to_owned()), file: None, torn: false }
    }

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_file_that_was_renamed_or_removed_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, rotated) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut sink = sink(&path);
        assert_eq!(sink.write(&batch(0, &["a", "b"])).lines, 2);
        std::fs::rename(&path, &rotated).unwrap();
        assert_eq!(sink.write(&batch(0, &["c"])).lines, 1);
        assert_eq!((text(&rotated), text(&path)), ("a\nb\n".to_owned(), "c\n".to_owned()));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(sink.write(&batch(0, &["d"])).lines, 1);
        assert_eq!(text(&path), "d\n");
    }

    #[test]
    fn a_gap_comes_before_the_records_that_follow_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(sink(&path).write(&batch(3, &["a"])).lines, 2);
        assert_eq!(text(&path), "{\"v\":1,\"gap\":3}\na\n");
    }

    #[test]
    fn a_line_cut_short_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "{\"cut").unwrap();
        let mut sink = Sink { torn: true, ..sink(&path) };
        assert_eq!(sink.write(&batch(0, &["a"])).lines, 1);
        assert_eq!(text(&path), "{\"cut\na\n");
    }

    #[test]
    fn a_failed_write_reports_how_many_lines_it_wrote() {
        let wrote = sink(Path::new("/dev/full")).write(&batch(1, &["a"]));
        assert_eq!(wrote.lines, 0);
        assert!(wrote.error.is_some());
    }
}
