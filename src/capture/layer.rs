//! Events of `tracing`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::filter::LayerFilter;
use super::{Intake, now_nanos, span, twins};
use crate::contain::quietly;
use crate::frame::{Callsite, FieldsWriter, Key, Severity, Sink, Writer};
use crate::mute::Capturing;

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

pub(super) struct EventLayer<A> {
    intake: Arc<Intake>,
    _alive: A,
}

impl<S, A> Layer<S> for EventLayer<A>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    A: Send + Sync + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        // Too deep means that the values of spans begin spans without end: then these have no fields.
        if let Ok(_capturing) = Capturing::enter() {
            quietly(|| span::begin(attributes, id, &context));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Ok(_capturing) = Capturing::enter() {
            quietly(|| span::record(values, id, &context));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let severity = Severity::from(*metadata.level());
        // What `tracing-log` makes of a log record.
        let bridged = metadata.target() == "log" && metadata.name() == "log event";
        if bridged && twins::is_bridged_twin(event) {
            return;
        }
        self.intake.capture(severity, true, |writer| {
            if bridged {
                begin_bridged(writer, event, metadata, severity);
                event.record(&mut Visitor::of_bridged_event(&mut writer.fields));
            } else {
                writer.begin(Callsite::Static(metadata), severity, now_nanos());
                event.record(&mut Visitor::of_event(&mut writer.fields));
            }
            // The lock of a span may be poisoned by another layer: then the event goes without its fields.
            quietly(|| {
                for span in context.event_scope(event).into_iter().flatten() {
                    span::append(writer, &span);
                }
            });
        });
    }
}

/// A log record that came over the bridge has its callsite in fields: target, module, file and line.
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

/// Writes typed values as `tracing` gives them.
///
/// With `INDEXED`, fields are keyed by their place in the event's callsite. Without, by name: in spans, and in events
/// that come from `tracing-log`, whose callsite is not theirs.
pub(super) struct Visitor<'w, S, const INDEXED: bool> {
    pub(super) fields: &'w mut FieldsWriter<S>,
    /// Whether the field `message` is the message; in a span it is a field like others.
    pub(super) has_message: bool,
    /// Whether fields that `tracing-log` adds are to be passed over.
    pub(super) is_bridged: bool,
}

impl<'w, S: Sink> Visitor<'w, S, true> {
    #[inline]
    fn of_event(fields: &'w mut FieldsWriter<S>) -> Self {
        Self { fields, has_message: true, is_bridged: false }
    }
}

impl<'w, S: Sink> Visitor<'w, S, false> {
    fn of_bridged_event(fields: &'w mut FieldsWriter<S>) -> Self {
        Self { fields, has_message: true, is_bridged: true }
    }

    pub(super) fn of_span(fields: &'w mut FieldsWriter<S>) -> Self {
        Self { fields, has_message: false, is_bridged: false }
    }
}

impl<S: Sink, const INDEXED: bool> Visitor<'_, S, INDEXED> {
    #[inline(always)]
    fn key<'k>(&self, field: &'k Field) -> Option<Key<'k>> {
        if INDEXED {
            return Some(Key::indexed(field.index(), || field.name()));
        }
        let is_origin = || matches!(field.name(), "log.target" | "log.module_path" | "log.file" | "log.line");
        if self.is_bridged && is_origin() { None } else { Some(Key::named(field.name())) }
    }

    #[inline(always)]
    fn is_message(&self, field: &Field) -> bool {
        field.name() == "message" && (INDEXED || self.has_message)
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

impl<S: Sink, const INDEXED: bool> Visit for Visitor<'_, S, INDEXED> {
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
