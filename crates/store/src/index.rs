//! The index: an SQLite file that speeds up queries that the files can answer too.
//!
//! Nothing depends on the index. Every answer from it is checked against the files; if it has no answer, the files
//! are read; and a fact that it fails to store will be stored another time. So no function here returns an error: a
//! locked index is skipped, a damaged one or one of another version is deleted and recreated, and where no file is
//! possible, an index in memory is used. The only facts that no file holds are the days on which objects were last
//! used: these are a hint for `gc`, which keeps fewer objects without them.

mod outcomes;
mod outline;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row as SqlRow, Transaction, TransactionBehavior, params};

pub(super) use outcomes::{Memory, Remembered};

use super::records::{Row, Timing};
use base::digest::{ObjectDigest, RecordDigest, StageKey};
use files::Identity;

/// SQL that creates the tables, one step per version (`user_version` counts the steps done). Append only.
const MIGRATIONS: [&str; 4] = [
    "
    CREATE TABLE records (
        digest BLOB PRIMARY KEY, key BLOB NOT NULL, kind TEXT NOT NULL, stage TEXT NOT NULL, device TEXT NOT NULL,
        finished INTEGER NOT NULL, seconds REAL NOT NULL, flops REAL NOT NULL, bytes INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX by_stage ON records (stage, finished);
    CREATE INDEX by_kind ON records (kind, device, finished);
    -- identity: the file when its bytes were last hashed; NULL if they never were.
    CREATE TABLE objects (digest BLOB PRIMARY KEY, raw INTEGER NOT NULL, identity BLOB) WITHOUT ROWID;
    -- Holds a row once all files of the store have been entered.
    CREATE TABLE complete (yes INTEGER PRIMARY KEY);
",
    "
    -- used: the day since 1970 on which this user's programs last needed the object; 0 if never.
    ALTER TABLE objects ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
    -- Objects that a record yields, except inline ones. Records entered without them are entered again.
    CREATE TABLE yields (digest BLOB NOT NULL, object BLOB NOT NULL, PRIMARY KEY (digest, object)) WITHOUT ROWID;
    DELETE FROM records;
    DELETE FROM complete;
",
    "
    -- Outcomes of keys with a single record, and the files that they were read from.
    CREATE TABLE outcomes (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL, folder BLOB NOT NULL, file BLOB NOT NULL, outline BLOB NOT NULL
    );
",
    "
    -- Records that this account computed or imported here, and the file of each; fetched records are not included.
    CREATE TABLE made (digest BLOB PRIMARY KEY, key BLOB NOT NULL, file BLOB NOT NULL) WITHOUT ROWID;
",
];

/// What the index knows about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownObject {
    pub(super) digest: ObjectDigest,
    /// Number of unpacked bytes.
    pub(super) raw: u64,
}

/// The fields of a record that statistics need.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) key: StageKey,
    pub(super) kind: Arc<str>,
    /// Size of its file in bytes.
    pub(super) bytes: u64,
    pub(super) seconds: f64,
}

impl Counted {
    pub(super) fn of(row: &Row) -> Self {
        Self { key: row.key, kind: row.kind.as_str().into(), bytes: row.bytes, seconds: row.seconds }
    }
}

#[derive(Debug)]
pub(super) struct Index {
    /// Path of the index. Without a path, the index is in memory.
    path: Option<PathBuf>,
    connection: Mutex<Option<Connection>>,
}

impl Index {
    /// Opens or creates the index. Without a path, creates it in memory.
    pub(super) fn open(path: Option<PathBuf>) -> Self {
        let connection = Mutex::new(connect(path.as_deref()));
        Self { path, connection }
    }

    /// Deletes an index that is no longer needed.
    pub(super) fn remove(path: &Path) {
        delete(path);
    }

    /// Runs a query or change. Returns `None` if it fails. If the file is damaged, was replaced or is gone, recreates the
    /// index.
    fn run<T>(&self, action: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Option<T> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match action(connection.as_mut()?) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return None,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                self.path.as_deref().map(delete);
            }
            _ => {}
        }
        // Closed first, so that a file being replaced is released.
        *connection = None;
        *connection = connect(self.path.as_deref());
        None
    }

    fn change<T>(&self, action: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Option<T> {
        self.run(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = action(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
    }

    /// Whether the object's bytes were verified when its file had this identity.
    pub(super) fn knows_object(&self, object: &ObjectDigest, identity: &Identity) -> bool {
        self.file(object).is_some_and(|known| known == *identity)
    }

    /// Returns the identity of an object's file when its bytes were last verified.
    fn file(&self, object: &ObjectDigest) -> Option<Identity> {
        let known = self.run(|connection| {
            let mut query = connection.prepare("SELECT identity FROM objects WHERE digest = ?")?;
            query.query_row([object.as_bytes()], |row| row.get::<_, Option<[u8; 32]>>(0)).optional()
        });
        known.flatten().flatten().as_ref().map(decode)
    }

    /// Stores the fact that the object's `raw` bytes are right while its file has this identity.
    pub(super) fn remember_object(&self, object: &ObjectDigest, raw: u64, identity: &Identity) {
        self.change(|transaction| {
            let mut insert = transaction.prepare(
                "INSERT INTO objects (digest, raw, identity) VALUES (?, ?, ?)
                 ON CONFLICT (digest) DO UPDATE SET raw = excluded.raw, identity = excluded.identity",
            )?;
            insert.execute(params![object.as_bytes(), raw.cast_signed(), encode(identity)])
        });
    }

    pub(super) fn forget_objects(&self, objects: &[ObjectDigest]) {
        self.change(|transaction| delete_rows(transaction, "objects", objects.iter().map(ObjectDigest::as_bytes)));
    }

    /// Returns the days on which objects were last needed.
    pub(super) fn uses(&self) -> HashMap<ObjectDigest, u64> {
        let sql = "SELECT digest, used FROM objects WHERE used > 0";
        let read =
            |row: &SqlRow<'_>| Ok((ObjectDigest::from_bytes(row.get(0)?), row.get::<_, i64>(1)?.cast_unsigned()));
        self.all(sql, &[], read).into_iter().collect()
    }

    /// Returns which stages yield which objects: for each object, the first stage by kind and name, without sweep
    /// values and epochs.
    pub(super) fn origins(&self) -> HashMap<ObjectDigest, (String, String)> {
        let sql = "SELECT object, kind, stage FROM yields JOIN records USING (digest) ORDER BY kind DESC, stage DESC";
        self.all(sql, &[], |row| Ok((ObjectDigest::from_bytes(row.get(0)?), (row.get(1)?, row.get(2)?))))
            .into_iter()
            .collect()
    }

    pub(super) fn add_records(&self, rows: &[Row]) {
        self.change(|transaction| insert_records(transaction, rows));
    }

    /// Stores the fact that a record was made here, and the identity of its file at that time.
    pub(super) fn add_made(&self, key: &StageKey, record: &RecordDigest, file: &Identity) {
        self.change(|transaction| {
            let mut insert = transaction.prepare("INSERT OR REPLACE INTO made (digest, key, file) VALUES (?, ?, ?)")?;
            insert.execute(params![record.as_bytes(), key.as_bytes(), encode(file)])
        });
    }

    /// Returns the identity that a record's file had when the record was made here.
    pub(super) fn made(&self, record: &RecordDigest) -> Option<Identity> {
        let file = self.run(|connection| {
            let mut query = connection.prepare("SELECT file FROM made WHERE digest = ?")?;
            query.query_row([record.as_bytes()], |row| row.get::<_, [u8; 32]>(0)).optional()
        });
        file.flatten().as_ref().map(decode)
    }

    /// Returns all records that were made here.
    pub(super) fn all_made(&self) -> Vec<(StageKey, RecordDigest, Identity)> {
        let read = |row: &SqlRow<'_>| {
            let (key, record) = (StageKey::from_bytes(row.get(0)?), RecordDigest::from_bytes(row.get(1)?));
            Ok((key, record, decode(&row.get(2)?)))
        };
        self.all("SELECT key, digest, file FROM made", &[], read)
    }

    pub(super) fn forget_record(&self, record: &RecordDigest) {
        self.change(|transaction| {
            delete_rows(transaction, "records", [record.as_bytes()])?;
            delete_rows(transaction, "yields", [record.as_bytes()])
        });
    }

    /// Returns the records of stages with this name, newest first.
    pub(super) fn named(&self, stage: &str) -> Vec<(StageKey, RecordDigest)> {
        let sql = "SELECT key, digest FROM records WHERE stage = ? ORDER BY finished DESC, digest";
        self.all(sql, &[stage], |row| Ok((StageKey::from_bytes(row.get(0)?), RecordDigest::from_bytes(row.get(1)?))))
    }

    /// Returns the durations of the latest 50 records of a kind and device, newest first.
    pub(super) fn history(&self, kind: &str, device: &str) -> Vec<Timing> {
        let sql =
            "SELECT flops, seconds FROM records WHERE kind = ? AND device = ? ORDER BY finished DESC, digest LIMIT 50";
        self.all(sql, &[kind, device], |row| Ok(Timing { flops: row.get(0)?, seconds: row.get(1)? }))
    }

    /// Returns the fields needed for statistics of all records. There can be millions: each kind is held in memory
    /// once, and names of stages not at all.
    pub(super) fn records(&self) -> HashMap<RecordDigest, Counted> {
        let (mut all, mut kinds) = (HashMap::new(), BTreeSet::<Arc<str>>::new());
        self.run(|connection| {
            let mut query = connection.prepare("SELECT digest, key, kind, bytes, seconds FROM records")?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let kind = row.get_ref(2)?.as_str()?;
                let kind = kinds.get(kind).cloned().unwrap_or_else(|| kind.into());
                kinds.insert(Arc::clone(&kind));
                let (key, bytes) = (StageKey::from_bytes(row.get(1)?), row.get::<_, i64>(3)?.cast_unsigned());
                let counted = Counted { key, kind, bytes, seconds: row.get(4)? };
                all.insert(RecordDigest::from_bytes(row.get(0)?), counted);
            }
            Ok(())
        });
        all
    }

    /// Returns all objects.
    pub(super) fn objects(&self) -> Vec<KnownObject> {
        self.all("SELECT digest, raw FROM objects", &[], |row| {
            Ok(KnownObject {
                digest: ObjectDigest::from_bytes(row.get(0)?),
                raw: row.get::<_, i64>(1)?.cast_unsigned(),
            })
        })
    }

    fn all<T>(&self, sql: &str, with: &[&str], read: impl Fn(&SqlRow<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let found = self.run(|connection| {
            let mut query = connection.prepare(sql)?;
            query.query_map(rusqlite::params_from_iter(with), &read)?.collect()
        });
        found.unwrap_or_default()
    }

    /// Whether all files of the store have been entered since the index was created.
    pub(super) fn is_complete(&self) -> bool {
        self.run(|connection| connection.query_row("SELECT count(*) FROM complete", [], |row| row.get::<_, i64>(0)))
            .is_some_and(|rows| rows > 0)
    }

    /// Brings the index in line with the files: adds missing entries and drops obsolete ones.
    pub(super) fn correct(&self, changes: &Corrections) {
        self.change(|transaction| {
            insert_records(transaction, &changes.new_records)?;
            for object in &changes.new_objects {
                let mut insert = transaction.prepare("INSERT OR IGNORE INTO objects (digest, raw) VALUES (?, ?)")?;
                insert.execute(params![object.digest.as_bytes(), object.raw.cast_signed()])?;
            }
            for table in ["records", "yields"] {
                delete_rows(transaction, table, changes.gone_records.iter().map(|(_, record)| record.as_bytes()))?;
            }
            let mut forget = transaction.prepare("DELETE FROM outcomes WHERE id = ?")?;
            changes.gone_records.iter().try_for_each(|(key, _)| forget.execute([outcomes::number(key)]).map(drop))?;
            delete_rows(transaction, "objects", changes.gone_objects.iter().map(ObjectDigest::as_bytes))?;
            transaction.execute("INSERT OR IGNORE INTO complete VALUES (1)", [])
        });
    }
}

/// Differences between the index and the files.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    pub(super) new_records: Vec<Row>,
    pub(super) gone_records: Vec<(StageKey, RecordDigest)>,
    pub(super) new_objects: Vec<KnownObject>,
    pub(super) gone_objects: Vec<ObjectDigest>,
}

impl Corrections {
    /// Returns the number of differing entries.
    pub(super) fn len(&self) -> u64 {
        let Self { new_records, gone_records, new_objects, gone_objects } = self;
        (new_records.len() + gone_records.len() + new_objects.len() + gone_objects.len()) as u64
    }
}

fn delete_rows<'a>(
    transaction: &Transaction<'_>,
    table: &str,
    digests: impl IntoIterator<Item = &'a [u8; 32]>,
) -> rusqlite::Result<()> {
    let mut delete = transaction.prepare(&format!("DELETE FROM {table} WHERE digest = ?"))?;
    digests.into_iter().try_for_each(|digest| delete.execute([digest]).map(drop))
}

fn insert_records(transaction: &Transaction<'_>, rows: &[Row]) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(
        "INSERT OR REPLACE INTO records (key, digest, kind, stage, device, finished, seconds, flops, bytes)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let mut insert_yield = transaction.prepare("INSERT OR IGNORE INTO yields VALUES (?, ?)")?;
    for Row { key, digest, kind, stage, device, finished, seconds, flops, bytes, yields } in rows {
        // SQLite has no NaN (it stores NULL), and integers are signed.
        let number = |value: &f64| if value.is_nan() { 0.0 } else { *value };
        insert.execute(params![
            key.as_bytes(),
            digest.as_bytes(),
            kind,
            stage,
            device,
            i64::try_from(*finished).unwrap_or(i64::MAX),
            number(seconds),
            number(flops),
            bytes.cast_signed()
        ])?;
        for object in yields {
            insert_yield.execute(params![digest.as_bytes(), object.as_bytes()])?;
        }
    }
    Ok(())
}

fn encode(identity: &Identity) -> [u8; 32] {
    let Identity { size, modified, changed, inode } = identity;
    let mut bytes = [0; 32];
    for (to, from) in bytes.chunks_exact_mut(8).zip([*size, modified.cast_unsigned(), changed.cast_unsigned(), *inode])
    {
        to.copy_from_slice(&from.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8; 32]) -> Identity {
    let mut numbers =
        bytes.chunks_exact(8).map(|part| part.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    let mut next = || numbers.next().unwrap_or_default();
    Identity { size: next(), modified: next().cast_signed(), changed: next().cast_signed(), inode: next() }
}

/// Opens a connection to the index file, or else to an index in memory.
fn connect(path: Option<&Path>) -> Option<Connection> {
    let opened = path.map(|path| match open(path) {
        // Delete only files that are not a valid index: a merely locked one is in use by another process.
        Err(Refused::NoIndex) => {
            delete(path);
            open(path)
        }
        other => other,
    });
    let opened = opened.unwrap_or(Err(Refused::Unusable));
    opened.or_else(|_| prepare(Connection::open_in_memory())).ok()
}

fn open(path: &Path) -> Result<Connection, Refused> {
    if files::identity(path).is_ok_and(|there| there.is_none()) {
        // The index is private to this account. SQLite's journals take over its mode; an empty file is an empty
        // index.
        let _ = files::create_private(path, b"");
    }
    prepare(Connection::open(path))
}

fn delete(path: &Path) {
    for suffix in ["", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // A file that cannot be removed cannot be opened either. In that case, an index in memory is used.
        let _ = files::remove(Path::new(&name));
    }
}

enum Refused {
    /// The file is not an SQLite file, is damaged, or has a version that this program does not know.
    NoIndex,
    /// The file is locked for too long, is read-only, or does not exist.
    Unusable,
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::NoIndex,
            _ => Self::Unusable,
        }
    }
}

fn prepare(connection: rusqlite::Result<Connection>) -> Result<Connection, Refused> {
    let mut connection = connection?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // The file may come from a folder that somebody sent: nothing in it must be executed.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // A journal next to the file keeps it intact when the process is killed; damage by a power failure does not
    // matter. No WAL: it needs memory shared between the processes, which network file systems lack.
    connection.pragma_update(None, "journal_mode", "TRUNCATE")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = transaction.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))?;
    let Some(steps) = MIGRATIONS.get(version as usize..) else { return Err(Refused::NoIndex) };
    for step in steps {
        // An existing table belongs to something else.
        transaction.execute_batch(step).map_err(|_| Refused::NoIndex)?;
    }
    // Written even if unchanged: this detects an index that cannot be written and is therefore useless.
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    transaction.commit()?;
    Ok(connection)
}
