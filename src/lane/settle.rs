//! What a request's end means for its records and for the lane: delivered, rejected, sent again, halved, or held.
//!
//! The schedule and the backend may be the user's code and panic. So the books are written before they are asked, and
//! a job is always put back by whoever called.

use std::time::{Duration, Instant};

use super::Lane;
use super::job::Job;
use super::pace::Next;
use crate::backend::{Reply, Verdict};
use crate::contain::contained;
use crate::ledger::Reason;
use crate::voice::Topic;
use crate::wire::{Failure, FailureKind};

/// A request whose connection was reset is sent in halves from this size on: servers close on a body that is too
/// large before they have read it (seen with Fluent Bit at 12 MB).
const RESET_SPLITS: usize = 1024 * 1024;

impl Lane {
    /// Settles the job's next request by how it ended.
    pub(super) fn conclude(
        &mut self,
        job: &mut Job,
        result: Result<Reply, Failure>,
        payload_bytes: usize,
        now: Instant,
    ) {
        match result {
            Ok(reply) => match contained(|| self.parts.backend.judge(&reply)) {
                Ok(verdict) => self.settle(job, verdict, &reply, now),
                Err(message) => {
                    let is_hopeless = job.is_hopeless();
                    self.panicked(job, &message, is_hopeless, now);
                }
            },
            Err(failure) => {
                self.again(job, None, failure.text, now);
                // A store that resets the connection under a large body may have said 413, which nobody could read.
                if failure.kind == FailureKind::Reset && payload_bytes > RESET_SPLITS && job.next_len() > 1 {
                    job.halve_next(false);
                }
            }
        }
    }

    /// The schedule, which may panic, is told last: by then all that is known stands in the books.
    fn settle(&mut self, job: &mut Job, verdict: Verdict, reply: &Reply, now: Instant) {
        let count = job.next_len();
        match verdict {
            Verdict::Ack => {
                self.counts.delivered += count as u64;
                job.settle_next(true);
                self.well();
            }
            Verdict::AckWithLoss { rejected, reason } => {
                let rejected = rejected.min(count);
                self.counts.delivered += (count - rejected) as u64;
                self.reject(rejected, &reason, now);
                job.settle_next(true);
                self.well();
            }
            Verdict::Retry { after } => {
                job.failed(self.taken);
                self.again(job, after, self.told(reply), now);
            }
            Verdict::Items { mut retry, mut rejected } => {
                // The store wrote these places: it may name one twice, or one that was never sent.
                rejected.sort_by_key(|(at, _)| *at);
                rejected.dedup_by_key(|(at, _)| *at);
                rejected.retain(|(at, _)| *at < count);
                retry.sort_unstable();
                retry.dedup();
                retry.retain(|&at| at < count && !rejected.iter().any(|(other, _)| *other == at));
                for (_, reason) in &rejected {
                    self.reject(1, reason, now);
                }
                self.counts.delivered += (count - retry.len() - rejected.len()) as u64;
                job.keep_of_next(&retry);
                if retry.is_empty() {
                    self.well();
                } else {
                    self.again(job, reply.retry_after, self.told(reply), now);
                }
            }
            Verdict::ResumeAfter(stored) => {
                let stored = stored.min(count);
                self.counts.delivered += stored as u64;
                job.keep_of_next(&(stored..count).collect::<Vec<_>>());
                if stored == 0 {
                    self.refuse(job, self.told(reply), true, now);
                } else {
                    self.well();
                }
            }
            Verdict::Split => self.refuse(job, self.told(reply), false, now),
            Verdict::Reject(reason) => self.refuse(job, reason, true, now),
            Verdict::Refresh => {
                if self.parts.client.refresh() {
                    self.pace.try_now();
                } else {
                    let complaint = self.parts.client.complaint().map_or(String::new(), |text| format!(" ({text})"));
                    self.hold(job, self.told(reply) + &complaint, now);
                }
            }
            Verdict::Hold(_) => self.hold(job, self.told(reply), now),
        }
    }

    /// The store refuses the request: halves, until one record is left that is rejected.
    fn refuse(&mut self, job: &mut Job, reason: String, for_content: bool, now: Instant) {
        if job.next_len() > 1 && !job.is_hopeless() {
            job.halve_next(for_content);
        } else {
            self.reject(job.next_len(), &reason, now);
            job.settle_next(false);
        }
        self.well();
    }

    fn reject(&mut self, count: usize, reason: &str, now: Instant) {
        if count > 0 {
            self.counts.rejected += count as u64;
            let (name, url) = (&self.parts.name, self.parts.client.url());
            self.parts.voice.say(
                Topic::at("rejected", self.parts.index),
                || format!("{name} at {url} rejected {count} record(s): {reason}"),
                now,
            );
        }
    }

    fn told(&self, reply: &Reply) -> String {
        let text = reply.text();
        let excerpt: String = text.trim().chars().take(300).collect();
        let url = self.parts.client.url();
        if excerpt.is_empty() {
            format!("status {} from {url}", reply.status)
        } else {
            format!("status {} from {url}: {excerpt}", reply.status)
        }
    }

    fn well(&mut self) {
        self.taken += 1;
        self.pace.succeeded();
        if !self.pace.is_well() {
            return;
        }
        self.held = false;
        if self.last_failure.take().is_some() {
            let (name, owed) = (&self.parts.name, self.owed());
            let text = || format!("{name} takes records again; {owed} are owed to it");
            self.parts.voice.recovered(Topic::at("failed", self.parts.index), text);
        }
    }

    fn again(&mut self, job: &mut Job, after: Option<Duration>, why: String, now: Instant) {
        match self.pace.failed(after, now) {
            Next::Again => self.unwell(job, why, "they are kept and sent again", now),
            Next::GiveUp => {
                self.unwell(job, why, "the retry schedule has ended for some of them, which are dropped", now);
                self.give_up(job, Reason::Expired);
            }
        }
    }

    fn hold(&mut self, job: &Job, why: String, now: Instant) {
        self.pace.hold(now);
        self.held = true;
        self.unwell(job, why, "they are kept; check LOGCHUTE_URL and the credentials", now);
    }

    /// `job` is the one that failed, which is neither in flight nor waiting at this moment.
    fn unwell(&mut self, job: &Job, why: String, what: &str, now: Instant) {
        let (name, owed) = (&self.parts.name, self.owed() + job.owed());
        let limit = self.parts.settings.backlog_bytes;
        self.parts.voice.say(
            Topic::at("failed", self.parts.index),
            || format!("{name} does not take records: {why}; {owed} are owed, {what} (backlog of {limit} bytes, LOGCHUTE_BACKLOG_BYTES)"),
            now,
        );
        self.last_failure = Some(why);
    }

    /// Code of the backend panicked over this request: once more, then halved down to the record at fault, unless
    /// that asks too much of the store.
    pub(super) fn panicked(&mut self, job: &mut Job, message: &str, is_hopeless: bool, now: Instant) {
        let name = &self.parts.name;
        self.parts.voice.say(
            Topic::at("panicked", self.parts.index),
            || format!("the backend of {name} panicked: {message}"),
            now,
        );
        job.deaths += 1;
        if job.deaths < 2 {
            return;
        }
        if job.next_len() > 1 && !is_hopeless {
            job.halve_next(true);
        } else {
            for severity in job.next_severities() {
                self.counts.dropped.add(Reason::Worker, severity, 1);
            }
            job.settle_next(false);
        }
    }
}
