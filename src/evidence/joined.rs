//! The logs of several replicas as one, by term: only whoever leads writes, so what one replica says in a term is followed
//! by what the next one says in the next.
//!
//! ```text
//! probity-0   Epoch Start Term 1 ……            Term 3 …… Stop
//! probity-1   Epoch                 Start Term 2 ……            (Epoch: a new log that has not led)
//!             └──────── joined: 1, 2, 3, in this order, whatever the clocks of their nodes say ────────┘
//! ```

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::body::Body;
use super::entry::Entry;

/// Clocks of nodes differ by less than this. Terms in the other order by more than that were counted anew: their `Lease` was
/// deleted.
pub(super) const SKEW: SignedDuration = SignedDuration::from_hours(1);
/// A replica writes a few entries before it leads. Of a log with more, what follows is read in its place by time.
const MOST_AHEAD: usize = 4096;

/// The entries of several replicas' logs, each with the number of the replica: its place in what was given.
pub struct Joined<I> {
    sources: Vec<Source<I>>,
    /// The replica whose term is read.
    current: Option<usize>,
    /// Which replica led each term that was read, since terms are counted as they are now.
    terms: BTreeMap<u64, usize>,
    disputed: Vec<u64>,
    /// Terms that do not follow the one before by number.
    anew: Vec<(u64, Timestamp)>,
    failed: bool,
}

/// The logs of one replica, read up to the beginning of a term and held there until its turn comes.
struct Source<I> {
    entries: I,
    /// What was read ahead: what comes before a term, and the entry that begins it.
    ahead: VecDeque<Entry>,
    /// The term that begins next; `None` where these logs end without another one.
    next: Option<Begin>,
    /// The last term of these logs, and how often their numbers have begun again.
    last: Option<u64>,
    counts: usize,
}

/// How a term begins.
#[derive(Clone, Copy)]
struct Begin {
    /// Its number, if an entry says one.
    term: Option<u64>,
    at: Timestamp,
    /// How often numbers have begun again in the logs of this replica.
    count: usize,
}

impl Begin {
    /// Whether this term was before another replica's.
    fn is_before(self, other: Self) -> bool {
        let by_time = self.at < other.at;
        match (self.term, other.term) {
            // Numbers that were counted anew say nothing of those before.
            (Some(term), Some(others)) if term != others && self.count == other.count => {
                let apart = self.at.duration_since(other.at).abs() > SKEW;
                if apart { by_time } else { term < others }
            }
            _ => by_time,
        }
    }
}

impl<I, E> Joined<I>
where
    I: Iterator<Item = Result<Entry, E>>,
{
    /// Begins to read; each of `logs` has the logs of one replica, oldest entry first.
    pub fn new(logs: Vec<I>) -> Result<Self, E> {
        let mut sources = Vec::new();
        for entries in logs {
            let mut source = Source {
                entries,
                ahead: VecDeque::new(),
                next: None,
                last: None,
                counts: 0,
            };
            source.look_ahead(None)?;
            sources.push(source);
        }
        Ok(Self {
            sources,
            current: None,
            terms: BTreeMap::new(),
            disputed: Vec::new(),
            anew: Vec::new(),
            failed: false,
        })
    }

    /// Terms of which two replicas say that they led them.
    pub fn disputed(&self) -> &[u64] {
        &self.disputed
    }

    /// Terms with a lower number than one before them, and when they began: their `Lease` was made anew, or somebody claims to
    /// have led then.
    pub fn anew(&self) -> &[(u64, Timestamp)] {
        &self.anew
    }

    /// What the entries come from.
    pub fn logs(&self) -> impl Iterator<Item = &I> {
        self.sources.iter().map(|source| &source.entries)
    }

    fn step(&mut self) -> Result<Option<(usize, Entry)>, E> {
        loop {
            let Some(at) = self.current else {
                let Some(next) = self.choose() else {
                    return Ok(self.rest());
                };
                self.current = Some(next);
                self.note_term(next);
                continue;
            };
            let source = &mut self.sources[at];
            if let Some(entry) = source.ahead.pop_front() {
                return Ok(Some((at, entry)));
            }
            match source.entries.next().transpose()? {
                Some(entry) if ends(&entry.body) => {
                    if source.look_beyond(entry)? {
                        self.current = None;
                    }
                }
                Some(entry) => return Ok(Some((at, entry))),
                None => {
                    source.next = None;
                    self.current = None;
                }
            }
        }
    }

    /// The replica whose term comes next.
    fn choose(&self) -> Option<usize> {
        let begins = self.sources.iter().enumerate();
        let begins = begins.filter_map(|(at, source)| Some((at, source.next?)));
        let first = begins.reduce(|first, other| {
            if other.1.is_before(first.1) {
                other
            } else {
                first
            }
        });
        first.map(|(at, _)| at)
    }

    fn note_term(&mut self, source: usize) {
        let begin = self.sources[source].next;
        let Some((term, at)) = begin.and_then(|begin| Some((begin.term?, begin.at))) else {
            return;
        };
        // Where they are counted anew, each number comes once more.
        let last = self.terms.keys().next_back();
        if last.is_some_and(|last| term < *last) {
            self.terms.clear();
            self.anew.push((term, at));
        }
        let led = *self.terms.entry(term).or_insert(source);
        if led != source && !self.disputed.contains(&term) {
            self.disputed.push(term);
        }
    }

    /// What is left when no term is: logs that were begun by replicas that never led with them.
    fn rest(&mut self) -> Option<(usize, Entry)> {
        let mut sources = self.sources.iter_mut().enumerate();
        sources.find_map(|(at, source)| Some((at, source.ahead.pop_front()?)))
    }
}

impl<I, E> Source<I>
where
    I: Iterator<Item = Result<Entry, E>>,
{
    /// Reads on behind an entry with which a term may end; returns whether it did. What is removed is said in a term, and
    /// older programs said it also between terms.
    fn look_beyond(&mut self, entry: Entry) -> Result<bool, E> {
        let mut entry = entry;
        while matches!(entry.body, Body::Pruned(_)) {
            self.ahead.push_back(entry);
            let Some(next) = self.entries.next().transpose()? else {
                self.next = None;
                return Ok(true);
            };
            entry = next;
        }
        if ends(&entry.body) {
            self.look_ahead(Some(entry))?;
            return Ok(true);
        }
        self.ahead.push_back(entry);
        Ok(false)
    }

    /// Reads up to the entry that begins the next term.
    fn look_ahead(&mut self, first: Option<Entry>) -> Result<(), E> {
        self.next = None;
        self.ahead.extend(first);
        loop {
            if let Some(last) = self.ahead.back()
                && (!is_before_terms(&last.body) || self.ahead.len() > MOST_AHEAD)
            {
                let term = match &last.body {
                    Body::Term(said) => Some(said.epoch),
                    // Of logs whose beginning retention has removed, the term is not known.
                    _ => None,
                };
                if term.is_some_and(|term| self.last.is_some_and(|last| term < last)) {
                    self.counts += 1;
                }
                self.last = term.or(self.last);
                self.next = Some(Begin {
                    term,
                    at: last.time,
                    count: self.counts,
                });
                return Ok(());
            }
            match self.entries.next().transpose()? {
                Some(entry) => self.ahead.push_back(entry),
                None => return Ok(()),
            }
        }
    }
}

impl<I, E> Iterator for Joined<I>
where
    I: Iterator<Item = Result<Entry, E>>,
{
    type Item = Result<(usize, Entry), E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let entry = self.step().transpose();
        self.failed = matches!(entry, Some(Err(_)));
        entry
    }
}

/// Whether an entry ends the term before it, if nothing of the same term follows.
const fn ends(body: &Body) -> bool {
    matches!(
        body,
        Body::Epoch(_) | Body::Start(_) | Body::Term(_) | Body::KeyChange(_) | Body::Pruned(_)
    )
}

/// Whether an entry is one that a replica writes before it leads.
const fn is_before_terms(body: &Body) -> bool {
    matches!(
        body,
        Body::Epoch(_) | Body::Start(_) | Body::Stop(_) | Body::KeyChange(_) | Body::Pruned(_)
    )
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::evidence::body::{Epoch, Export, KeyChange, Pruned, Term};

    fn entry(second: i64, body: Body) -> Entry {
        Entry {
            v: 2,
            seq: 0,
            time: Timestamp::from_second(second).unwrap(),
            body,
        }
    }

    fn term(second: i64, epoch: u64) -> Entry {
        let said = Term {
            holder: "p".into(),
            epoch,
            predecessor: None,
            before: None,
        };
        entry(second, said.into())
    }

    /// Something that is said while a replica leads.
    fn word(second: i64, text: &'static str) -> Entry {
        let said = Export {
            of: text.to_owned(),
            digest: String::new(),
            who: None,
        };
        entry(second, said.into())
    }

    fn begun(second: i64) -> Entry {
        let said = Epoch {
            origin: String::new(),
            key: String::new(),
            cause: "".into(),
            before: None,
            planned: false,
        };
        entry(second, said.into())
    }

    fn read(logs: Vec<Vec<Entry>>) -> Joined<impl Iterator<Item = Result<Entry, Infallible>>> {
        let logs = logs.into_iter().map(|log| log.into_iter().map(Ok));
        Joined::new(logs.collect()).unwrap()
    }

    fn joined(logs: Vec<Vec<Entry>>) -> (String, Vec<u64>) {
        let mut joined = read(logs);
        let said: Vec<String> = joined
            .by_ref()
            .map(|item| {
                let (source, entry) = item.unwrap();
                match entry.body {
                    Body::Term(said) => format!("{source}t{}", said.epoch),
                    Body::Export(said) => format!("{source}{}", said.of),
                    Body::KeyChange(_) => format!("{source}k"),
                    Body::Pruned(_) => format!("{source}p"),
                    Body::Epoch(_) => format!("{source}e"),
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        (said.join(" "), joined.disputed().to_vec())
    }

    #[test]
    fn terms_follow_each_other_whatever_the_clocks_say() {
        let a = vec![
            begun(0),
            term(10, 1),
            word(20, "a"),
            term(200, 3),
            word(210, "c"),
        ];
        // This clock is a minute behind.
        let b = vec![begun(5), term(15, 2), word(150, "b")];
        let (said, disputed) = joined(vec![a, b]);
        assert_eq!(said, "0e 0t1 0a 1e 1t2 1b 0t3 0c");
        assert_eq!(disputed, [0; 0]);
    }

    #[test]
    fn a_log_that_never_led_comes_last() {
        let a = vec![begun(0), term(10, 1), word(20, "a")];
        let b = vec![begun(5)];
        assert_eq!(joined(vec![b, a]).0, "1e 1t1 1a 0e");
        let none: Vec<Vec<Entry>> = Vec::new();
        assert_eq!(joined(none).0, "");
    }

    #[test]
    fn terms_that_are_counted_anew_are_told_by_time_and_those_led_twice_are_named() {
        let day = 86_400;
        let a = vec![begun(0), term(10, 7), word(20, "a")];
        let b = vec![begun(0), term(day, 1), word(day + 5, "b"), term(2 * day, 7)];
        let (said, disputed) = joined(vec![a.clone(), b]);
        assert_eq!(said, "0e 0t7 0a 1e 1t1 1b 1t7");
        assert_eq!(disputed, [0; 0]);
        let forged = vec![begun(0), term(15, 7)];
        assert_eq!(joined(vec![a, forged]).1, [7]);
    }

    #[test]
    fn entries_before_any_term_that_is_known_are_read_in_their_place() {
        // Retention has removed the beginning of both.
        let beat = |second| entry(second, crate::evidence::samples::heartbeat().into());
        let a = vec![beat(10), term(30, 3), word(40, "c")];
        let b = vec![beat(20), term(50, 4), word(60, "d")];
        let order: Vec<usize> = read(vec![a, b]).map(|item| item.unwrap().0).collect();
        assert_eq!(order, [0, 1, 0, 0, 1, 1]);
    }

    #[test]
    fn a_key_that_changes_and_entries_that_go_while_another_leads_wait_for_their_next_term() {
        let key = |second| {
            let said = KeyChange {
                old: String::new(),
                new: String::new(),
            };
            entry(second, said.into())
        };
        let pruned = |second| {
            let said = Pruned {
                before: 0,
                until: Timestamp::UNIX_EPOCH,
                rule: String::new(),
                carried: None,
            };
            entry(second, said.into())
        };
        let a = vec![
            begun(0),
            term(10, 1),
            word(15, "a"),
            pruned(16),
            word(20, "b"),
            pruned(500),
            pruned(600),
            key(700),
            begun(700),
            term(900, 3),
            word(910, "e"),
            pruned(920),
        ];
        let b = vec![begun(5), term(100, 2), word(800, "c")];
        let (said, _) = joined(vec![a, b]);
        assert_eq!(said, "0e 0t1 0a 0p 0b 1e 1t2 1c 0p 0p 0k 0e 0t3 0e 0p");
    }

    #[test]
    fn a_count_that_begins_again_is_told_by_time_at_once() {
        let a = vec![
            begun(0),
            term(10, 7),
            word(20, "a"),
            term(1900, 1),
            word(9000, "c"),
        ];
        let b = vec![begun(0), term(1300, 8), word(1800, "b")];
        assert_eq!(joined(vec![a, b]).0, "0e 0t7 0a 1e 1t8 1b 0t1 0c");
    }
}
