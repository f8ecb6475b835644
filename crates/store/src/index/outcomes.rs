//! What the index remembers of records: what came out, as long as the files that said so are the same.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use rusqlite::{OptionalExtension, Row as SqlRow, params};

use super::{Index, decode, encode, outline};
use base::digest::{ObjectDigest, StageKey};
use base::record::Outline;
use files::Identity;

/// Bytes of an index that are read in the time that one question takes. Where most of it is asked for, it is read whole.
const PER_QUESTION: u64 = 2 << 10;

/// The only record that a key has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) outline: Outline,
    /// The folder of the key's records, when the record was the only one in it.
    pub(crate) folder: Identity,
    /// The record's file, when its bytes had its name.
    pub(crate) file: Identity,
}

/// What the index holds, read at once where many questions follow; else each is put to the index.
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
    /// The only record of a key. It is asked for once.
    pub(crate) fn outcome(&mut self, key: &StageKey) -> Option<Remembered> {
        match &mut self.all {
            Some(all) => all.outcomes.remove(key),
            None => self.index.outcome(key),
        }
    }

    /// The file of an object when its bytes were found right.
    pub(crate) fn file(&self, object: &ObjectDigest) -> Option<Identity> {
        match &self.all {
            Some(all) => all.files.get(object).copied(),
            None => self.index.file(object),
        }
    }
}

impl Index {
    /// Makes ready for about so many questions.
    pub(crate) fn memory(&self, questions: usize) -> Memory<'_> {
        let all = self
            .is_small_for(questions)
            .then(|| All { outcomes: self.outcomes(questions), files: self.files(questions) });
        if all.is_none() {
            // One lock for all questions takes a third of the time that one for each does.
            self.run(|connection| connection.execute_batch("BEGIN"));
        }
        Memory { index: self, all }
    }

    /// Whether reading all of the index takes less than so many questions.
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

    /// Reads what should be about so many rows: a map that grows takes three times the memory, and new memory takes time.
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

    /// Notes that objects, with their raw bytes, were needed on a day. Where that is noted already nothing is written.
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

/// Where the row of a key lies: a number, since rows of this size are found faster by numbers than by bytes. Of two keys
/// that begin alike, which nobody will see, one is not remembered.
pub(super) fn number(key: &StageKey) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *key.as_bytes();
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// What another version of the program wrote is not remembered.
fn read_outcome(row: &SqlRow<'_>) -> rusqlite::Result<Option<(StageKey, Remembered)>> {
    let Some(outline) = outline::read(row.get_ref(3)?.as_blob()?) else { return Ok(None) };
    let (folder, file) = (decode(&row.get(1)?), decode(&row.get(2)?));
    Ok(Some((StageKey::from_bytes(row.get(0)?), Remembered { outline, folder, file })))
}
