//! Records that are built by hand, and nested values.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

use serde::Serialize;

use super::now_nanos;
use crate::frame::{Callsite, FieldsWriter, Frame, Key, Severity, Sink, Writer, note_json};

/// A record that is built by hand, for what neither `tracing` nor `log` can say: keys that are known only at
/// run time, bytes, or a severity of FATAL.
///
/// Hand it over with [`Handle::emit`](crate::Handle::emit). It carries the fields of the current span.
///
/// # Examples
///
/// ```
/// use logchute::{Record, Severity};
///
/// let record = Record::new(Severity::Fatal, "disk is gone").field("device", "sda").field("sector", 77_u64);
/// assert!(format!("{record:?}").contains("sda"));
/// ```
#[derive(Clone, Debug)]
pub struct Record {
    severity: Severity,
    message: Cow<'static, str>,
    target: Option<Cow<'static, str>>,
    file: Cow<'static, str>,
    line: u32,
    fields: Vec<(Cow<'static, str>, FieldValue)>,
}

impl Record {
    /// A record of this place in the program.
    #[must_use]
    #[track_caller]
    pub fn new(severity: Severity, message: impl Into<Cow<'static, str>>) -> Self {
        let place = Location::caller();
        Self {
            severity,
            message: message.into(),
            target: None,
            file: place.file().into(),
            line: place.line(),
            fields: Vec::new(),
        }
    }

    /// Adds a field. Of two with the same key the later one stays.
    #[must_use]
    pub fn field(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<FieldValue>) -> Self {
        self.fields.push((key.into(), value.into()));
        self
    }

    /// The target by which it is filtered. Default: `emit`.
    #[must_use]
    pub fn target(mut self, target: impl Into<Cow<'static, str>>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// A record of another place than where it is built.
    pub(super) fn at(mut self, place: &Location<'_>) -> Self {
        self.file = place.file().to_owned().into();
        self.line = place.line();
        self
    }

    pub(crate) fn severity(&self) -> Severity {
        self.severity
    }

    pub(crate) fn target_or_default(&self) -> &str {
        self.target.as_deref().unwrap_or("emit")
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        let callsite = Callsite::Inline {
            target: self.target_or_default(),
            module: None,
            file: Some(&self.file),
            line: Some(self.line),
        };
        writer.begin(callsite, self.severity, now_nanos());
        writer.fields.message_str(&self.message);
        for (key, value) in &self.fields {
            value.write(&mut writer.fields, Key::named(key));
        }
    }

    /// As a frame that is logchute's own, for the worker.
    pub(crate) fn into_own_frame(self) -> Frame {
        let mut frame = Frame::blank();
        let mut writer = Writer::over(&mut frame);
        self.write(&mut writer);
        writer.own();
        writer.finish();
        frame
    }
}

/// The value of a field of a [`Record`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldValue {
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i128),
    /// An unsigned integer.
    Uint(u128),
    /// A floating-point number.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes that need not be text.
    Bytes(Vec<u8>),
    /// A nested value, as JSON text.
    Json(String),
}

impl FieldValue {
    fn write<S: Sink>(&self, fields: &mut FieldsWriter<S>, key: Key<'_>) {
        match self {
            Self::Bool(value) => fields.bool(key, *value),
            Self::Int(value) => fields.i128(key, *value),
            Self::Uint(value) => fields.u128(key, *value),
            Self::Float(value) => fields.f64(key, *value),
            Self::Text(value) => fields.str(key, value),
            Self::Bytes(value) => fields.bytes(key, value),
            Self::Json(value) => fields.json(key, value),
        }
    }
}

macro_rules! from {
    ($($variant:ident: $($type:ty),+;)*) => {$($(
        impl From<$type> for FieldValue {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )+)*};
}

from! {
    Bool: bool;
    Int: i8, i16, i32, i64, i128;
    Uint: u8, u16, u32, u64, u128;
    Float: f32, f64;
    Text: &str, String, Cow<'_, str>;
    Bytes: Vec<u8>, &[u8];
}

impl From<usize> for FieldValue {
    fn from(value: usize) -> Self {
        Self::Uint(value as u128)
    }
}

impl From<isize> for FieldValue {
    fn from(value: isize) -> Self {
        Self::Int(value as i128)
    }
}

impl<T: Serialize + ?Sized> From<Json<'_, T>> for FieldValue {
    fn from(value: Json<'_, T>) -> Self {
        match serde_json::to_string(value.0) {
            Ok(json) => Self::Json(json),
            Err(error) => Self::Text(not_serialised(&error)),
        }
    }
}

/// A nested value as a field: as `?json(&value)` in the macros of `tracing`, or in [`Record::field`].
///
/// Arrays and objects nested deeper than 16 are replaced by a mark; a value above 256 KiB becomes a text that
/// is cut. A value that cannot be serialised becomes a text that says why.
///
/// # Examples
///
/// ```
/// let line = format!("{:?}", logchute::json(&vec![("a", 1)]));
/// assert_eq!(line, r#"[["a",1]]"#);
/// tracing::info!(cart = ?logchute::json(&[1, 2, 3]), "checkout");
/// ```
pub fn json<T: Serialize + ?Sized>(value: &T) -> Json<'_, T> {
    Json(value)
}

/// A nested value; see [`json()`].
#[derive(Clone, Copy)]
pub struct Json<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> fmt::Debug for Json<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match serde_json::to_string(self.0) {
            Ok(json) => {
                f.write_str(&json)?;
                note_json(json.len());
                Ok(())
            }
            Err(error) => f.write_str(&not_serialised(&error)),
        }
    }
}

impl<T: Serialize + ?Sized> fmt::Display for Json<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

fn not_serialised(error: &serde_json::Error) -> String {
    format!("<not serialisable: {error}>")
}
