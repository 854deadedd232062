//! A store that takes, refuses, fails and forgets to answer by seed, and remembers what it has.

use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::truth::{Dest, Truth};
use crate::backend::{Backend, Batch, Facts, Mode, Payload, Reply, Verdict};
use crate::frame::{RecordId, RecordRef};
use crate::resource::Resource;
use crate::wire::{Failure, FailureKind};

/// What a request says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) id: RecordId,
    /// Of all that is told of it.
    pub(super) sum: u64,
}

/// What all records say that a store would show of them.
pub(super) fn sum(record: &RecordRef<'_>, who: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(who);
    let mut text = |text: &str| {
        hasher.write(text.as_bytes());
        hasher.write_u8(0xFF);
    };
    text(record.target());
    text(record.message());
    for field in record.fields() {
        text(field.key);
        text(&format!("{:?}", field.value));
    }
    hasher.write_i64(record.unix_nanos());
    hasher.write_u8(record.severity() as u8);
    hasher.finish()
}

/// Who is speaking, in one number.
pub(super) fn who(resource: &Resource) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(format!("{resource:?}").as_bytes());
    hasher.finish()
}

/// What a backend encoded, and what its store answered, for the two to meet.
#[derive(Clone, Default)]
pub(super) struct Desk(Arc<Mutex<Papers>>);

/// Requests that nobody took yet, and all answers.
type Papers = (Vec<Vec<Item>>, Vec<Verdict>);

impl Desk {
    pub(super) fn take(&self) -> Vec<Vec<Item>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    fn reply(&self, status: u16, verdict: Verdict) -> Reply {
        let verdicts = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).1;
        verdicts.push(verdict);
        Reply::new(status, (verdicts.len() - 1).to_string())
    }
}

pub(super) struct Sums {
    pub(super) desk: Desk,
    pub(super) facts: Facts,
}

impl Backend for Sums {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn url(&self) -> &str {
        "http://localhost/"
    }

    fn encode(&self, batch: &Batch<'_>) -> Payload {
        let who = who(batch.resource());
        let item = |record: RecordRef<'_>| Item { id: record.id(), sum: sum(&record, who) };
        let items: Vec<_> = batch.records().map(item).collect();
        let bytes = items.iter().flat_map(|item| item.sum.to_le_bytes()).collect();
        assert!(batch.mode() != Mode::Fallback);
        self.desk.0.lock().unwrap_or_else(PoisonError::into_inner).0.push(items);
        Payload::post("text/plain", bytes)
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        let verdicts = &self.desk.0.lock().unwrap_or_else(PoisonError::into_inner).1;
        let known = reply.text().parse().ok().and_then(|at: usize| verdicts.get(at).cloned());
        known.unwrap_or_else(|| Verdict::of_status(reply))
    }
}

/// How a store behaves.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// In nanoseconds since the beginning.
    pub(super) away: Vec<(u64, u64)>,
    /// In thousandths of all requests.
    pub(super) fails: u32,
    /// It names the records that it refuses.
    pub(super) names_items: bool,
    pub(super) slow: bool,
    /// It is there or not, and that is all.
    pub(super) is_plain: bool,
}

/// What became of a request, once its answer comes.
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) result: Result<Reply, Failure>,
    /// Records that the answer says are stored, or refused.
    pub(super) stored: u64,
    pub(super) refused: u64,
}

/// A request arrives.
pub(super) fn ask(
    to: &mut Dest,
    truth: &mut Truth,
    process: usize,
    items: &[Item],
    now: u64,
    random: &mut fastrand::Rng,
) -> Answer {
    let manner = to.manner.clone();
    let quick = Duration::from_millis(random.u64(1..200));
    let after = if manner.slow && random.u8(..10) == 0 { quick * 20 } else { quick };
    let fail = |kind: FailureKind, after: Duration| Answer {
        after,
        result: Err(Failure { kind, text: format!("{kind:?}") }),
        stored: 0,
        refused: 0,
    };
    let status = |status: u16, asked: Option<Duration>| {
        let mut reply = Reply::new(status, "");
        reply.retry_after = asked;
        Answer { after, result: Ok(reply), stored: 0, refused: 0 }
    };
    if manner.away.iter().any(|(from, to)| (*from..*to).contains(&now)) {
        return match random.u8(..4) {
            _ if manner.is_plain => fail(FailureKind::Connect, after),
            0 => fail(FailureKind::Timeout, Duration::from_secs(10)),
            1 => status(503, None),
            _ => fail(FailureKind::Connect, after),
        };
    }
    let is_poison = |item: &Item| truth.is_poison(to.index, item.id);
    if random.u32(..1_000) < manner.fails {
        match random.u8(..8) {
            0 => return status(429, Some(Duration::from_secs(random.u64(0..90)))),
            1 => return status(503, None),
            2 => return fail(FailureKind::Timeout, Duration::from_secs(10)),
            3 => return fail(FailureKind::Reset, after),
            4 | 5 if !items.iter().any(is_poison) => {
                // It has them, and nobody is told.
                items.iter().for_each(|item| to.store(truth, process, item, true));
                let kind = if random.bool() { FailureKind::Timeout } else { FailureKind::Reset };
                return fail(kind, Duration::from_secs(10));
            }
            6 | 7 => {
                let (retry, rest): (Vec<_>, Vec<_>) = (0..items.len()).partition(|_| random.bool());
                let (bad, fine): (Vec<_>, Vec<_>) = rest.into_iter().partition(|&at| is_poison(&items[at]));
                fine.iter().for_each(|&at| to.store(truth, process, &items[at], false));
                let (stored, refused) = (fine.len() as u64, bad.len() as u64);
                let rejected = bad.into_iter().map(|at| (at, "no".to_owned())).collect();
                let reply = to.desk.reply(200, Verdict::Items { retry, rejected, fallback: Vec::new() });
                return Answer { after, result: Ok(reply), stored, refused };
            }
            _ => return status(500, None),
        }
    }
    let bad: Vec<usize> = (0..items.len()).filter(|&at| is_poison(&items[at])).collect();
    if !bad.is_empty() && !manner.names_items {
        let refused = u64::from(items.len() == 1);
        return Answer { refused, ..status(400, None) };
    }
    let refused = bad.len() as u64;
    let (bad, fine): (Vec<_>, Vec<_>) = (0..items.len()).partition(|at| bad.contains(at));
    fine.iter().for_each(|&at| to.store(truth, process, &items[at], false));
    let rejected: Vec<_> = bad.into_iter().map(|at| (at, "no".to_owned())).collect();
    let verdict = if rejected.is_empty() {
        Verdict::Ack
    } else {
        Verdict::Items { retry: Vec::new(), rejected, fallback: Vec::new() }
    };
    Answer { after, result: Ok(to.desk.reply(200, verdict)), stored: fine.len() as u64, refused }
}
