//! What all targets share: how an input stands for a reply, and what is checked of the verdict on it.
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

use logchute::backend::{Backend, Reply};

/// As much of a body as a backend is ever given.
const BODY_MAX: usize = 64 * 1024;

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
