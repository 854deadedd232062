//! What was said and what each store has of it: the outside count.

use super::store::{Desk, Item, Manner};
use crate::frame::RecordId;
use crate::ledger::Reason;

/// What is known of a record.
pub(super) struct Said {
    pub(super) sum: u64,
    /// Refused by the store of that bit, whenever it comes.
    poison: u8,
    /// The destinations that it was handed to.
    pub(super) to: u8,
}

/// All that was ever handed to a lane, by process.
#[derive(Default)]
pub(super) struct Truth {
    pub(super) said: Vec<Vec<Said>>,
    /// Whether the process has ended, and whether anything of it may come twice then.
    pub(super) ended: Vec<Option<End>>,
    pub(super) wrong: Vec<String>,
    pub(super) is_traced: bool,
    /// How often the disk failed so far.
    pub(super) disk_failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing that was settled is owed to the next one.
    Clean,
    /// Some of it may be.
    Rough,
}

/// Of a record: the number of its process and its own.
pub(super) fn place(id: RecordId) -> (usize, usize) {
    (id.incarnation as usize - 1, id.sequence as usize)
}

impl Truth {
    pub(super) fn begin(&mut self) -> usize {
        self.said.push(Vec::new());
        self.ended.push(None);
        self.said.len() - 1
    }

    pub(super) fn say(&mut self, id: RecordId, sum: u64, poison: u8, to: u8) {
        let (process, sequence) = place(id);
        if self.said[process].len() != sequence {
            self.wrong.push(format!("{id:?} is not the next number"));
        }
        self.said[process].push(Said { sum, poison, to });
    }

    pub(super) fn get(&self, id: RecordId) -> Option<&Said> {
        let process = usize::try_from(id.incarnation).ok()?.checked_sub(1)?;
        self.said.get(process)?.get(id.sequence as usize)
    }

    pub(super) fn is_poison(&self, dest: usize, id: RecordId) -> bool {
        self.get(id).is_some_and(|said| said.poison & 1 << dest != 0)
    }

    pub(super) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.wrong.len() < 20 {
            self.wrong.push(what());
            if self.is_traced {
                println!("             WRONG: {}", self.wrong[self.wrong.len() - 1]);
            }
        }
    }
}

/// What a store has of a record.
#[derive(Clone, Copy, Default)]
pub(super) struct Has {
    pub(super) times: u32,
    /// The last process that delivered it.
    by: usize,
    /// How often the answer to that was lost.
    pub(super) unanswered: u32,
    /// How often a process of whose leavings it may be part had ended between two deliveries.
    ends: u32,
}

/// A destination, whatever processes send to it.
pub(super) struct Dest {
    pub(super) index: usize,
    pub(super) url: String,
    pub(super) desk: Desk,
    pub(super) manner: Manner,
    pub(super) has: Vec<Vec<Has>>,
    /// Records lost with the memory of a process, or with the power.
    pub(super) lost: Vec<Vec<bool>>,
    /// In the order in which they came first.
    pub(super) order: Vec<RecordId>,
    /// What ended processes counted as dropped or rejected, and what was said to be lost with them at least.
    pub(super) counted: u64,
    pub(super) told_lost: u64,
    pub(super) reasons: Vec<(Reason, u64)>,
}

impl Dest {
    pub(super) fn at(table: &mut Vec<Vec<Has>>, (process, sequence): (usize, usize)) -> &mut Has {
        if table.len() <= process {
            table.resize(process + 1, Vec::new());
        }
        let row = &mut table[process];
        if row.len() <= sequence {
            row.resize(sequence + 1, Has::default());
        }
        &mut row[sequence]
    }

    pub(super) fn times(&self, process: usize, sequence: usize) -> u32 {
        self.has.get(process).and_then(|row| row.get(sequence)).map_or(0, |has| has.times)
    }

    pub(super) fn is_lost(&self, process: usize, sequence: usize) -> bool {
        self.lost.get(process).is_some_and(|row| row.get(sequence).copied().unwrap_or(false))
    }

    pub(super) fn lose(&mut self, process: usize, sequence: usize) {
        if self.lost.len() <= process {
            self.lost.resize(process + 1, Vec::new());
        }
        let row = &mut self.lost[process];
        if row.len() <= sequence {
            row.resize(sequence + 1, false);
        }
        row[sequence] = true;
    }

    /// Takes a record from that process.
    pub(super) fn store(&mut self, truth: &mut Truth, process: usize, item: &Item, answer_is_lost: bool) {
        let id = item.id;
        let Some(said) = truth.get(id) else {
            return truth.wrong.push(format!("{} got {id:?}, which nobody said", self.index));
        };
        let (sum, is_mine) = (said.sum, said.to & 1 << self.index != 0);
        let index = self.index;
        truth.check(sum == item.sum, || format!("{index} got {id:?} with other bytes than were said"));
        truth.check(is_mine, || format!("{index} got {id:?}, which was not meant for it"));
        let at = place(id);
        let has = Self::at(&mut self.has, at);
        if has.times == 0 {
            self.order.push(id);
        } else if has.by == process {
            // A cursor or a name that the disk did not take leaves a batch owed to who looks next: the same process.
            let most = 1 + has.unanswered + has.ends + truth.disk_failures;
            let times = has.times + 1;
            truth.check(times <= most, || format!("{index} got {id:?} {times} times by process {process}"));
        } else {
            let end = truth.ended[has.by];
            let by = has.by;
            let is_excused = matches!(end, Some(End::Rough)) || (end.is_some() && has.unanswered > 0);
            truth.check(is_excused, || {
                format!("{index} got {id:?} from process {process}, and had it from {by}, which ended: {end:?}")
            });
            has.ends += 1;
        }
        let has = Self::at(&mut self.has, at);
        has.times += 1;
        has.by = process;
        has.unanswered += u32::from(answer_is_lost);
    }

    /// Who sent that is no more when the answer comes.
    pub(super) fn nobody_hears(&mut self, item: &Item) {
        let has = Self::at(&mut self.has, place(item.id));
        has.unanswered += u32::from(has.times > 0);
    }

    /// How often a record came at most.
    pub(super) fn most(&self) -> u32 {
        self.has.iter().flatten().map(|has| has.times).max().unwrap_or(0)
    }
}
