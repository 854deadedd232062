//! Our own diagnostics: one line each on stderr, or to the hook of the user. Never `log`, never `tracing`.
//!
//! The first line of a topic is said at once, later ones at most every five minutes, with how many were
//! held back. No lock of ours is taken, so that it can be used on any thread and while the process exits; the one of
//! stderr is held for a single write. Nothing here can panic or fail: who cannot be told is not told.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::contain::quietly;
use crate::printable;
use crate::process;
use crate::tee::Stream;

/// Told of each diagnostic line instead of stderr.
pub(crate) type Hook = Arc<dyn Fn(&str) + Send + Sync>;

/// How long further lines of a topic are held back.
const PERIOD: Duration = Duration::from_secs(5 * 60);
/// A longer text is cut: half of what a pipe takes in one piece (`PIPE_BUF`), so that two processes on
/// one stderr do not tear each other's lines apart.
const LINE_MAX: usize = 2048;
/// Topics that can be told apart. A few kinds for each destination; more than that share a slot.
const SLOTS: usize = 128;

thread_local! {
    /// Whether this thread is inside the user's hook: a hook that logs, and so makes us speak, would
    /// otherwise call itself without end.
    static SPEAKING: Cell<bool> = const { Cell::new(false) };
}

/// What a diagnostic is about; each is rate-limited apart from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    what: &'static str,
    place: usize,
}

impl Topic {
    /// Something that concerns the whole pipeline.
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, place: 0 }
    }

    /// Something that concerns one of several: a destination by its position, or a reason by its number.
    pub(crate) const fn at(what: &'static str, place: usize) -> Self {
        Self { what, place: place + 1 }
    }

    /// Never zero, which is what a free slot holds.
    fn key(self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.what, self.place).hash(&mut hasher);
        hasher.finish() | 1
    }
}

#[derive(Default)]
struct Slot {
    /// The topic's key.
    key: AtomicU64,
    /// When a line was said last, in milliseconds since the voice's birth, plus one; zero: never.
    said: AtomicU64,
    held_back: AtomicU64,
    /// A trouble was told that has not been told to be over.
    troubled: AtomicBool,
}

/// Says what the user must know.
pub(crate) struct Voice {
    hook: Option<Hook>,
    born: Instant,
    slots: Box<[Slot]>,
}

impl Voice {
    pub(crate) fn new(hook: Option<Hook>) -> Self {
        Self { hook, born: Instant::now(), slots: (0..SLOTS).map(|_| Slot::default()).collect() }
    }

    /// Says it, unless something of this topic was said within the last five minutes. Returns whether it was said.
    ///
    /// `text` is called only where it is said.
    pub(crate) fn say(&self, topic: Topic, text: impl FnOnce() -> String, now: Instant) -> bool {
        let slot = self.slot(topic);
        let at = u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let last = slot.said.load(Ordering::Acquire);
        let is_due = last == 0 || at.saturating_sub(last) >= PERIOD.as_millis() as u64;
        // Of two threads that find it due at once, one says it.
        if !is_due || slot.said.compare_exchange(last, at, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            slot.held_back.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        slot.troubled.store(true, Ordering::Release);
        match slot.held_back.swap(0, Ordering::Relaxed) {
            0 => self.always(&text()),
            more => self.always(&format!("{} ({more} more like this since)", text())),
        }
        true
    }

    /// Says that the trouble of this topic is over, where it was told that there is one.
    pub(crate) fn recovered(&self, topic: Topic, text: impl FnOnce() -> String) {
        if self.slot(topic).troubled.swap(false, Ordering::AcqRel) {
            self.always(&text());
        }
    }

    /// Says it in any case: totals, and what is found once at start.
    pub(crate) fn always(&self, text: &str) {
        let line = line(text);
        // The hook is the user's code, and stderr may be gone: neither may hurt.
        quietly(|| match &self.hook {
            // A line fits into a pipe in one piece, so it needs no lock there to stay whole.
            None if process::is_child() => _ = process::write_unlocked(Stream::Stderr, line.as_bytes()),
            None => _ = std::io::stderr().lock().write_all(line.as_bytes()),
            Some(hook) => {
                if !SPEAKING.replace(true) {
                    quietly(|| hook(line.trim_end_matches('\n')));
                    SPEAKING.set(false);
                }
            }
        });
    }

    /// The slot of a topic; once all are taken, one that it shares with others.
    fn slot(&self, topic: Topic) -> &Slot {
        let key = topic.key();
        let first = (key >> 32) as usize % self.slots.len();
        let probes = (0..self.slots.len()).map(|step| &self.slots[(first + step) % self.slots.len()]);
        for slot in probes {
            match slot.key.compare_exchange(0, key, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return slot,
                Err(there) if there == key => return slot,
                Err(_) => {}
            }
        }
        &self.slots[first]
    }
}

impl std::fmt::Debug for Voice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voice").field("hook", &self.hook.is_some()).finish_non_exhaustive()
    }
}

/// One line: prefixed, without control characters, not too long, ended.
fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LINE_MAX) + 16);
    line.push_str("logchute: ");
    let mut escaped = String::new();
    // Cut before it is escaped, so that a reply of many megabytes costs nothing here.
    let cut = text.char_indices().map(|(at, _)| at).find(|&at| at >= LINE_MAX).unwrap_or(text.len());
    printable::escape(&mut escaped, &text[..cut], &[]);
    if escaped.len() > LINE_MAX || cut < text.len() {
        let end = (0..=LINE_MAX.min(escaped.len())).rev().find(|&at| escaped.is_char_boundary(at)).unwrap_or(0);
        escaped.truncate(end);
        escaped.push('…');
    }
    line.push_str(&escaped);
    line.push('\n');
    line
}

/// A URL as it may be shown: without user and password, without fragment, and with the values of its query masked.
///
/// Takes any text, so that a malformed URL is masked as well.
pub(crate) fn mask_url(url: &str) -> String {
    let (url, _) = url.split_once('#').unwrap_or((url, ""));
    let (head, query) = url.split_once('?').map_or((url, None), |(head, query)| (head, Some(query)));
    let (scheme, rest) = head.split_once("://").map_or(("", head), |(scheme, rest)| (scheme, rest));
    // A password may itself hold a slash or a question mark by mistake, so the last `@` of all counts.
    let (rest, query) = match url.rsplit_once('@') {
        Some((_, tail)) => match tail.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (tail, query.filter(|query| !query.contains('@'))),
        },
        None => (rest, query),
    };
    let mut masked = String::with_capacity(url.len());
    if !scheme.is_empty() {
        // What stands there may be the beginning of a password that holds `://`.
        let is_scheme = scheme.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char));
        masked.push_str(if is_scheme { scheme } else { "***" });
        masked.push_str("://");
    }
    if url.contains('@') {
        masked.push_str("***@");
    }
    masked.push_str(rest);
    let mut mark = '?';
    for pair in query.into_iter().flat_map(|query| query.split('&')) {
        masked.push(mark);
        mark = '&';
        match pair.split_once('=') {
            Some((key, _)) => {
                masked.push_str(key);
                masked.push_str("=***");
            }
            None => masked.push_str("***"),
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn listening() -> (Voice, Arc<Mutex<Vec<String>>>) {
        let said = Arc::new(Mutex::new(Vec::new()));
        let there = Arc::clone(&said);
        (Voice::new(Some(Arc::new(move |line: &str| there.lock().unwrap().push(line.to_owned())))), said)
    }

    const AWAY: Topic = Topic::at("away", 0);

    #[test]
    fn the_first_is_said_at_once_and_the_next_after_five_minutes_with_a_count() {
        let (voice, said) = listening();
        let t0 = Instant::now();
        for second in 0..300 {
            voice.say(AWAY, || format!("store away at {second}"), t0 + Duration::from_secs(second));
        }
        assert_eq!(*said.lock().unwrap(), ["logchute: store away at 0"]);
        voice.say(AWAY, || "store away".into(), t0 + Duration::from_secs(300));
        voice.say(AWAY, || "store away".into(), t0 + Duration::from_secs(301));
        assert_eq!(said.lock().unwrap()[1..], ["logchute: store away (299 more like this since)"]);
    }

    #[test]
    fn topics_and_destinations_do_not_silence_each_other() {
        let (voice, said) = listening();
        let t0 = Instant::now();
        for topic in [AWAY, Topic::at("away", 1), Topic::new("away"), Topic::new("queue full")] {
            assert!(voice.say(topic, || "x".into(), t0));
            assert!(!voice.say(topic, || unreachable!("the text is not made in vain"), t0));
        }
        assert_eq!(said.lock().unwrap().len(), 4);
    }

    #[test]
    fn a_store_that_comes_and_goes_says_two_lines_in_five_minutes() {
        let (voice, said) = listening();
        let t0 = Instant::now();
        for second in 0..100 {
            voice.say(AWAY, || "away".into(), t0 + Duration::from_secs(second));
            voice.recovered(AWAY, || "back".into());
        }
        assert_eq!(*said.lock().unwrap(), ["logchute: away", "logchute: back"]);
    }

    #[test]
    fn a_time_before_the_birth_of_the_voice_is_no_trouble() {
        let earlier = Instant::now();
        let (voice, said) = listening();
        voice.say(AWAY, || "early".into(), earlier);
        assert_eq!(said.lock().unwrap().len(), 1);
    }

    #[test]
    fn more_topics_than_slots_still_speak_and_stay_limited() {
        let (voice, said) = listening();
        let t0 = Instant::now();
        for _ in 0..3 {
            for place in 0..10 * SLOTS {
                voice.say(Topic::at("many", place), || "x".into(), t0);
            }
        }
        assert_eq!(said.lock().unwrap().len(), SLOTS);
    }

    #[test]
    fn one_of_many_threads_says_it() {
        let (voice, said) = listening();
        let t0 = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..100).for_each(|_| _ = voice.say(AWAY, || "x".into(), t0)));
            }
        });
        assert_eq!(said.lock().unwrap().len(), 1);
        voice.say(AWAY, || "x".into(), t0 + PERIOD);
        assert_eq!(said.lock().unwrap()[1], "logchute: x (799 more like this since)");
    }

    #[test]
    fn a_hook_that_panics_or_speaks_does_no_harm() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("and again");
            }
        }
        Voice::new(Some(Arc::new(|_| panic!("no")))).always("x");
        Voice::new(Some(Arc::new(|_| std::panic::panic_any(Bomb)))).always("x");
        let slot: Arc<std::sync::OnceLock<Voice>> = Arc::default();
        let (within, calls) = (Arc::downgrade(&slot), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&calls);
        let _ = slot.set(Voice::new(Some(Arc::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            within.upgrade().unwrap().get().unwrap().always("from within");
        }))));
        slot.get().unwrap().always("x");
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn b2_a_line_is_one_line_and_not_too_long() {
        let (voice, said) = listening();
        voice.always("status 400: \u{1b}[2Jgone\nlogchute: forged\u{202e}");
        voice.always(&"ä\n".repeat(1 << 20));
        let said = said.lock().unwrap();
        assert_eq!(said[0], "logchute: status 400: \\x1b[2Jgone\\nlogchute: forged\\u{202e}");
        assert!(said[1].len() < LINE_MAX + 20 && said[1].ends_with('…'));
        assert!(!said[1].contains('\n'));
    }

    #[test]
    fn b8_a_url_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("http://host:3100/push", "http://host:3100/push"),
            ("loki+https://u:canary@host/x", "loki+https://***@host/x"),
            ("https://canary@host", "https://***@host"),
            ("https://u:can/ary@host/x?a=canary", "https://***@host/x?a=***"),
            ("https://u:can?ary@host/x", "https://***@host/x"),
            ("https://host/x?token=canary&b=canary=&canary#canary", "https://host/x?token=***&b=***&***"),
            ("u:canary@host", "***@host"),
            ("u:canary://x@host", "***://***@host"),
            ("http://[::1]:3100", "http://[::1]:3100"),
            ("", ""),
        ] {
            assert_eq!(mask_url(url), shown);
        }
    }
}
