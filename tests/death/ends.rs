//! Ways for a process to end that no destructor and no hook sees. The only `unsafe` of these tests.

#![allow(unsafe_code)]

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::str::FromStr;

// Of the C library that std links anyway.
unsafe extern "C" {
    safe fn raise(signal: i32) -> i32;
    safe fn _exit(code: i32) -> !;
    safe fn kill(process: i32, signal: i32) -> i32;
}

const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGABRT: i32 = 6;
pub(crate) const SIGTERM: i32 = 15;

/// How a victim dies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The test kills it.
    Kill,
    /// At a named point of the library, the n-th time that it comes by.
    Point(String, u64),
    Segv,
    Abort,
    UnderscoreExit,
    StackOverflow,
    /// Another program takes its place.
    Exec,
    /// This program takes its own place, as what `NEXT_…` says: the same process, with another life.
    ExecAgain,
    /// It asks for memory until the control group is out of it.
    OutOfMemory,
}

impl Way {
    /// As one word, for the victim's environment.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Point(point, nth) => format!("{point}:{nth}"),
            other => format!("{other:?}"),
        }
    }

    /// The signal, else the code, with which such a process ends.
    pub(crate) const fn status(&self) -> (Option<i32>, Option<i32>) {
        match self {
            Self::Kill | Self::Point(..) | Self::OutOfMemory => (Some(SIGKILL), None),
            Self::Segv => (Some(SIGSEGV), None),
            // Of a stack that overflows, std says so and aborts.
            Self::Abort | Self::StackOverflow => (Some(SIGABRT), None),
            Self::UnderscoreExit => (None, Some(7)),
            Self::Exec => (None, Some(0)),
            // Its next life ends like that.
            Self::ExecAgain => (None, Some(7)),
        }
    }

    /// Ends this process, unless something else is to do it.
    pub(crate) fn go(&self) {
        match self {
            Self::Kill | Self::Point(..) => {}
            Self::Segv => segv(),
            Self::Abort => std::process::abort(),
            Self::UnderscoreExit => _exit(7),
            Self::StackOverflow => println!("{}", deeper(1)),
            Self::Exec => panic!("no exec: {}", Command::new("/bin/true").exec()),
            Self::ExecAgain => panic!("no exec: {}", next_life().exec()),
            Self::OutOfMemory => {
                let mut all = Vec::new();
                loop {
                    all.push(vec![1_u8; 1 << 20]);
                }
            }
        }
    }
}

impl FromStr for Way {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if let Some((point, nth)) = word.split_once(':') {
            return Ok(Self::Point(point.to_owned(), nth.parse().map_err(|_| word.to_owned())?));
        }
        let plain = [
            Self::Kill,
            Self::Segv,
            Self::Abort,
            Self::UnderscoreExit,
            Self::StackOverflow,
            Self::Exec,
            Self::ExecAgain,
            Self::OutOfMemory,
        ];
        plain.into_iter().find(|way| way.word() == word).ok_or_else(|| word.to_owned())
    }
}

/// What begins the names of variables that are for the next life.
pub(crate) const NEXT: &str = "NEXT_";

fn next_life() -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    let named = |(name, value): (String, String)| Some((name.strip_prefix(NEXT)?.to_owned(), value));
    command.envs(std::env::vars().filter_map(named));
    command
}

/// As from outside, and at once: what a named point does.
pub(crate) fn die() {
    raise(SIGKILL);
}

pub(crate) fn send(process: u32, signal: i32) {
    assert_eq!(kill(i32::try_from(process).expect("a process id"), signal), 0, "no signal for {process}");
}

/// A real fault: of a signal that is merely sent, std's own handler swallows the first.
fn segv() {
    let nowhere = std::ptr::without_provenance_mut::<u8>(8);
    // SAFETY: none; that page is never mapped, and the fault is what is wanted.
    unsafe { nowhere.write_volatile(1) };
}

#[allow(unconditional_recursion)]
fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    deeper(depth + 1) + frame[(depth % 64) as usize]
}
