//! Fields of spans: encoded when the span begins or records, copied as bytes into each of its events.

use tracing::Subscriber;
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Registry, SpanRef};

use super::layer::Visitor;
use crate::frame::{FieldsWriter, Writer};

/// What a span keeps of itself, in its extensions: one run of bytes that reads as fields.
struct SpanFields {
    count: usize,
    bytes: Vec<u8>,
}

/// Encodes first and locks the extensions after: other layers hold that lock while they format values.
pub(super) fn begin<S>(attributes: &Attributes<'_>, id: &Id, context: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut fields = FieldsWriter::for_span();
    attributes.record(&mut Visitor::of_span(&mut fields));
    let (count, bytes) = fields.into_parts();
    if let Some(span) = context.span(id) {
        span.extensions_mut().replace(SpanFields { count, bytes });
    }
}

/// What is recorded later takes the place of what was there under the same key.
pub(super) fn record<S>(values: &Record<'_>, id: &Id, context: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut fields = FieldsWriter::for_span();
    values.record(&mut Visitor::of_span(&mut fields));
    let (added, new) = fields.into_parts();
    if let Some(span) = context.span(id) {
        let mut extensions = span.extensions_mut();
        if let Some(there) = extensions.get_mut::<SpanFields>() {
            let (kept, mut bytes) = crate::frame::fields_without(&there.bytes, &new);
            bytes.extend_from_slice(&new);
            *there = SpanFields { count: kept + added, bytes };
        }
    }
}

/// Appends the fields of the spans that this thread is in, for records that do not come through the layer.
///
/// They can be had where the application's subscriber stands on the registry of `tracing-subscriber`.
pub(super) fn append_current(writer: &mut Writer<'_>) {
    tracing::dispatcher::get_default(|dispatch| {
        let Some(registry) = dispatch.downcast_ref::<Registry>() else { return };
        let current = registry.current_span();
        let Some(span) = current.id().and_then(|id| registry.span(id)) else { return };
        for span in span.scope() {
            append(writer, &span);
        }
    });
}

#[inline]
pub(super) fn append<S>(writer: &mut Writer<'_>, span: &SpanRef<'_, S>)
where
    S: for<'a> LookupSpan<'a>,
{
    if let Some(fields) = span.extensions().get::<SpanFields>() {
        writer.span(span.name(), fields.count, &fields.bytes);
    }
}
