//! The journal: what has happened and is not yet where it belongs, on disk before anybody is told.
//!
//! Each record is a line of JSON that is written before the first attempt to deliver it, and another line says that it
//! is delivered. So a process that dies at any moment leaves behind exactly what its next life has to deliver. Writes
//! are not forced to the medium: they survive the death of every process, and what a power failure takes, the control
//! plane settles as it settles a lost machine.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::error::{Doing, Error, ErrorKind, Result};
use crate::model::{Ending, ExecutionId, OwnFiles};

/// A file that is longer, and has doubled since it was last written anew, is written anew with what is still open.
const COMPACT_BYTES: u64 = 4 << 20;

/// Something that has to reach the control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The end of a claimed execution: its row, then its messages.
    Ending(Ending),
    /// Executions that were given to this worker and go back unclaimed: their rows, then a request for each.
    HandBack(Vec<ExecutionId>),
    /// Files that an execution may make, from before it starts on: to the API, and their sizes into their rows.
    OwnFiles(OwnFiles),
}

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Open { number: u64, record: Cow<'a, RawValue> },
    Done(u64),
}

/// The journal of one worker. Without a file it only counts.
#[derive(Debug, Default)]
pub struct Journal {
    state: Mutex<State>,
    /// Rung whenever a record is delivered, or told of.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    file: Option<(PathBuf, File)>,
    bytes: u64,
    /// The length at which it is written anew.
    compact_at: u64,
    next: u64,
    /// The records that are not delivered, as their JSON.
    open: BTreeMap<u64, Box<RawValue>>,
    /// Ends of which followers have yet to be told: they hear of them in this order.
    untold: BTreeSet<u64>,
}

/// A record that is in the journal until it is said to be delivered. Dropping it leaves it there, for the next life.
#[derive(Debug)]
#[must_use = "a record stays in the journal until it is delivered"]
pub struct Entry {
    journal: Arc<Journal>,
    number: u64,
}

impl Journal {
    /// Opens the journal in `path`, which is created where it is missing. Half a line at its end, from a process that
    /// died while it wrote, is ignored: nothing had been delivered by then.
    ///
    /// # Errors
    /// Where the file cannot be used, or holds something that is not a journal.
    pub fn open(path: &Path) -> Result<Arc<Self>> {
        let describe = || format!("use the journal {}", path.display());
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).doing(describe),
        };
        let mut state = State { open: read(&text, path)?, ..State::default() };
        state.next = state.open.last_key_value().map_or(0, |(number, _)| number + 1);
        state.rewrite(path).doing(describe)?;
        Ok(Arc::new(Self { state: Mutex::new(state), changed: Notify::new() }))
    }

    /// A journal that lives and dies with this process.
    pub fn in_memory() -> Arc<Self> {
        Arc::default()
    }

    /// Writes `record` down. Where that fails, it is still delivered by this life, and a warning says what it would
    /// mean to be killed now.
    pub fn write(self: &Arc<Self>, record: &Record) -> Entry {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        if matches!(record, Record::Ending(_)) {
            state.untold.insert(number);
        }
        state.open(number, record);
        Entry { journal: Arc::clone(self), number }
    }

    /// What an earlier life left to deliver, oldest first.
    pub fn left(self: &Arc<Self>) -> Vec<(Entry, Record)> {
        let state = self.lock();
        let mut left = Vec::with_capacity(state.open.len());
        for (number, record) in &state.open {
            match serde_json::from_str(record.get()) {
                Ok(record) => left.push((Entry { journal: Arc::clone(self), number: *number }, record)),
                // It stays where it is: another version of this program may know it.
                Err(error) => {
                    tracing::error!(%error, "the journal holds a record that this version cannot read");
                }
            }
        }
        left
    }

    /// What is to be handed back. Nothing is said of other records: this life may be about to deliver them.
    pub fn hand_backs(self: &Arc<Self>) -> Vec<(Entry, Vec<ExecutionId>)> {
        let state = self.lock();
        let read = |record: &RawValue| match serde_json::from_str(record.get()) {
            Ok(Record::HandBack(executions)) => Some(executions),
            _ => None,
        };
        let hand_backs = state.open.iter().filter_map(|(number, record)| Some((*number, read(record)?)));
        hand_backs
            .map(|(number, executions)| (Entry { journal: Arc::clone(self), number }, executions))
            .collect()
    }

    /// Awaits that something is delivered, or told of: what takes one record may take the next.
    pub async fn progress(&self) {
        self.changed.notified().await;
    }

    /// How many records are not delivered.
    pub fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// Whether everything is delivered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Awaits that everything is delivered.
    pub async fn delivered(&self) {
        loop {
            // Listens before it looks, so that nothing is missed in between.
            let changed = self.changed.notified();
            if self.is_empty() {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Writes down what is known by now in place of what was.
    pub fn rewrite(&self, record: &Record) {
        self.journal.lock().open(self.number, record);
    }

    /// Awaits that followers have been told of every earlier end: they hear of ends in the order in which those happened,
    /// whatever became of single statements. One that is held up for longer than `patience`, by somebody's lock on its
    /// row, is overtaken by all that come after it.
    pub async fn turn(&self, patience: Duration) {
        if tokio::time::timeout(patience, self.first()).await.is_err() {
            let overtaken = {
                let mut state = self.journal.lock();
                let later = state.untold.split_off(&self.number);
                std::mem::replace(&mut state.untold, later).len()
            };
            tracing::warn!(overtaken, "an end that cannot be written is overtaken by those that came later");
            self.journal.changed.notify_waiters();
        }
    }

    async fn first(&self) {
        loop {
            // Listens before it looks, so that nothing is missed in between.
            let changed = self.journal.changed.notified();
            if self.journal.lock().untold.first().is_none_or(|first| *first >= self.number) {
                return;
            }
            changed.await;
        }
    }

    /// Followers are being told of this one: the next may follow.
    pub fn told(&self) {
        if self.journal.lock().untold.remove(&self.number) {
            self.journal.changed.notify_waiters();
        }
    }

    /// The record is delivered.
    pub fn forget(self) {
        let mut state = self.journal.lock();
        state.open.remove(&self.number);
        if let Err(error) = state.close(self.number) {
            // It will be delivered a second time, which its receivers can take.
            tracing::warn!(%error, "the journal cannot be written");
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.told();
        self.journal.changed.notify_waiters();
    }
}

impl State {
    /// Writes a record down, in place of an earlier one of this number.
    fn open(&mut self, number: u64, record: &Record) {
        match serde_json::value::to_raw_value(record) {
            Ok(record) => {
                if let Err(error) = self.append(&Line::Open { number, record: Cow::Borrowed(&record) }) {
                    tracing::warn!(%error, "the journal cannot be written: what is not delivered before this worker \
                        is killed will be settled as lost");
                }
                self.open.insert(number, record);
            }
            Err(error) => tracing::error!(%error, "a record cannot be journalled"),
        }
    }

    fn append(&mut self, line: &Line<'_>) -> io::Result<()> {
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        // One write, at the end of the file: a line is there whole, or cut off where the process died.
        file.write_all(&text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn close(&mut self, number: u64) -> io::Result<()> {
        if self.bytes < self.compact_at {
            return self.append(&Line::Done(number));
        }
        match self.file.take() {
            Some((path, _)) => self.rewrite(&path),
            None => Ok(()),
        }
    }

    /// Writes what is open into a new file and puts it in place of the old one.
    fn rewrite(&mut self, path: &Path) -> io::Result<()> {
        let mut staging = path.as_os_str().to_owned();
        staging.push(".new");
        // Results may hold what others must not read.
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&staging)?;
        let mut text = Vec::new();
        for (number, record) in &self.open {
            let record = Cow::Borrowed(&**record);
            serde_json::to_writer(&mut text, &Line::Open { number: *number, record })?;
            text.push(b'\n');
        }
        file.write_all(&text)?;
        std::fs::rename(&staging, path)?;
        self.bytes = text.len() as u64;
        self.compact_at = COMPACT_BYTES.max(2 * self.bytes);
        self.file = Some((path.to_owned(), file));
        Ok(())
    }
}

fn read(text: &[u8], path: &Path) -> Result<BTreeMap<u64, Box<RawValue>>> {
    let mut open = BTreeMap::new();
    let mut lines = text.split(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice::<Line<'_>>(line) {
            Ok(Line::Open { number, record }) => {
                open.insert(number, record.into_owned());
            }
            Ok(Line::Done(number)) => {
                open.remove(&number);
            }
            Err(_) if lines.peek().is_none() => break,
            Err(error) => {
                let message = format!("line {} of {} is not a journal's", index + 1, path.display());
                return Err(Error::new(ErrorKind::Invalid, message).because(error).hint(
                    "move the file away; what it held is then settled as if the worker's machine had been lost",
                ));
            }
        }
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ClaimKey, Outcome, Reason, WorkerId};

    const PATIENCE: Duration = Duration::from_mins(1);

    fn record(id: i64) -> Record {
        Record::HandBack(vec![ExecutionId(id)])
    }

    fn ending(id: i64) -> Ending {
        let key = ClaimKey {
            execution: ExecutionId(id),
            worker: WorkerId(1),
            started_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let outcome = Outcome::without_process(Reason::WorkerLost, "lost");
        Ending::new(key, None, "my.action".to_owned(), &outcome)
    }

    fn left(path: &Path) -> Vec<Record> {
        Journal::open(path).unwrap().left().into_iter().map(|(_, record)| record).collect()
    }

    #[test]
    fn what_is_not_delivered_is_there_in_the_next_life() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        let _first = journal.write(&record(1));
        journal.write(&record(2)).forget();
        let _third = journal.write(&record(3));
        assert_eq!(journal.len(), 2);
        assert_eq!(left(&path), [record(1), record(3)]);
    }

    #[test]
    fn a_line_cut_off_by_death_is_ignored_and_any_other_damage_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let _entry = Journal::open(&path).unwrap().write(&record(1));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [whole.as_slice(), br#"{"open":{"numb"#].concat()).unwrap();
        assert_eq!(left(&path), [record(1)]);
        std::fs::write(&path, [b"nonsense\n".as_slice(), &whole].concat()).unwrap();
        let error = Journal::open(&path).unwrap_err();
        assert!(error.to_string().starts_with("line 1 of "), "{error}");
    }

    #[tokio::test]
    async fn followers_are_told_in_the_order_of_the_ends() {
        let journal = Journal::in_memory();
        let ending = |id| Record::Ending(ending(id));
        let [first, second, third] = [ending(1), ending(2), ending(3)].map(|record| journal.write(&record));
        let unrelated = journal.write(&record(4));
        unrelated.forget();
        first.turn(PATIENCE).await;
        let waiting = third.turn(PATIENCE);
        tokio::pin!(waiting);
        first.told();
        tokio::select! {
            biased;
            () = &mut waiting => panic!("the second has not been told of"),
            () = std::future::ready(()) => {}
        }
        // One that is given up is in nobody's way either.
        drop(second);
        waiting.await;
    }

    #[tokio::test]
    async fn an_end_that_is_held_up_is_overtaken_by_all_others_at_once() {
        let journal = Journal::in_memory();
        let [held_up, second, third] = [1, 2, 3].map(|id| journal.write(&Record::Ending(ending(id))));
        second.turn(Duration::from_millis(10)).await;
        second.told();
        third.turn(PATIENCE).await;
        held_up.turn(PATIENCE).await;
    }

    #[test]
    fn what_is_known_later_takes_the_place_of_what_was_known_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let entry = Journal::open(&path).unwrap().write(&record(1));
        entry.rewrite(&record(2));
        assert_eq!(left(&path), [record(2)]);
    }

    #[test]
    fn a_long_journal_is_written_anew_with_what_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        let _kept = journal.write(&record(7));
        let long = Record::HandBack((0..100_000).map(ExecutionId).collect());
        for _ in 0..20 {
            journal.write(&long).forget();
        }
        assert!(std::fs::metadata(&path).unwrap().len() < 2 * COMPACT_BYTES);
        assert_eq!(left(&path), [record(7)]);
    }
}
