//! Last words: a panic becomes a FATAL record.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

use super::Record;
use crate::frame::{Severity, panic_message};
use crate::mute;

/// Puts a hook before the one that is there, which is still called after it.
///
/// `last_words` is told of each panic outside of our own threads, and calls that hook. It must not wait for long, as it
/// also runs for panics that are caught.
pub(crate) fn install_panic_hook(last_words: impl Fn(Record, &dyn Fn()) + Send + Sync + 'static) {
    let next = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // A value that panics while it is captured is told of in its own record.
        if mute::is_ours() || mute::is_capturing() {
            next(info);
        } else {
            last_words(record(info), &|| next(info));
        }
    }));
}

fn record(info: &PanicHookInfo<'_>) -> Record {
    let message = panic_message(info.payload());
    let record = match info.location() {
        Some(place) => Record::new(Severity::Fatal, format!("panicked at {place}: {message}")).at(place),
        None => Record::new(Severity::Fatal, format!("panicked: {message}")),
    };
    let record = record.target("panic");
    // Taken only where RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => record.field("backtrace", backtrace.to_string()),
        _ => record,
    }
}
