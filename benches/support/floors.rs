//! What every record costs whoever takes it: a layer that does nothing, and one that visits the fields and formats
//! them as text, as any logger to a file must.

use std::fmt::{self, Write as _};
use std::hint::black_box;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

pub struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {}

/// Formats into a buffer that it keeps: what is left when everything but visiting and formatting is taken away.
#[derive(Default)]
pub struct Text(Mutex<String>);

impl Text {
    pub fn format(&self, level: impl fmt::Display, target: &str, fields: impl FnOnce(&mut String)) {
        let mut text = self.0.lock().unwrap();
        text.clear();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let _ = write!(text, "{}.{:09} {level} {target}", now.as_secs(), now.subsec_nanos());
        fields(&mut text);
        black_box(text.as_str());
    }
}

struct Visitor<'a>(&'a mut String);

impl Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl<S: Subscriber> Layer<S> for Text {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        self.format(metadata.level(), metadata.target(), |text| event.record(&mut Visitor(text)));
    }
}
