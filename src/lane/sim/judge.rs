//! Compares what was seen outside with what the processes say.

use super::env::{Owed, is_in};
use super::truth::place;
use super::world::World;
use crate::ledger::Reason;

/// What a record takes on disk at least.
const LEAST: u64 = 100;

impl World {
    /// Every record is somewhere, or counted.
    ///
    /// Who dies while it gives up the oldest segment of so many bytes has not counted it yet, and nobody hears of what it
    /// counted: those records are lost with its memory.
    pub(super) fn compare(&mut self, on_disk: &[Owed], segment: usize) {
        for (to, on_disk) in on_disk.iter().enumerate() {
            let mut counted = self.env.dests[to].counted;
            for process in &self.alive {
                for (lane, _) in process.lanes.iter().zip(&process.config.to).filter(|(_, dest)| **dest == to) {
                    counted += lane.counts.rejected + lane.counts.dropped.total();
                }
            }
            let dest = &self.env.dests[to];
            let before = counted;
            let mut missing = Vec::new();
            for (number, said) in self.env.truth.said.iter().enumerate() {
                let alive = self.alive.iter().find(|process| process.number == number);
                let memory = alive.and_then(|process| {
                    let lane = process.config.to.iter().position(|dest| *dest == to)?;
                    Some(&process.memory[lane])
                });
                let in_memory =
                    |at: u64| memory.is_some_and(|all| all.iter().any(|(from, to)| (*from..=*to).contains(&at)));
                for (at, said) in said.iter().enumerate() {
                    let is_safe = said.to & 1 << to == 0 || dest.times(number, at) > 0 || dest.is_lost(number, at);
                    if !is_safe && !is_in(on_disk, number, at) && !in_memory(at as u64) {
                        missing.push((number, at));
                    }
                }
            }
            if segment > 0 && missing.len() as u64 > counted && missing.len() as u64 - counted <= segment as u64 / LEAST
            {
                counted = missing.len() as u64;
                self.env.dests[to].counted += counted - before;
            }
            let dest = &self.env.dests[to];
            let count = missing.len() as u64;
            let unanswered = dest.has.iter().flatten().any(|has| has.unanswered > 0);
            self.env.truth.check(count <= counted || self.env.is_bad, || {
                format!(
                    "store {to}: {count} records are nowhere, {counted} are counted; {:?}",
                    &missing[..missing.len().min(10)]
                )
            });
            let is_exact = !unanswered
                && self.alive.is_empty()
                && self.plan.is_plain
                && !self.env.died
                && !self.env.power_lost
                && self.env.fs.failed() == (0, 0);
            self.env.truth.check(!is_exact || count == counted, || {
                format!("store {to}: {count} records are nowhere, and {counted} are counted")
            });
        }
    }

    /// When nothing is owed any more.
    pub(super) fn judge(&mut self) {
        let is_well = self.env.fs.failed() == (0, 0);
        let (truth, ends) = (&mut self.env.truth, self.ends);
        for dest in &self.env.dests {
            let (index, most) = (dest.index, dest.most());
            for (number, row) in dest.has.iter().enumerate() {
                for (at, has) in row.iter().enumerate() {
                    let bound = 1 + has.unanswered + ends + truth.disk_failures;
                    truth.check(has.times <= bound, || {
                        format!("{index} got {number}/{at} {} times of {bound}", has.times)
                    });
                }
            }
            let lost: u64 = dest
                .lost
                .iter()
                .enumerate()
                .map(|(number, row)| (0..row.len()).filter(|&at| row[at] && dest.times(number, at) == 0).count() as u64)
                .sum();
            let told = dest.told_lost;
            truth.check(told <= lost || self.env.power_lost || !is_well, || {
                format!("{index}: at least {told} are said to be lost, and {lost} are; most {most}")
            });
            let of = |reason: Reason| {
                dest.reasons.iter().filter(|(it, _)| *it == reason).map(|(_, count)| count).sum::<u64>()
            };
            let (damaged, full) = (of(Reason::Damaged), of(Reason::DiskFull));
            // Who dies in the middle of a write leaves a batch that is cut, whose records are lost with the memory.
            truth.check(damaged <= lost * u64::from(ends) || self.env.power_lost || !is_well, || {
                format!("{index}: {damaged} are damaged")
            });
            let has_room = is_well && !self.plan.is_tight();
            truth.check(full == 0 || !has_room, || format!("{index}: the disk was full for {full}, and had room"));
            // As long as there is room on the disk, nothing is lost for want of memory.
            let none = of(Reason::BacklogFull) == 0 || !has_room || !self.all_spool;
            truth.check(none, || format!("{index}: {} had no room in memory", of(Reason::BacklogFull)));
            let is_ordered = !self.env.power_lost && self.plan.is_plain && has_room && self.in_flight_one;
            let mut last = vec![None; truth.said.len()];
            for id in &dest.order {
                let (process, sequence) = place(*id);
                truth.check(!is_ordered || last[process].is_none_or(|last| sequence > last), || {
                    format!("{index}: {process}/{sequence} came after {:?}", last[process])
                });
                last[process] = Some(sequence);
            }
        }
    }
}
