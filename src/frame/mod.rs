//! A record as bytes: encoded once on the calling thread, read in place ever after.
//!
//! ```text
//! callsite   &'static Metadata of a tracing event, or inline in the bytes (log records, `emit`)
//! bytes      head (24): time i64 · severity u8 · flags u8 · fields left out u16
//!                       · message offset u32, length u32 · spans offset u32
//!            thread:    length u8, name
//!            callsite:  target, module, file (length u16, text), line u32        if inline
//!            fields:    key, tag u8, value …                                     of the event
//!            spans:     length u8, name, fields length u32, fields               innermost first
//! key        index u8 into the callsite's field names, or 255, length u8, name
//! value      nothing (bool) · 8 or 16 bytes · length u32, bytes; followed by the original length
//!            u64 where it was cut
//! ```
//!
//! All numbers are little-endian. [`RecordRef`] checks every length, so bytes that come back from
//! anywhere else can do no harm. The message stands among the fields, without key and tag; where it was cut, its original length
//! u64 follows it.

mod callsite;
mod fields;
mod limits;
pub(crate) mod portable;
#[cfg(test)]
pub(crate) mod properties;
mod read;
mod severity;
mod slot;
#[cfg(test)]
mod tests;
mod text;
mod thread;
mod write;

pub(crate) use callsite::Callsite;
pub use fields::{Fields, Spans};
pub(crate) use fields::{Raw, replace_fields};
pub(crate) use limits::{CUT_MARK, CharBoundary, FRAME_MAX, KEY_MAX, VALUE_MAX, cut_key};
use limits::{FIELDS_END_MAX, FIELDS_MAX, SPANS_MAX, cut_nesting};
pub use read::{Field, RecordId, RecordRef, Value};
pub use severity::Severity;
pub(crate) use slot::{Frame, Sink, Slot};
pub(crate) use text::{note_json, panic_message};
pub(crate) use write::{FieldsWriter, Key, Writer};

/// Bytes of the fixed head.
const HEAD: usize = 24;

const FLAG_OWN: u8 = 1;
const FLAG_INLINE_CALLSITE: u8 = 2;
const FLAG_MESSAGE_CUT: u8 = 4;
/// Some of the record's own keys are names, so a name may occur twice.
const FLAG_NAMED_KEYS: u8 = 8;

/// Stands in place of an index where the name of a key follows.
const KEY_INLINE: u8 = 0xFF;
/// Stands for a callsite text that is absent.
const ABSENT: u16 = u16::MAX;

/// What kind of value follows; the top bit says that it was cut.
mod tag {
    pub(super) const FALSE: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    pub(super) const I64: u8 = 2;
    pub(super) const U64: u8 = 3;
    pub(super) const I128: u8 = 4;
    pub(super) const U128: u8 = 5;
    pub(super) const F64: u8 = 6;
    pub(super) const STR: u8 = 7;
    pub(super) const BYTES: u8 = 8;
    pub(super) const JSON: u8 = 9;
    pub(super) const ERROR: u8 = 10;
    pub(super) const CUT: u8 = 0x80;
}
