//! Events of `tracing`.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::filter::LayerFilter;
use super::{Intake, now_nanos, span};
use crate::frame::{Callsite, FieldsWriter, Key, Severity, Sink, Writer};
use crate::mute;

/// The layer with its own filter, which neither mutes nor raises anything else in the process.
///
/// `alive` is held as long as the layer is.
pub(crate) fn layer<S, A>(intake: Arc<Intake>, alive: A) -> impl Layer<S> + Send + Sync + 'static + use<S, A>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    A: Send + Sync + 'static,
{
    let filter = LayerFilter(Arc::clone(&intake));
    EventLayer { intake, _alive: alive }.with_filter(filter)
}

struct EventLayer<A> {
    intake: Arc<Intake>,
    _alive: A,
}

impl<S, A> Layer<S> for EventLayer<A>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    A: Send + Sync + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !mute::is_ours() {
            let _ = catch_unwind(AssertUnwindSafe(|| span::begin(attributes, id, &context)));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if !mute::is_ours() {
            let _ = catch_unwind(AssertUnwindSafe(|| span::record(values, id, &context)));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let severity = Severity::from(*metadata.level());
        self.intake.capture(severity, true, |writer| {
            let keys = begin(writer, event, metadata, severity);
            event.record(&mut Visitor { fields: &mut writer.fields, keys });
            // The lock of a span may be poisoned by another layer: then the event goes without its fields.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                for span in context.event_scope(event).into_iter().flatten() {
                    span::append(writer, &span);
                }
            }));
        });
    }
}

/// An event has a static callsite, except where it stands for a log record: that brings its own.
#[inline]
fn begin(writer: &mut Writer<'_>, event: &Event<'_>, metadata: &'static Metadata<'static>, severity: Severity) -> Keys {
    if metadata.target() == "log" && metadata.name() == "log event" {
        begin_bridged(writer, event, metadata, severity);
        return Keys::Bridged;
    }
    writer.begin(Callsite::Static(metadata), severity, now_nanos());
    Keys::Event
}

/// What `tracing-log` makes of a log record carries target, module, file and line as fields.
#[cold]
fn begin_bridged(writer: &mut Writer<'_>, event: &Event<'_>, metadata: &'static Metadata<'static>, severity: Severity) {
    #[derive(Default)]
    struct Origin {
        target: Option<String>,
        module: Option<String>,
        file: Option<String>,
        line: Option<u32>,
    }
    impl Visit for Origin {
        fn record_str(&mut self, field: &Field, value: &str) {
            match field.name() {
                "log.target" => self.target = Some(value.to_owned()),
                "log.module_path" => self.module = Some(value.to_owned()),
                "log.file" => self.file = Some(value.to_owned()),
                _ => {}
            }
        }
        fn record_u64(&mut self, field: &Field, value: u64) {
            if field.name() == "log.line" {
                self.line = u32::try_from(value).ok();
            }
        }
        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    }
    let mut origin = Origin::default();
    event.record(&mut origin);
    let callsite = Callsite::Inline {
        target: origin.target.as_deref().unwrap_or(metadata.target()),
        module: origin.module.as_deref(),
        file: origin.file.as_deref(),
        line: origin.line,
    };
    writer.begin(callsite, severity, now_nanos());
}

/// How the fields of a value set are keyed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Keys {
    /// By their index in the event's callsite; `message` is the message.
    Event,
    /// By name, as the callsite is that of `tracing-log`; `message` is the message.
    Bridged,
    /// By name.
    Span,
}

/// Writes typed values as `tracing` gives them.
pub(super) struct Visitor<'w, S> {
    pub(super) fields: &'w mut FieldsWriter<S>,
    pub(super) keys: Keys,
}

impl<S: Sink> Visitor<'_, S> {
    #[inline]
    fn key<'k>(&self, field: &'k Field) -> Option<Key<'k>> {
        if self.keys == Keys::Event {
            return Some(Key::indexed(field.index(), || field.name()));
        }
        let is_origin = || matches!(field.name(), "log.target" | "log.module_path" | "log.file" | "log.line");
        if self.keys == Keys::Bridged && is_origin() { None } else { Some(Key::named(field.name())) }
    }

    #[inline]
    fn is_message(&self, field: &Field) -> bool {
        field.name() == "message" && self.keys != Keys::Span
    }
}

macro_rules! typed {
    ($($method:ident => $write:ident: $type:ty),* $(,)?) => {$(
        #[inline]
        fn $method(&mut self, field: &Field, value: $type) {
            if let Some(key) = self.key(field) {
                self.fields.$write(key, value);
            }
        }
    )*};
}

impl<S: Sink> Visit for Visitor<'_, S> {
    typed! {
        record_i64 => i64: i64,
        record_u64 => u64: u64,
        record_i128 => i128: i128,
        record_u128 => u128: u128,
        record_f64 => f64: f64,
        record_bool => bool: bool,
        record_bytes => bytes: &[u8],
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if let Some(key) = self.key(field) {
            self.fields.error(key, field.name(), value);
        }
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.is_message(field) {
            self.fields.message_str(value);
        } else if let Some(key) = self.key(field) {
            self.fields.str(key, value);
        }
    }

    #[inline]
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.is_message(field) {
            self.fields.message(format_args!("{value:?}"));
        } else if let Some(key) = self.key(field) {
            self.fields.fmt(key, format_args!("{value:?}"));
        }
    }
}
