//! Single-use redemption: records used approvals, so that none is used twice.
//!
//! Knows: keys, times, files. Must not know: what an approval is for, calls, policies.
//!
//! One process per file: the file is locked, so a second one cannot even start with it. Replicas with a file each
//! would each allow one use; they need a store that they share, which is another implementation of [`RedemptionStore`].

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _};
use redb::{TableDefinition, TableError};
use tokio_util::task::TaskTracker;

use picket_core::call::UnixMillis;

/// Most recorded uses; beyond it no further one-use approval is accepted. About 100 MB.
const USES_MAX: u64 = 250_000;
/// Most uses forgotten at one writing, so that no call pays for all.
const FORGOTTEN_MAX: usize = 64;
/// Memory for the file's pages, in bytes.
const PAGES_BYTES: usize = 8 * 1024 * 1024;

/// Mode of a new file: the owner's alone.
const FILE_MODE: u32 = 0o600;
/// The most that an older one keeps: the group may read it.
const FILE_MODE_MAX: u32 = 0o640;

/// System and id, and until when the use is recorded.
const USES: TableDefinition<'_, (&str, &str), i64> = TableDefinition::new("uses");
/// The same by time, so that what is over is found without looking at the rest.
const ENDS: TableDefinition<'_, (i64, &str, &str), ()> = TableDefinition::new("ends");

/// The key of an approval: the system's name and the id in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RedemptionKey {
    /// The system that made it.
    pub system: String,
    /// Its id there.
    pub id: String,
}

/// Knows what was used.
pub trait Uses: Send + Sync + std::fmt::Debug {
    /// Returns whether an approval was used.
    ///
    /// # Errors
    /// It is unknown; the fragment says why.
    fn is_used(&self, key: RedemptionKey) -> BoxFuture<'_, Result<bool, String>>;
}

/// Records uses. Read-only code has [`Uses`], which cannot use anything up.
pub trait RedemptionStore: Uses {
    /// Uses an approval: true for the first call, and false for ever after. Durable once it is answered. `until` is
    /// when the use may be deleted, `now` deletes expired ones.
    ///
    /// It may be used although the caller has given up waiting.
    ///
    /// # Errors
    /// It is unknown whether it is used; the fragment says why.
    fn consume(&self, key: RedemptionKey, until: UnixMillis, now: UnixMillis) -> BoxFuture<'_, Result<bool, String>>;
}

/// Uses in a file, or in memory.
#[derive(Debug)]
pub struct Embedded {
    uses: Arc<Database>,
    tasks: TaskTracker,
    uses_max: u64,
}

impl Embedded {
    /// Opens or makes the file; without one, uses are forgotten with the process. Work runs in `tasks`.
    ///
    /// # Errors
    /// The file cannot be used, or another process has it.
    pub fn open(file: Option<&Path>, tasks: &TaskTracker) -> Result<Self, String> {
        let mut builder = Database::builder();
        builder.set_cache_size(PAGES_BYTES);
        let (uses, place) = match file {
            Some(file) => {
                let backend = private(file).map_err(DatabaseError::from).and_then(FileBackend::new);
                let uses = backend.and_then(|backend| builder.create_with_backend(backend));
                (uses, format!("file `{}`", file.display()))
            }
            None => (builder.create_with_backend(InMemoryBackend::new()), "memory".to_owned()),
        };
        let uses = uses.map_err(|error| format!("uses of approvals cannot be kept in {place}: {error}"))?;
        Ok(Self { uses: Arc::new(uses), tasks: tasks.clone(), uses_max: USES_MAX })
    }

    /// Files block, so this work runs outside the runtime.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, String> {
        let uses = Arc::clone(&self.uses);
        match self.tasks.spawn_blocking(move || work(&uses)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(format!("the store of uses failed: {error}")),
            Err(_) => Err("the store of uses was interrupted".to_owned()),
        }
    }
}

/// Opens or creates a file for its owner alone, under any umask: a process that can write it can make an approval good
/// again, and one that can read it sees which calls were approved. The group of an older file keeps its access.
fn private(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & !FILE_MODE_MAX != 0 {
        file.set_permissions(Permissions::from_mode(mode & FILE_MODE_MAX))?;
    }
    Ok(file)
}

impl Uses for Embedded {
    fn is_used(&self, key: RedemptionKey) -> BoxFuture<'_, Result<bool, String>> {
        self.apart(move |uses| is_used(uses, &key)).boxed()
    }
}

impl RedemptionStore for Embedded {
    fn consume(&self, key: RedemptionKey, until: UnixMillis, now: UnixMillis) -> BoxFuture<'_, Result<bool, String>> {
        let max = self.uses_max;
        async move {
            match self.apart(move |uses| consume(uses, &key, until.0, now.0, max)).await? {
                Consumption::First => Ok(true),
                Consumption::Again => Ok(false),
                Consumption::Full => Err(format!("the store of uses is full: {max} approvals are not over yet")),
            }
        }
        .boxed()
    }
}

enum Consumption {
    First,
    Again,
    Full,
}

/// One transaction: readers of the file see all of it or nothing, and writers wait for each other.
fn consume(
    database: &Database,
    key: &RedemptionKey,
    until: i64,
    now: i64,
    max: u64,
) -> Result<Consumption, redb::Error> {
    let writing = database.begin_write()?;
    let outcome = {
        let (mut uses, mut ends) = (writing.open_table(USES)?, writing.open_table(ENDS)?);
        let over: Vec<(i64, String, String)> = ends
            .range(..(now, "", ""))?
            .take(FORGOTTEN_MAX)
            .map(|entry| {
                let (end, _) = entry?;
                let (at, system, id) = end.value();
                Ok((at, system.to_owned(), id.to_owned()))
            })
            .collect::<Result<_, redb::StorageError>>()?;
        for (at, system, id) in &over {
            ends.remove((*at, system.as_str(), id.as_str()))?;
            uses.remove((system.as_str(), id.as_str()))?;
        }
        let name = (key.system.as_str(), key.id.as_str());
        if uses.get(name)?.is_some() {
            Consumption::Again
        } else if uses.len()? >= max {
            Consumption::Full
        } else {
            uses.insert(name, until)?;
            ends.insert((until, key.system.as_str(), key.id.as_str()), ())?;
            Consumption::First
        }
    };
    // On the disk when this returns: redb's default durability.
    writing.commit()?;
    Ok(outcome)
}

fn is_used(database: &Database, key: &RedemptionKey) -> Result<bool, redb::Error> {
    let reading = database.begin_read()?;
    match reading.open_table(USES) {
        Ok(uses) => Ok(uses.get((key.system.as_str(), key.id.as_str()))?.is_some()),
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
