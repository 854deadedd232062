//! Where in the program a record was made.

use std::cell::Cell;
use std::ptr;

use tracing::Metadata;

thread_local! {
    /// The last callsite that was asked about, and the answer.
    static LAST: Cell<(*const Metadata<'static>, bool)> = const { Cell::new((ptr::null(), false)) };
}

/// Whether a field name stands twice in the callsite, as in `info!(a = 1, a = 2)`.
#[inline]
pub(super) fn repeats_a_name(callsite: &'static Metadata<'static>) -> bool {
    LAST.with(|last| {
        let (callsite_then, answer) = last.get();
        if ptr::eq(callsite_then, callsite) {
            return answer;
        }
        let answer = look_for_a_name_twice(callsite);
        last.set((callsite, answer));
        answer
    })
}

fn look_for_a_name_twice(callsite: &'static Metadata<'static>) -> bool {
    let fields = callsite.fields();
    fields.iter().enumerate().any(|(at, field)| fields.iter().skip(at + 1).any(|later| later.name() == field.name()))
}

/// The callsite of a record: by reference for a tracing event, else as the facts themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Callsite<'a> {
    /// Target, file, line, module and field names stand once in the program.
    Static(&'static Metadata<'static>),
    /// The same facts, to be written into the frame.
    Inline { target: &'a str, module: Option<&'a str>, file: Option<&'a str>, line: Option<u32> },
}
