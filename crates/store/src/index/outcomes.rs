//! What the index remembers of records: the outcomes of keys, valid as long as the files that they were read from are
//! unchanged.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use rusqlite::{OptionalExtension, Row as SqlRow, params};

use super::{Index, decode, encode, outline};
use base::digest::{ObjectDigest, StageKey};
use base::record::Outline;
use files::Identity;

/// Number of bytes of an index that can be read in the time of one query. If most of the index is needed, it is read
/// whole.
const PER_QUESTION: u64 = 2 << 10;

/// The outcome of a key that has only one record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) outline: Outline,
    /// Identity of the folder of the key's records when it held only this record.
    pub(crate) folder: Identity,
    /// Identity of the record's file when its bytes matched its name.
    pub(crate) file: Identity,
}

/// Contents of the index. If many queries follow, they are read at once. Otherwise each query goes to the index.
#[derive(Debug)]
pub(crate) struct Memory<'a> {
    index: &'a Index,
    all: Option<All>,
}

#[derive(Debug)]
struct All {
    outcomes: HashMap<StageKey, Remembered>,
    files: HashMap<ObjectDigest, Identity>,
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        if self.all.is_none() {
            self.index.run(|connection| connection.execute_batch("COMMIT"));
        }
    }
}

impl Memory<'_> {
    /// Returns the only record of a key. Call this once per key.
    pub(crate) fn outcome(&mut self, key: &StageKey) -> Option<Remembered> {
        match &mut self.all {
            Some(all) => all.outcomes.remove(key),
            None => self.index.outcome(key),
        }
    }

    /// Returns the identity of an object's file when its bytes were last verified.
    pub(crate) fn file(&self, object: &ObjectDigest) -> Option<Identity> {
        match &self.all {
            Some(all) => all.files.get(object).copied(),
            None => self.index.file(object),
        }
    }
}

impl Index {
    /// Prepares for about this many queries.
    pub(crate) fn memory(&self, questions: usize) -> Memory<'_> {
        let all = self
            .is_small_for(questions)
            .then(|| All { outcomes: self.outcomes(questions), files: self.files(questions) });
        if all.is_none() {
            // One lock for all queries takes a third of the time of one lock per query.
            self.run(|connection| connection.execute_batch("BEGIN"));
        }
        Memory { index: self, all }
    }

    /// Whether reading the whole index takes less time than this number of queries.
    fn is_small_for(&self, questions: usize) -> bool {
        let size = self.path.as_deref().and_then(|path| files::identity(path).ok()?).map_or(0, |file| file.size);
        size / PER_QUESTION <= questions as u64
    }

    fn outcomes(&self, about: usize) -> HashMap<StageKey, Remembered> {
        self.map("SELECT key, folder, file, outline FROM outcomes", about, read_outcome)
    }

    fn files(&self, about: usize) -> HashMap<ObjectDigest, Identity> {
        self.map("SELECT digest, identity FROM objects WHERE identity NOT NULL", about, |row| {
            Ok(Some((ObjectDigest::from_bytes(row.get(0)?), decode(&row.get(1)?))))
        })
    }

    /// Reads about `about` rows: a map that grows takes three times the memory, and allocating memory takes time.
    fn map<K: Eq + Hash, V>(
        &self,
        sql: &str,
        about: usize,
        read: impl Fn(&SqlRow<'_>) -> rusqlite::Result<Option<(K, V)>>,
    ) -> HashMap<K, V> {
        let mut map = HashMap::with_capacity(about);
        self.run(|connection| {
            let mut query = connection.prepare(sql)?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                map.extend(read(row)?);
            }
            Ok(())
        });
        map
    }

    fn outcome(&self, key: &StageKey) -> Option<Remembered> {
        let found = self.run(|connection| {
            let mut query = connection.prepare("SELECT key, folder, file, outline FROM outcomes WHERE id = ?")?;
            query.query_row([number(key)], read_outcome).optional()
        });
        found.flatten().flatten().filter(|(found, _)| found == key).map(|(_, remembered)| remembered)
    }

    pub(crate) fn remember_outcomes(&self, outcomes: &[(StageKey, Remembered)]) {
        self.change(|transaction| {
            let sql = "INSERT OR REPLACE INTO outcomes (id, key, folder, file, outline) VALUES (?, ?, ?, ?, ?)";
            let mut insert = transaction.prepare(sql)?;
            for (key, Remembered { outline, folder, file }) in outcomes {
                if let Some(bytes) = outline::write(outline) {
                    insert.execute(params![number(key), key.as_bytes(), encode(folder), encode(file), bytes])?;
                }
            }
            Ok(())
        });
    }

    /// Stores the fact that objects, with their raw sizes, were needed on a day. Writes nothing that is already
    /// stored.
    pub(crate) fn note_uses(&self, objects: &[(ObjectDigest, u64)], day: u64) {
        let day = i64::try_from(day).unwrap_or(i64::MAX);
        let read_all = self.is_small_for(objects.len());
        let stale = self.run(|connection| {
            if read_all {
                let mut query = connection.prepare("SELECT digest FROM objects WHERE used >= ?")?;
                let read = |row: &SqlRow<'_>| Ok(ObjectDigest::from_bytes(row.get(0)?));
                let noted = query.query_map([day], read)?.collect::<Result<HashSet<_>, _>>()?;
                return Ok(objects.iter().filter(|(object, _)| !noted.contains(object)).copied().collect());
            }
            let mut query = connection.prepare("SELECT 1 FROM objects WHERE digest = ? AND used >= ?")?;
            let mut stale = Vec::new();
            for (object, raw) in objects {
                if !query.exists(params![object.as_bytes(), day])? {
                    stale.push((*object, *raw));
                }
            }
            Ok(stale)
        });
        let Some(stale) = stale.filter(|stale| !stale.is_empty()) else { return };
        self.change(|transaction| {
            let mut note = transaction.prepare(
                "INSERT INTO objects (digest, raw, used) VALUES (?, ?, ?)
                 ON CONFLICT (digest) DO UPDATE SET used = excluded.used",
            )?;
            let mut all = stale.iter();
            all.try_for_each(|(object, raw)| note.execute(params![object.as_bytes(), raw.cast_signed(), day]).map(drop))
        });
    }
}

/// Returns the row number of a key: rows of this size are found faster by number than by bytes. Of two keys with the
/// same first 8 bytes, which is practically impossible, only one is remembered.
pub(super) fn number(key: &StageKey) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *key.as_bytes();
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Returns `None` for rows that another version of the program wrote.
fn read_outcome(row: &SqlRow<'_>) -> rusqlite::Result<Option<(StageKey, Remembered)>> {
    let Some(outline) = outline::read(row.get_ref(3)?.as_blob()?) else { return Ok(None) };
    let (folder, file) = (decode(&row.get(1)?), decode(&row.get(2)?));
    Ok(Some((StageKey::from_bytes(row.get(0)?), Remembered { outline, folder, file })))
}
