//! Where in the program a record was made.

use tracing::Metadata;

/// The callsite of a record: by reference for a tracing event, else as the facts themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Callsite<'a> {
    /// Target, file, line, module and field names stand once in the program.
    Static(&'static Metadata<'static>),
    /// The same facts, to be written into the frame.
    Inline { target: &'a str, module: Option<&'a str>, file: Option<&'a str>, line: Option<u32> },
}
