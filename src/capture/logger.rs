//! Records of `log`, with their key-values and the fields of the current span.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use log::kv::{Error, Key as LogKey, Value, VisitSource, VisitValue};

use super::layer::EventLayer;
use super::{Intake, Record, now_nanos, span, twins};
use crate::frame::{Callsite, FieldsWriter, Key, Severity, Slot, Writer, panic_message};

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
    let _ = catch_unwind(AssertUnwindSafe(|| span::append_current(writer)));
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
    let _ = catch_unwind(AssertUnwindSafe(|| record.key_values().visit(&mut Pairs(&mut writer.fields))));
}

struct Pairs<'w, 'f>(&'w mut FieldsWriter<Slot<'f>>);

impl<'kvs> VisitSource<'kvs> for Pairs<'_, '_> {
    fn visit_pair(&mut self, key: LogKey<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let (fields, name) = (&mut *self.0, key.as_str());
        // What has `Serialize` is serialised in here, to find out what it is.
        match catch_unwind(AssertUnwindSafe(|| value.visit(OneValue { fields, name }))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.0.fmt(Key::named(name), format_args!("<not serialisable: {error}>")),
            Err(panic) => {
                self.0.fmt(Key::named(name), format_args!("<panicked: {}>", panic_message(panic.as_ref())));
            }
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
        // What has `Debug` or `Display` alone serialises as a text, nested values as what they are.
        match serde_json::to_value(&value) {
            Ok(serde_json::Value::String(text)) => self.fields.str(Key::named(self.name), &text),
            Ok(nested) => self.fields.json(Key::named(self.name), &nested.to_string()),
            Err(_) => self.fields.fmt(Key::named(self.name), format_args!("{value}")),
        }
        Ok(())
    }
}
