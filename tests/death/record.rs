//! What a victim logs: each record says whose it is, and everything else in it follows from that.

use logchute::testing::Received;

/// Threads of a victim, each with a pattern of its own.
pub(crate) const THREADS: u64 = 4;

/// The longest body, of the thread that mixes sizes.
const LONGEST: u64 = 64 << 10;

/// Names one record: the run of the process that logged it, its thread there, and its number there, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) run: u64,
    pub(crate) thread: u64,
    pub(crate) n: u64,
}

/// A number that follows from others, and looks like chance (splitmix64).
pub(crate) fn mix(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0x9E37_79B9_7F4A_7C15, |state, number| {
        let mut z = (state ^ number).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

impl Key {
    /// `r3 t2 n17 ` and the body.
    pub(crate) fn message(self, seed: u64) -> String {
        let Self { run, thread, n } = self;
        let chance = mix(&[seed, run, thread, n]);
        let length = match thread {
            3 if chance.is_multiple_of(50) => (chance >> 8) % LONGEST,
            3 => (chance >> 8) % 2000,
            _ => 20 + (chance >> 8) % 180,
        } as usize;
        let mut text = format!("r{run} t{thread} n{n} ");
        let end = text.len() + length;
        for word in 0.. {
            if text.len() >= end {
                break;
            }
            // Not digits alone: a byte that is out of place must be seen.
            text.push_str(&format!("{:016x}é\"\\\n", mix(&[chance, word])));
        }
        text
    }

    /// Of a message as it came back; none where it is not a victim's.
    pub(crate) fn of(message: &str) -> Option<Self> {
        let mut parts = message.split(' ');
        let mut number = |letter| parts.next()?.strip_prefix(letter)?.parse().ok();
        let key = Self { run: number('r')?, thread: number('t')?, n: number('n')? };
        (key.thread < THREADS).then_some(key)
    }

    /// Of a record as the store has it, with whatever is wrong with that record.
    pub(crate) fn check(seed: u64, record: &Received) -> Result<Option<Self>, String> {
        if record.get("logchute.own").is_some() {
            return Ok(None);
        }
        let shown = || record.message.chars().take(60).collect::<String>();
        let key = Self::of(&record.message).ok_or_else(|| format!("nobody logged {:?}", shown()))?;
        if record.message != key.message(seed) {
            return Err(format!("{key:?} has another body: {:?}", shown()));
        }
        let says = |name: &str, value: &serde_json::Value| match record.get(name) {
            Some(found) if found == value => Ok(()),
            found => Err(format!("{key:?}: {name} is {found:?}, not {value}")),
        };
        says("service_name", &service(key.run).into())?;
        says("target", &TARGET.into())?;
        match key.n % 4 {
            0 => says("number", &key.n.into())?,
            1 => {}
            2 => {
                says("number", &key.n.into())?;
                says("span", &"outer".into())?;
                says("worn", &key.thread.into())?;
            }
            _ => says("number", &key.n.into())?,
        }
        let level = ["info", "warn", "info", "error"][(key.n % 4) as usize];
        if record.level != level { Err(format!("{key:?} is {}, not {level}", record.level)) } else { Ok(Some(key)) }
    }

    /// Says it, by one facade after another.
    pub(crate) fn say(self, seed: u64, logs: &logchute::Handle) {
        let (n, message) = (self.n, self.message(seed));
        match n % 4 {
            0 => tracing::info!(target: TARGET, number = n, "{message}"),
            1 => log::warn!(target: TARGET, "{message}"),
            2 => {
                let span = tracing::info_span!(target: TARGET, "outer", worn = self.thread);
                span.in_scope(|| tracing::info!(target: TARGET, number = n, "{message}"));
            }
            _ => logs.emit(logchute::Record::new(logchute::Severity::Error, message).target(TARGET).field("number", n)),
        }
    }
}

const TARGET: &str = "victim";

/// What a process of that run calls itself, so that it is seen whose resource a record has.
pub(crate) fn service(run: u64) -> String {
    format!("victim-{run}")
}
