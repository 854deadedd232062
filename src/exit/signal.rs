//! SIGTERM and SIGINT, where the user asks for it: what is owed is sent at once, or the process ends as any other way.
//!
//! A thread of ours waits for them; what runs inside the signal itself is `signal-hook`'s, which sets marks and calls the
//! handlers that were there before. That thread is not muted: `process::exit` runs the application's own exit handlers on
//! it, and ours, which waits. A signal that is ignored stays ignored. Nothing is raised again, which for PID 1 would come
//! to nothing: the process exits with 128 and the signal's number, as a shell would say it.

use crate::config::Signals;
use crate::error::Error;
use crate::voice::Voice;

#[cfg(unix)]
pub(crate) use unix::{watch, watch_again};

/// Refuses what cannot be done on this system.
pub(crate) fn check(signals: Signals) -> Result<(), Error> {
    if cfg!(unix) || signals == Signals::Off {
        return Ok(());
    }
    Err(Error::setting("signals", format!("{signals:?}").to_lowercase(), "off: this system has no SIGTERM"))
}

#[cfg(not(unix))]
pub(crate) fn watch(_: Signals, _: &Voice) -> Result<(), Error> {
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn watch_again(_: Signals) {}

#[cfg(unix)]
mod unix {
    use std::ffi::c_int;
    use std::io;
    use std::process;
    use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
    use std::sync::{Arc, OnceLock};
    use std::thread;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    use signal_hook::iterator::Signals as Iterator;

    use super::super::all;
    use super::{Error, Signals, Voice};

    /// The process in which a thread of that mode waits; 0: none did.
    static FLUSHES: AtomicU32 = AtomicU32::new(0);
    static EXITS: AtomicU32 = AtomicU32::new(0);

    /// The number of the first signal in mode `exit`; 0: none came. A child that gets one before its thread is there finds
    /// it here.
    static FIRST: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

    /// Begins to wait in this process, unless a thread does already.
    pub(crate) fn watch(mode: Signals, voice: &Voice) -> Result<(), Error> {
        if !is_new(mode) {
            return Ok(());
        }
        let found = Dispositions::now();
        let signals = found.not_ignored();
        let not_caught = signals.iter().filter(|&&signal| !found.is_caught(signal)).map(|&signal| name(signal));
        let not_caught: Vec<_> = not_caught.collect();
        if mode == Signals::Flush && !not_caught.is_empty() {
            voice.always(&format!(
                "nothing ends this process at {}, as LOGCHUTE_SIGNALS=flush takes the place of what the system would do: \
                 set LOGCHUTE_SIGNALS=exit, unless a handler of the application's own is still to come",
                not_caught.join(" and ")
            ));
        }
        let begin = || {
            if mode == Signals::Exit {
                end_at_the_second(&signals)?;
            }
            wait(mode, Iterator::new(&signals)?)
        };
        begin().map_err(Error::Spawn)
    }

    /// Begins to wait in a child of a process that did. All of it happens on the new thread: another one of the parent may
    /// have held what the registration needs.
    pub(crate) fn watch_again(mode: Signals) {
        if is_new(mode) {
            let begin = move || {
                if let Ok(signals) = Iterator::new(Dispositions::now().not_ignored()) {
                    answer(mode, signals);
                }
            };
            let _ = thread::Builder::new().name(NAME.into()).spawn(begin);
        }
    }

    const NAME: &str = "logchute-signal";

    fn is_new(mode: Signals) -> bool {
        let (place, pid) = match mode {
            Signals::Off => return false,
            Signals::Flush => (&FLUSHES, process::id()),
            Signals::Exit => (&EXITS, process::id()),
        };
        place.swap(pid, Ordering::AcqRel) != pid
    }

    /// From the second one on nothing is waited for.
    fn end_at_the_second(signals: &[c_int]) -> io::Result<()> {
        let came = Arc::new(AtomicBool::new(false));
        let first = FIRST.get_or_init(Arc::default);
        for &signal in signals {
            flag::register_conditional_shutdown(signal, status(signal), Arc::clone(&came))?;
        }
        for &signal in signals {
            flag::register(signal, Arc::clone(&came))?;
            flag::register_usize(signal, Arc::clone(first), signal as usize)?;
        }
        Ok(())
    }

    fn wait(mode: Signals, signals: Iterator) -> io::Result<()> {
        thread::Builder::new().name(NAME.into()).spawn(move || answer(mode, signals))?;
        Ok(())
    }

    fn answer(mode: Signals, mut signals: Iterator) {
        let before = FIRST.get().map_or(0, |first| first.load(Ordering::Acquire)) as c_int;
        if mode == Signals::Exit && before != 0 {
            exit(before);
        }
        for signal in signals.forever() {
            match mode {
                Signals::Exit => exit(signal),
                _ => all().iter().for_each(|core| core.make_haste()),
            }
        }
    }

    /// The exit hook does the rest, as at any other end.
    fn exit(signal: c_int) -> ! {
        if cfg!(not(any(target_os = "linux", target_os = "macos"))) {
            super::super::end_all();
        }
        process::exit(status(signal));
    }

    fn name(signal: c_int) -> &'static str {
        if signal == SIGTERM { "SIGTERM" } else { "SIGINT" }
    }

    fn status(signal: c_int) -> c_int {
        128 + signal
    }

    /// What the process does about signals, a bit for each. Where the system does not tell it, nothing is known.
    #[derive(Default)]
    struct Dispositions {
        caught: u64,
        ignored: u64,
        known: bool,
    }

    impl Dispositions {
        fn now() -> Self {
            Self::of(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
        }

        /// Of the text of `/proc/PID/status`, see proc(5).
        fn of(status: &str) -> Self {
            let of = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name))?;
                u64::from_str_radix(line.trim(), 16).ok()
            };
            match (of("SigCgt:"), of("SigIgn:")) {
                (Some(caught), Some(ignored)) => Self { caught, ignored, known: true },
                _ => Self::default(),
            }
        }

        fn not_ignored(&self) -> Vec<c_int> {
            let is_ignored = |signal: c_int| self.ignored >> (signal - 1) & 1 == 1;
            [SIGTERM, SIGINT].into_iter().filter(|&signal| !is_ignored(signal)).collect()
        }

        fn is_caught(&self, signal: c_int) -> bool {
            !self.known || self.caught >> (signal - 1) & 1 == 1
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_the_system_says_of_signals_is_read_and_what_it_does_not_say_is_not_made_up() {
            // SIGINT (2) is ignored, SIGTERM (15) has a handler.
            let found = Dispositions::of("Name:\tx\nSigIgn:\t0000000000001002\nSigCgt:\t0000000180004000\n");
            assert_eq!(found.not_ignored(), [SIGTERM]);
            assert!(found.is_caught(SIGTERM) && !found.is_caught(SIGINT));
            let unknown = Dispositions::of("Name:\tx\nSigCgt:\tzz\n");
            assert_eq!(unknown.not_ignored(), [SIGTERM, SIGINT]);
            assert!(unknown.is_caught(SIGTERM));
        }
    }
}
