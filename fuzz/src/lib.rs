//! What all targets share: how an input stands for a reply or for a store's words, and what is checked of what a backend
//! makes of it.
//!
//! An input is a line with the status, and after it perhaps the seconds that the store asked to wait for; behind that
//! line the body. So a seed is a text file that can be read and written by hand:
//!
//! ```text
//! 429 30
//! {"error":"too many requests"}
//! ```
//!
//! An input without such a line is the body of a 200. What must hold is [`logchute::testing::check_reply`].

use std::time::Duration;

use logchute::backend::{Backend, Heard, Login, Reply, Speech};

/// As much of a body as a backend is ever given.
const BODY_MAX: usize = 64 * 1024;
/// Below what any message may take, so that none is refused for its length only where it comes in pieces.
const WORDS_MAX: usize = 8 * 1024;

/// The target of a backend, or of several that share their judge.
#[macro_export]
macro_rules! judges {
    ($($backend:expr),+ $(,)?) => {
        ::libfuzzer_sys::fuzz_target!(|input: &[u8]| {
            ::std::thread_local! {
                static BACKENDS: ::std::vec::Vec<::std::boxed::Box<dyn ::logchute::backend::Backend>> =
                    ::std::vec![$(::std::boxed::Box::new($backend)),+];
            }
            let reply = $crate::reply(input);
            BACKENDS.with(|all| all.iter().for_each(|backend| $crate::check(&**backend, &reply)));
        });
    };
}

/// Checks the verdict of a backend.
pub fn check(backend: &dyn Backend, reply: &Reply) {
    logchute::testing::check_reply(backend, reply);
}

/// The reply that an input stands for.
#[must_use]
pub fn reply(input: &[u8]) -> Reply {
    let (status, seconds, body) = head(input).unwrap_or((200, None, input));
    let mut reply = Reply::new(status, &body[..body.len().min(BODY_MAX)]);
    // The wait that a backend is told is never longer.
    reply.retry_after = seconds.map(|seconds| Duration::from_secs(seconds.min(60)));
    reply
}

fn head(input: &[u8]) -> Option<(u16, Option<u64>, &[u8])> {
    let end = input.iter().position(|&byte| byte == b'\n')?;
    let mut words = std::str::from_utf8(&input[..end]).ok()?.split(' ');
    let status = words.next()?.parse().ok().filter(|status| (100..600).contains(status))?;
    let seconds = words.next().and_then(|word| word.parse().ok());
    Some((status, seconds, &input[end + 1..]))
}

/// The target of a backend that speaks with its store on a connection that is kept.
///
/// The first byte of an input says in pieces of which size the rest arrives.
#[macro_export]
macro_rules! hears {
    ($backend:expr) => {
        ::libfuzzer_sys::fuzz_target!(|input: &[u8]| {
            ::std::thread_local! {
                static BACKEND: ::std::boxed::Box<dyn ::logchute::backend::Backend> = ::std::boxed::Box::new($backend);
            }
            BACKEND.with(|backend| $crate::listen(&**backend, input));
        });
    };
}

/// Checks what a backend makes of these words, for each way to log in: it gets on without going in circles, answers at
/// no great length, and does not mind in which pieces they arrive.
pub fn listen(backend: &dyn Backend, input: &[u8]) {
    let Some((&piece, words)) = input.split_first() else { return };
    let words = &words[..words.len().min(WORDS_MAX)];
    let key = Login::new().token("key");
    for login in [Login::new(), key, key.user("user", "password")] {
        let whole = heard(&mut *backend.speech(&login), words, words.len());
        let pieces = heard(&mut *backend.speech(&login), words, usize::from(piece) + 1);
        assert_eq!(whole, pieces, "it minds in which pieces the words arrive");
    }
}

/// What it heard, until it would close the connection.
fn heard(speech: &mut dyn Speech, words: &[u8], piece: usize) -> Vec<Heard> {
    let (mut said, mut all) = (Vec::new(), Vec::new());
    for piece in std::iter::once(&[][..]).chain(words.chunks(piece.max(1))) {
        said.extend_from_slice(piece);
        loop {
            let (mut left, mut answer) = (&said[..], Vec::new());
            let heard = speech.hear(&mut left, &mut answer);
            assert!(said.ends_with(left), "what is left is no end of what was said");
            assert!(answer.len() <= BODY_MAX, "an answer of {} bytes", answer.len());
            let used = said.len() - left.len();
            said.drain(..used);
            let is_over = matches!(heard, Heard::Refused(_) | Heard::Garbled(_));
            if heard != Heard::More {
                assert!(used > 0 || is_over || piece.is_empty(), "{heard:?} again and again, of the same words");
                all.push(heard);
            }
            if is_over {
                return all;
            }
            if used == 0 || said.is_empty() {
                break;
            }
        }
    }
    all
}
