//! A way into a server: how records get there, and what it states of how they come back.

use std::collections::BTreeMap;

use logchute::{Destination, Severity};
use serde_json::Value;

use crate::corpus::{Case, OURS};
use crate::given::Given;

/// One way into one server.
///
/// What stands here as default holds for a way that changes nothing. Whatever a way overrides is a statement of what
/// the backend's page says, or of what that server is known to do; its comment says which.
pub(crate) trait Way {
    /// Where a pipeline sends to.
    fn destination(&self) -> Destination;

    /// What the server holds now, each record in the server's own shape: all of that service, or of more.
    fn read(&self, service: &str) -> Vec<Value>;

    /// Finds the parts of such a record.
    fn found(&self, raw: Value) -> Found;

    /// Fields that come back without having been given, added by logchute or by the server.
    fn adds(&self) -> &[&str];

    /// What a message comes back as.
    fn message(&self, given: &str) -> String {
        given.to_owned()
    }

    /// What a severity comes back as.
    fn level(&self, given: Severity) -> String {
        given.as_str().to_owned()
    }

    /// What a time comes back as, in nanoseconds since 1970.
    fn time(&self, given: i64) -> i64 {
        given
    }

    /// What an id comes back as; none where the protocol has no place for it.
    fn id(&self, given: &str) -> Option<String> {
        Some(given.to_owned())
    }

    /// The name that a field comes back with.
    fn name(&self, given: &str) -> String {
        if OURS.contains(&given) { format!("field_{given}") } else { given.to_owned() }
    }

    /// What a field comes back as: none, one, or more, where its parts become fields.
    fn field(&self, key: &str, given: &Given) -> Vec<(String, Given)> {
        vec![(self.name(key), given.clone())]
    }

    /// All fields that a case comes back with.
    fn fields(&self, case: &Case) -> BTreeMap<String, Given> {
        case.fields.iter().flat_map(|(key, given)| self.field(key, given)).collect()
    }

    /// Whether this is that value.
    fn is(&self, given: &Given, found: &Value) -> bool {
        given.is(found)
    }
}

/// A record as the server has it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The pipeline's service, which tells its records from those of others.
    pub(crate) service: Option<String>,
    pub(crate) time_nanos: Option<i64>,
    pub(crate) level: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) id: Option<String>,
    /// All else.
    pub(crate) fields: BTreeMap<String, Value>,
}

impl Found {
    /// A flat object, of which all keys are fields so far.
    pub(crate) fn of_object(raw: Value) -> Self {
        let Value::Object(fields) = raw else { panic!("not an object: {raw}") };
        Self { fields: fields.into_iter().collect(), ..Self::default() }
    }

    /// Takes a text out of the fields.
    pub(crate) fn take(&mut self, key: &str) -> Option<String> {
        match self.fields.remove(key)? {
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }
}
