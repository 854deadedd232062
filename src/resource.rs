//! Who is speaking: facts about the process, found once at start.

/// The identity that all records of a pipeline share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    service_name: String,
    attributes: Vec<(String, String)>,
}

impl Resource {
    /// A service and nothing else.
    #[must_use]
    pub fn new(service_name: impl Into<String>) -> Self {
        Self { service_name: service_name.into(), attributes: Vec::new() }
    }

    /// The name of the service.
    #[must_use]
    pub fn service_name(&self) -> &str {
        &self.service_name
    }

    /// All others, each key once, in the order in which they were found.
    ///
    /// Keys: `namespace`, `container`, `pod`, `node`, and what `LOGCHUTE_LABELS` and
    /// `OTEL_RESOURCE_ATTRIBUTES` give.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of one attribute.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Sets an attribute, in place of an earlier one of that key.
    pub(crate) fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        match self.attributes.iter_mut().find(|(name, _)| *name == key) {
            Some((_, there)) => *there = value,
            None => self.attributes.push((key, value)),
        }
    }
}
