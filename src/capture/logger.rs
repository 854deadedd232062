//! Records of `log`, with their key-values and the fields of the current span.

use std::sync::Arc;

use log::kv::{Error, Key as LogKey, Value, VisitSource, VisitValue};

use super::layer::EventLayer;
use super::{Intake, Record, now_nanos, span, twins};
use crate::contain::{contained, quietly};
use crate::frame::{Callsite, FieldsWriter, Key, Severity, Slot, VALUE_MAX, Writer};

/// The logger; `alive` is held as long as it is.
pub(crate) struct Logger<A> {
    intake: Arc<Intake>,
    _alive: A,
}

impl<A> Logger<A> {
    pub(crate) fn new(intake: Arc<Intake>, alive: A) -> Self {
        Self { intake, _alive: alive }
    }
}

impl<A: Send + Sync + 'static> log::Log for Logger<A> {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let severity = Severity::from(metadata.level());
        self.intake.filters.now().admit(metadata.target(), severity.level())
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) && !twins::is_twin::<EventLayer<A>>(record) {
            let severity = Severity::from(record.level());
            self.intake.capture(severity, true, |writer| {
                write(record, severity, writer);
                append_spans(writer);
            });
        }
    }

    fn flush(&self) {}
}

impl Intake {
    /// Takes a record that was built by hand.
    pub(crate) fn emit(&self, record: &Record, may_wait: bool) {
        let severity = record.severity();
        if self.filters.now().admit(record.target_or_default(), severity.level()) {
            self.capture(severity, may_wait, |writer| {
                record.write(writer);
                append_spans(writer);
            });
        }
    }
}

fn append_spans(writer: &mut Writer<'_>) {
    // As for events: a lock that another layer poisoned costs the spans' fields, not the record.
    quietly(|| span::append_current(writer));
}

fn write(record: &log::Record<'_>, severity: Severity, writer: &mut Writer<'_>) {
    let callsite = Callsite::Inline {
        target: record.target(),
        module: record.module_path(),
        file: record.file(),
        line: record.line(),
    };
    writer.begin(callsite, severity, now_nanos());
    writer.fields.message(*record.args());
    // A source that panics or gives up keeps what it gave.
    quietly(|| _ = record.key_values().visit(&mut Pairs(&mut writer.fields)));
}

struct Pairs<'w, 'f>(&'w mut FieldsWriter<Slot<'f>>);

impl<'kvs> VisitSource<'kvs> for Pairs<'_, '_> {
    fn visit_pair(&mut self, key: LogKey<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let (fields, name) = (&mut *self.0, key.as_str());
        // What has `Serialize` is serialised in here, to find out what it is.
        match contained(|| value.visit(OneValue { fields, name })) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.0.fmt(Key::named(name), format_args!("<not serialisable: {error}>")),
            Err(message) => self.0.fmt(Key::named(name), format_args!("<panicked: {message}>")),
        }
        Ok(())
    }
}

struct OneValue<'w, 'f, 'k> {
    fields: &'w mut FieldsWriter<Slot<'f>>,
    name: &'k str,
}

macro_rules! typed {
    ($($method:ident => $write:ident: $type:ty),* $(,)?) => {$(
        fn $method(&mut self, value: $type) -> Result<(), Error> {
            self.fields.$write(Key::named(self.name), value);
            Ok(())
        }
    )*};
}

impl<'v> VisitValue<'v> for OneValue<'_, '_, '_> {
    typed! {
        visit_i64 => i64: i64,
        visit_u64 => u64: u64,
        visit_i128 => i128: i128,
        visit_u128 => u128: u128,
        visit_f64 => f64: f64,
        visit_bool => bool: bool,
        visit_str => str: &str,
    }

    fn visit_error(&mut self, value: &(dyn std::error::Error + 'static)) -> Result<(), Error> {
        self.fields.error(Key::named(self.name), self.name, value);
        Ok(())
    }

    // What comes from the macros is borrowed, and not passed on to `visit_error`.
    fn visit_borrowed_error(&mut self, value: &'v (dyn std::error::Error + 'static)) -> Result<(), Error> {
        self.visit_error(value)
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.fields.json(Key::named(self.name), "null");
        Ok(())
    }

    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        let key = Key::named(self.name);
        let mut json = Bounded::default();
        match serde_json::to_writer(&mut json, &value) {
            Ok(()) if !json.full => match std::str::from_utf8(&json.kept) {
                // What has `Debug` or `Display` alone serialises as a text, nested values as what they are.
                Ok(text) if text.starts_with('"') => match serde_json::from_str::<String>(text) {
                    Ok(text) => self.fields.str(key, &text),
                    Err(_) => self.fields.fmt(key, format_args!("{value}")),
                },
                Ok(nested) => self.fields.json(key, nested),
                Err(_) => self.fields.fmt(key, format_args!("{value}")),
            },
            // Too long, or no JSON: cut as it is formatted.
            _ => self.fields.fmt(key, format_args!("{value}")),
        }
        Ok(())
    }
}

/// Takes JSON as long as it is not longer than a value may be: one of a gigabyte must not be in memory whole.
#[derive(Default)]
struct Bounded {
    kept: Vec<u8>,
    full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.kept.len() + bytes.len() > VALUE_MAX {
            self.full = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
