//! What stands once in a request: the log, the monitored resource, and labels.

use super::Target;
use crate::backend::{Resource, flat, json};
use crate::frame::CharBoundary as _;

/// What the metadata server tells beside tokens, as far as it was asked and knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Learnt {
    pub(super) project: Option<String>,
    pub(super) cluster: Option<String>,
    /// Region or zone of the cluster.
    pub(super) location: Option<String>,
    /// Of the machine.
    pub(super) zone: Option<String>,
}

/// <https://cloud.google.com/logging/quotas>: an entry may have 64 labels, with keys of 512 bytes and values of 64 KiB. All
/// of them count with each entry, so values are cut sooner.
const LABELS: usize = 64;
const LABEL_KEY: usize = 512;
const LABEL_VALUE: usize = 1024;

/// `[LOG_ID]` has less than 512 characters.
const LOG_ID: usize = 511;

/// An entry may have 256 KiB, "approximate, based on internal data sizes". What a request has once counts with each; the
/// rest is what the entry's fields take there beyond their JSON, at most 256 of them and 16 bytes each, and some room.
const ENTRY: usize = 256 * 1024;
const MARGIN: usize = 8 * 1024;

/// The beginning of a request.
pub(super) struct Head {
    /// Up to the first entry.
    pub(super) text: Vec<u8>,
    /// The most that an entry may have besides.
    pub(super) entry_bytes: usize,
    /// What comes before a trace's id.
    pub(super) traces: String,
}

impl Head {
    pub(super) fn new(target: &Target, resource: &Resource) -> Self {
        let project = target.project().unwrap_or_default();
        let default_log;
        let log = match &target.log {
            Some(log) => log,
            None => {
                default_log = escaped_log(resource.service_name());
                &default_log
            }
        };
        let mut text = br#"{"partialSuccess":true,"logName":"#.to_vec();
        json::string(&mut text, &format!("projects/{project}/logs/{log}"));
        text.extend_from_slice(br#","resource":{"type":"#);
        let (kind, labels) = target.monitored(resource);
        json::string(&mut text, kind);
        text.extend_from_slice(br#","labels":{"project_id":"#);
        json::string(&mut text, project);
        for (key, value) in labels.iter().filter(|(key, _)| *key != "project_id") {
            member(&mut text, key, value);
        }
        text.extend_from_slice(br#"}},"labels":{"service_name":"#);
        json::string(&mut text, &cut(resource.service_name(), LABEL_VALUE));
        let mut keys: Vec<String> = vec![String::new(), "service_name".to_owned()];
        for (key, value) in resource.attributes() {
            let key = cut(key, LABEL_KEY);
            if keys.len() > LABELS || keys.contains(&key) {
                continue;
            }
            member(&mut text, &key, &cut(value, LABEL_VALUE));
            keys.push(key);
        }
        text.extend_from_slice(br#"},"entries":["#);
        let entry_bytes = (ENTRY - MARGIN).saturating_sub(text.len()).max(MARGIN);
        Self { text, entry_bytes, traces: format!("projects/{project}/traces/") }
    }
}

fn member(out: &mut Vec<u8>, key: &str, value: &str) {
    out.push(b',');
    json::string(out, key);
    out.push(b':');
    json::string(out, value);
}

fn cut(text: &str, most: usize) -> String {
    if text.len() <= most { text.to_owned() } else { flat::cut(text, most) }
}

/// A log's id as it stands in the log's name: a slash is `%2F` there.
pub(super) fn escaped_log(id: &str) -> String {
    let id = &id[..id.floor_char_boundary_at(LOG_ID)];
    let plain = |char: char| if char.is_ascii_alphanumeric() || "/_.-".contains(char) { char } else { '_' };
    let id: String = id.chars().map(plain).collect();
    if id.is_empty() { "logchute".to_owned() } else { id.replace('/', "%2F") }
}

impl Target {
    pub(super) fn project(&self) -> Option<&str> {
        self.project.as_deref().or_else(|| self.learnt.get()?.project.as_deref())
    }

    /// The monitored resource: its type and its labels but for the project.
    ///
    /// What has no pod, or of whose cluster too little is known, is a `generic_task`: that type takes any service, and
    /// keeps which one and which instance it is, as `global` would not.
    fn monitored<'a>(&'a self, resource: &'a Resource) -> (&'a str, Vec<(&'a str, &'a str)>) {
        if let Some((kind, labels)) = &self.resource {
            return (kind, labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect());
        }
        let get = |key: &str| resource.get(key).filter(|value| !value.is_empty());
        let learnt = self.learnt.get();
        let told = |fact: fn(&Learnt) -> &Option<String>| learnt.and_then(|learnt| fact(learnt).as_deref());
        let set = self.cluster.as_ref();
        let cluster = set.map(|(name, _)| name.as_str()).or_else(|| get("k8s.cluster.name")).or(told(|it| &it.cluster));
        let location = set
            .map(|(_, location)| location.as_str())
            .or_else(|| get("cloud.availability_zone"))
            .or_else(|| get("cloud.region"))
            .or(told(|it| &it.location));
        let (namespace, pod) = (get("namespace"), get("pod"));
        if let (Some(cluster), Some(location), Some(namespace), Some(pod)) = (cluster, location, namespace, pod) {
            let mut labels = vec![
                ("location", location),
                ("cluster_name", cluster),
                ("namespace_name", namespace),
                ("pod_name", pod),
            ];
            labels.extend(get("container").map(|name| ("container_name", name)));
            return ("k8s_container", labels);
        }
        let location = location.or(told(|it| &it.zone)).unwrap_or("global");
        let task = pod.or_else(|| get("host")).unwrap_or_default();
        let labels = vec![
            ("location", location),
            ("namespace", namespace.unwrap_or_default()),
            ("job", resource.service_name()),
            ("task_id", task),
        ];
        ("generic_task", labels)
    }
}
