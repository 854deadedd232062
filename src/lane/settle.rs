//! What a request's end means for its records and for the lane: delivered, rejected, sent again, halved, or held.
//!
//! The schedule and the backend may be the user's code and panic. So the books are written before they are asked, and
//! a job is always put back by whoever called.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Lane;
use super::ask::Asking;
use super::flight::End;
use super::job::Job;
use super::pace::Next;
use crate::backend::{Mode, Reply, Verdict};
use crate::contain::contained;
use crate::ledger::Reason;
use crate::visit::{Outcome, Visit};
use crate::voice::Topic;
use crate::wire::FailureKind;

/// A request whose connection was reset is sent in halves from this size on: servers close on a body that is too
/// large before they have read it (seen with Fluent Bit at 12 MB).
const RESET_SPLITS: usize = 1024 * 1024;

/// What is to be sent again, what is rejected, and what goes again in another mode.
type Items = (Vec<usize>, Vec<(usize, String)>, Vec<(usize, String)>);

impl Lane {
    /// Settles the job's next request by how it ended, or says what the store is asked next about it.
    pub(super) fn conclude(
        &mut self,
        job: &mut Job,
        end: End,
        visit: Option<Arc<Visit>>,
        now: Instant,
    ) -> Option<Asking> {
        let End { was_there, asking, result, payload_bytes } = end;
        // Nothing was sent, and the store is not to blame: the job is encoded again, and the doctor waits for that.
        if asking.is_none() && matches!(&result, Err(failure) if failure.kind == FailureKind::Outdated) {
            job.may_be_there = was_there;
            self.postponed = visit.map(|visit| (job.id, visit));
            return None;
        }
        let judged = result.map(|reply| (contained(|| self.parts.backend.judge(&reply)), reply));
        if let Some(visit) = visit {
            let seen = self.seen(match &judged {
                Ok((Ok(verdict), reply)) => {
                    Outcome::Answered { reply: reply.clone(), verdict: verdict.clone(), ahead: reply.ahead }
                }
                Ok((Err(message), _)) => Outcome::Panicked(message.clone()),
                Err(failure) => Outcome::Failed(failure.clone()),
            });
            self.visits.push((visit, seen));
        }
        if let Some(asking) = asking {
            return self.answered(job, asking, judged, now);
        }
        match judged {
            Ok((Ok(Verdict::Ask(question)), _)) => {
                self.well(now);
                return Some(Asking::new(question, now));
            }
            Ok((Ok(verdict), reply)) => self.settle(job, verdict, &reply, now),
            Ok((Err(message), _)) => {
                let is_hopeless = job.is_hopeless();
                self.panicked(job, &message, is_hopeless, now);
            }
            Err(failure) => {
                match failure.kind {
                    FailureKind::Timeout => job.timed_out(self.taken),
                    FailureKind::Reset | FailureKind::Other => {
                        job.failed(self.taken);
                    }
                    // It had no part in these: nothing of it was sent.
                    FailureKind::Resolve
                    | FailureKind::Connect
                    | FailureKind::Tls
                    | FailureKind::Token
                    | FailureKind::Outdated => job.may_be_there = was_there,
                }
                self.again(job, None, failure.text, now);
                // A store that resets the connection under a large body may have said 413, which nobody could read.
                if failure.kind == FailureKind::Reset && payload_bytes > RESET_SPLITS && job.next_len() > 1 {
                    job.halve_next(false);
                }
            }
        }
        None
    }

    /// The schedule, which may panic, is told last: by then all that is known stands in the books.
    pub(super) fn settle(&mut self, job: &mut Job, verdict: Verdict, reply: &Reply, now: Instant) {
        let count = job.next_len();
        match verdict {
            Verdict::Ack => {
                self.counts.delivered += count as u64;
                if job.next_mode() == Mode::Fallback {
                    self.counts.fallback += count as u64;
                }
                job.settle_next(true);
                self.well(now);
            }
            Verdict::AckWithLoss { rejected, reason } => self.lost_some(job, rejected, &reason, now),
            Verdict::TooFarBehind { refused, reason } => {
                if self.second_mode() != Mode::Replay || job.next_mode() == Mode::Replay {
                    return self.lost_some(job, refused.max(1), &reason, now);
                }
                self.replayed(count, &reason, now);
                job.next_in(Mode::Replay);
                self.well(now);
            }
            Verdict::Retry { after } => {
                job.failed(self.taken);
                self.again(job, after, self.told(reply), now);
            }
            Verdict::Items { retry, rejected, fallback } => self.items(job, reply, (retry, rejected, fallback), now),
            // See `conclude`: no such verdict comes here.
            Verdict::Ask(_) => self.again(job, None, self.told(reply), now),
            Verdict::ResumeAfter(stored) => {
                let stored = stored.min(count);
                self.counts.delivered += stored as u64;
                if job.next_mode() == Mode::Fallback {
                    self.counts.fallback += stored as u64;
                }
                job.keep_of_next(&(stored..count).collect::<Vec<_>>());
                if stored == 0 {
                    self.refuse(job, self.told(reply), true, now);
                } else {
                    self.well(now);
                }
            }
            Verdict::StoppedAt { at, reason } => self.stopped(job, at, reason, now),
            Verdict::Split => self.refuse(job, self.told(reply), false, now),
            Verdict::Reject(reason) => self.refuse(job, reason, true, now),
            Verdict::Refresh => self.refresh(job, self.told(reply), reply.credential, now),
            Verdict::Hold(reason) => self.hold(job, self.held_for(reason, reply), now),
        }
    }

    /// A verdict of its own for each record.
    fn items(&mut self, job: &mut Job, reply: &Reply, (mut retry, rejected, fallback): Items, now: Instant) {
        let count = job.next_len();
        let places = rejected.iter().chain(&fallback).map(|(at, _)| at).chain(&retry);
        let names_any = places.copied().any(|at| at < count);
        // A refusal that speaks of other records alone does not say that these are stored.
        if reply.status >= 400 && !names_any {
            return self.refuse(job, self.told(reply), true, now);
        }
        // The store wrote these places: it may name one twice, or one that was never sent.
        let tidy = |mut named: Vec<(usize, String)>| {
            named.sort_by_key(|(at, _)| *at);
            named.dedup_by_key(|(at, _)| *at);
            named.retain(|(at, _)| *at < count);
            named
        };
        let has = |named: &[(usize, String)], at: usize| named.binary_search_by_key(&at, |(other, _)| *other).is_ok();
        let mut rejected = tidy(rejected);
        let mut fallback = tidy(fallback);
        fallback.retain(|(at, _)| !has(&rejected, *at));
        if job.next_mode() == self.second_mode() {
            rejected = tidy([rejected, std::mem::take(&mut fallback)].concat());
        }
        retry.sort_unstable();
        retry.dedup();
        retry.retain(|&at| at < count && !has(&rejected, at) && !has(&fallback, at));
        for (_, reason) in &rejected {
            self.reject(1, reason, now);
        }
        let named: Vec<_> = rejected.iter().map(|(at, reason)| (*at, reason.as_str())).collect();
        self.quarantine(job, &named, now);
        let delivered = count - retry.len() - rejected.len() - fallback.len();
        self.counts.delivered += delivered as u64;
        if job.next_mode() == Mode::Fallback {
            self.counts.fallback += delivered as u64;
        }
        match fallback.first() {
            Some((_, reason)) if self.second_mode() == Mode::Replay => self.replayed(fallback.len(), reason, now),
            Some((_, reason)) => self.fell_back(fallback.len(), reason, now),
            None => {}
        }
        let places: Vec<usize> = fallback.iter().map(|(at, _)| *at).collect();
        job.change_of_next(&retry, &places, self.second_mode());
        if retry.is_empty() {
            self.well(now);
        } else {
            self.again(job, reply.retry_after, self.told(reply), now);
        }
    }

    /// How what the store refuses as it is goes again.
    fn second_mode(&self) -> Mode {
        self.replays_after.map_or(Mode::Fallback, |_| Mode::Replay)
    }

    /// The store kept only a part, and does not say which.
    fn lost_some(&mut self, job: &mut Job, rejected: usize, reason: &str, now: Instant) {
        let count = job.next_len();
        let rejected = rejected.min(count);
        self.counts.delivered += (count - rejected) as u64;
        if rejected > 0 {
            self.reject(rejected, reason, now);
            // Which ones is known only where it is all of them.
            if rejected == count {
                self.quarantine_next(job, reason, now);
            }
        } else {
            self.warned(reason, now);
        }
        job.settle_next(true);
        self.well(now);
    }

    fn fell_back(&self, count: usize, reason: &str, now: Instant) {
        let (name, url) = (&self.parts.name, self.parts.client.url());
        self.parts.voice.say(
            Topic::at("fallback", self.parts.index),
            || format!("{name} at {url} refused the fields of {count} record(s), which are sent again with all of them in one field: {reason}"),
            now,
        );
    }

    fn replayed(&self, count: usize, reason: &str, now: Instant) {
        let (name, url) = (&self.parts.name, self.parts.client.url());
        self.parts.voice.say(
            Topic::at("replay", self.parts.index),
            || {
                format!(
                    "{name} at {url} has newer records than {count} that are sent again, apart from those: {reason}"
                )
            },
            now,
        );
    }

    /// The store took the records before that place, refused the one there, and did not look at the others.
    fn stopped(&mut self, job: &mut Job, at: usize, reason: String, now: Instant) {
        // A place that was never sent proves nothing of any record. And a store that refuses the first one each time, and
        // has taken none, is not asked for each of them.
        if at >= job.next_len() || (at == 0 && job.is_hopeless()) {
            return self.refuse(job, reason, true, now);
        }
        self.counts.delivered += at as u64;
        if job.next_mode() == Mode::Fallback {
            self.counts.fallback += at as u64;
        }
        self.reject(1, &reason, now);
        self.quarantine(job, &[(at, &reason)], now);
        job.stopped_at(at);
        self.well(now);
    }

    /// The store refuses the request: halves, until one record is left that is rejected.
    fn refuse(&mut self, job: &mut Job, reason: String, for_content: bool, now: Instant) {
        if job.next_len() > 1 && !job.is_hopeless() {
            job.halve_next(for_content);
        } else {
            self.reject(job.next_len(), &reason, now);
            self.quarantine_next(job, &reason, now);
            job.settle_next(false);
        }
        self.well(now);
    }

    fn warned(&self, reason: &str, now: Instant) {
        let (name, url) = (&self.parts.name, self.parts.client.url());
        self.parts.voice.say(
            Topic::at("warned", self.parts.index),
            || format!("{name} at {url} took the records with a warning: {reason}"),
            now,
        );
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

    /// What the backend made of the reply, where that is more than the reply itself.
    fn held_for(&self, reason: String, reply: &Reply) -> String {
        let is_the_reply = reason.is_empty() || reason == format!("status {}", reply.status);
        if is_the_reply || reason.starts_with(&format!("status {}: ", reply.status)) {
            return self.told(reply);
        }
        format!("{} said: {reason}", self.parts.client.url())
    }

    pub(super) fn told(&self, reply: &Reply) -> String {
        const TOLD: usize = 300;
        let text = reply.text();
        // What stands before the first error of a long reply may be a thousand records that are fine.
        let begin = text.find("\"error\":").filter(|&at| at > TOLD).unwrap_or(0);
        let excerpt: String = text[begin..].trim().chars().take(TOLD).collect();
        let url = self.parts.client.url();
        if excerpt.is_empty() {
            format!("status {} from {url}", reply.status)
        } else {
            format!("status {} from {url}: {excerpt}", reply.status)
        }
    }

    pub(super) fn well(&mut self, now: Instant) {
        self.taken += 1;
        let was_well = self.pace.is_well();
        self.pace.succeeded();
        if !self.pace.is_well() {
            return;
        }
        if !was_well {
            self.came_back(now);
        }
        self.held = false;
        if self.last_failure.take().is_some() {
            let (name, owed) = (&self.parts.name, self.owed());
            let text = || format!("{name} takes records again; {owed} are owed to it");
            self.parts.voice.recovered(Topic::at("failed", self.parts.index), text);
        }
    }

    pub(super) fn again(&mut self, job: &mut Job, after: Option<Duration>, why: String, now: Instant) {
        match self.pace.failed(after, now) {
            Next::Again => self.unwell(job, why, "they are kept and sent again", now),
            Next::GiveUp => {
                self.unwell(job, why, "the retry schedule has ended for some of them, which are dropped", now);
                self.give_up(job, Reason::Expired);
            }
        }
    }

    /// The credential is not valid: another one is tried at once, if there is one.
    /// `credential` is the number of the one that was refused.
    pub(super) fn refresh(&mut self, job: &Job, why: String, credential: u64, now: Instant) {
        if self.parts.client.refresh(credential) {
            self.pace.try_now();
        } else {
            let complaint = self.parts.client.complaint().map_or(String::new(), |text| format!(" ({text})"));
            self.hold(job, why + &complaint, now);
        }
    }

    pub(super) fn hold(&mut self, job: &Job, why: String, now: Instant) {
        self.pace.hold(now);
        self.held = true;
        self.unwell(job, why, "they are kept; check LOGCHUTE_URL and the credentials", now);
    }

    /// `job` is the one that failed, which is neither in flight nor waiting at this moment.
    pub(super) fn unwell(&mut self, job: &Job, why: String, what: &str, now: Instant) {
        let (name, names, owed) = (&self.parts.name, self.parts.client.names(), self.owed() + job.owed());
        let limit = self.parts.settings.backlog_bytes;
        let why = names.in_words_of_the_user(&why);
        let text = || {
            let what =
                names.in_words_of_the_user(&format!("{what} (backlog of {limit} bytes, LOGCHUTE_BACKLOG_BYTES)"));
            format!("{name} does not take records: {why}; {owed} are owed, {what}")
        };
        self.parts.voice.say(Topic::at("failed", self.parts.index), text, now);
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
