//! Who is speaking: facts about the process, found once at start.

use std::io::Read as _;
use std::path::Path;

use crate::frame::cut_key;

/// Names of attributes. VictoriaLogs drops each record that has a name of more than 128 bytes, and up to seven of them are
/// ours, as in `labels.NAME`.
const KEY_BYTES: usize = 120;

/// The identity that all records of a pipeline share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    service_name: String,
    attributes: Vec<(String, String)>,
}

/// Where facts are looked for.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// A variable of the environment; empty ones count as unset.
    pub(crate) lookup: &'a dyn Fn(&str) -> Option<String>,
    /// `/`, except in tests.
    pub(crate) root: &'a Path,
    pub(crate) executable: Option<&'a Path>,
}

/// Names that are seen in the wild for what the downward API of Kubernetes tells, by our key.
const DOWNWARD: [(&str, &[&str]); 4] = [
    (
        "namespace",
        &[
            "POD_NAMESPACE",
            "MY_POD_NAMESPACE",
            "K8S_NAMESPACE",
            "K8S_POD_NAMESPACE",
            "KUBERNETES_NAMESPACE",
            "KUBERNETES_POD_NAMESPACE",
        ],
    ),
    ("pod", &["POD_NAME", "MY_POD_NAME", "K8S_POD_NAME", "KUBERNETES_POD_NAME"]),
    ("node", &["NODE_NAME", "MY_NODE_NAME", "K8S_NODE_NAME", "KUBERNETES_NODE_NAME"]),
    ("container", &["CONTAINER_NAME", "MY_CONTAINER_NAME", "K8S_CONTAINER_NAME", "KUBERNETES_CONTAINER_NAME"]),
];

/// OpenTelemetry's names of what we have a key for.
pub(crate) const SEMANTIC: [(&str, &str); 5] = [
    ("k8s.namespace.name", "namespace"),
    ("k8s.pod.name", "pod"),
    ("k8s.node.name", "node"),
    ("k8s.container.name", "container"),
    ("host.name", "host"),
];

/// What OpenTelemetry calls a service that nobody named.
const UNKNOWN: &str = "unknown_service";

impl Resource {
    /// A service and nothing else.
    #[must_use]
    pub fn new(service_name: impl Into<String>) -> Self {
        Self { service_name: service_name.into(), attributes: Vec::new() }
    }

    /// What can be found out without asking anyone, and remarks on what was malformed.
    ///
    /// The name of the service is `service`, else that of `LOGCHUTE_SERVICE`, `OTEL_SERVICE_NAME`,
    /// `OTEL_RESOURCE_ATTRIBUTES` and the executable's file, in this order.
    pub(crate) fn detect(service: Option<&str>, around: Surroundings<'_>) -> (Self, Vec<String>) {
        // A value that comes from a file often ends with a line break.
        let get =
            |name: &str| (around.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut remarks = Vec::new();
        let mut semantic = match get("OTEL_RESOURCE_ATTRIBUTES").map(|text| attributes(&text)) {
            None => Vec::new(),
            Some(Ok(attributes)) => attributes,
            Some(Err(why)) => {
                remarks.push(format!("OTEL_RESOURCE_ATTRIBUTES is ignored: {why}"));
                Vec::new()
            }
        };
        let mut take = |key: &str| {
            let place = semantic.iter().rposition(|(name, value)| name == key && !value.trim().is_empty())?;
            Some(semantic.remove(place).1)
        };
        let name_there = take("service.name");
        let service_name = service
            .map(str::to_owned)
            .or_else(|| get("LOGCHUTE_SERVICE"))
            .or_else(|| get("OTEL_SERVICE_NAME"))
            .or(name_there)
            .or_else(|| around.executable.and_then(file_name))
            .unwrap_or_else(|| UNKNOWN.to_owned());
        let mut found = Self::new(service_name);

        for (key, names) in DOWNWARD {
            let told = names.iter().find_map(|name| get(name));
            let semantic = SEMANTIC.iter().find(|(_, ours)| *ours == key).and_then(|(theirs, _)| take(theirs));
            found.set_some(key, told.or(semantic));
        }
        if found.get("namespace").is_none() {
            let file = "var/run/secrets/kubernetes.io/serviceaccount/namespace";
            found.set_some("namespace", read(&around.root.join(file)));
        }
        let host_told = take("host.name");
        if get("KUBERNETES_SERVICE_HOST").is_some() {
            // The host's name is the pod's, unless the pod shares the network of its node: then it is the node's.
            if found.get("pod").is_none() {
                let name = get("HOSTNAME").filter(|name| found.get("node") != Some(name));
                found.set_some("pod", name);
            }
            found.set_some("host", host_told);
        } else {
            // Shells do not export HOSTNAME, and the kernel knows better than the file, which is read at boot.
            let host = host_told
                .or_else(|| get("HOSTNAME"))
                .or_else(|| read(&around.root.join("proc/sys/kernel/hostname")))
                .or_else(|| read(&around.root.join("etc/hostname")));
            found.set_some("host", host);
        }
        for (key, value) in semantic {
            if key != "service.name" && found.get(&key).is_none() && !SEMANTIC.iter().any(|(theirs, _)| *theirs == key)
            {
                found.set(key, value);
            }
        }
        (found, remarks)
    }

    /// The name of the service.
    #[must_use]
    pub fn service_name(&self) -> &str {
        &self.service_name
    }

    /// All others, each key once, in the order in which they were found.
    ///
    /// Keys: `namespace`, `pod`, `node`, `container`, `host`, and what `LOGCHUTE_LABELS` and
    /// `OTEL_RESOURCE_ATTRIBUTES` give. One of more than 120 bytes is cut, and ends with a checksum.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of one attribute.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The machine that a store is to show records as coming from, as far as it is known.
    #[cfg(any(feature = "splunk", feature = "datadog"))]
    pub(crate) fn host(&self) -> Option<&str> {
        ["host", "node", "pod"].into_iter().find_map(|key| self.get(key))
    }

    /// Sets an attribute, in place of an earlier one of that key, which is cut to [`KEY_BYTES`].
    pub(crate) fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (mut key, value) = (key.into(), value.into());
        if key.len() > KEY_BYTES {
            let mut short = String::new();
            cut_key(&key, KEY_BYTES, &mut short);
            key = short;
        }
        match self.attributes.iter_mut().find(|(name, _)| *name == key) {
            Some((_, there)) => *there = value,
            None => self.attributes.push((key, value)),
        }
    }

    fn set_some(&mut self, key: &str, value: Option<String>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }
}

/// The first line of a small file.
fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(1024).read_to_string(&mut text).ok()?;
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

fn file_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    // Linux says so of a file that was replaced while it runs, as an update does.
    let name = name.strip_suffix(" (deleted)").unwrap_or(&name);
    let name = name.strip_suffix(".exe").unwrap_or(name);
    (!name.is_empty()).then(|| name.to_owned())
}

/// `key=value,key=value`; as OpenTelemetry has it, one malformed pair spoils all.
fn attributes(text: &str) -> Result<Vec<(String, String)>, String> {
    pairs(text, &[','])?
        .into_iter()
        .map(|(key, value)| value.map(|value| (key.clone(), value)).ok_or_else(|| format!("{key:?} has no value")))
        .collect()
}

/// A name and its value, or a bare name.
pub(crate) type Pair = (String, Option<String>);

/// `key=value,bare`, percent-decoded. What an error says does not show values, which may be secret.
pub(crate) fn pairs(text: &str, separators: &[char]) -> Result<Vec<Pair>, String> {
    let parts = text.split(separators).map(str::trim).filter(|part| !part.is_empty());
    parts
        .enumerate()
        .map(|(place, part)| {
            let decoded = |text: &str| {
                percent_decoded(text.trim())
                    .ok_or_else(|| format!("pair {} holds a % that two hexadecimal digits do not follow", place + 1))
            };
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (decoded(key)?, Some(decoded(value)?)),
                None => (decoded(part)?, None),
            };
            if key.is_empty() { Err(format!("pair {} has no name", place + 1)) } else { Ok((key, value)) }
        })
        .collect()
}

pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit()?, digit()?);
                (high * 16 + low) as u8
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A root with these files, removed again at the end.
    struct Root(PathBuf);

    impl Root {
        fn with(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("logchute-resource-{}-{name}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn detect(service: Option<&str>, variables: &[(&str, &str)], root: &Root) -> (Resource, Vec<String>) {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let executable = Some(Path::new("/usr/local/bin/shop"));
        Resource::detect(service, Surroundings { lookup: &lookup, root: &root.0, executable })
    }

    fn found(resource: &Resource) -> Vec<(&str, &str)> {
        resource.attributes().collect()
    }

    const NAMESPACE_FILE: &str = "var/run/secrets/kubernetes.io/serviceaccount/namespace";

    #[test]
    fn the_name_of_the_service_in_order_of_precedence() {
        let root = Root::with("service", &[]);
        let mut variables = vec![
            ("LOGCHUTE_SERVICE", "ours\n"),
            ("OTEL_SERVICE_NAME", "theirs"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=attribute"),
        ];
        assert_eq!(detect(Some("given"), &variables, &root).0.service_name(), "given");
        for expected in ["ours", "theirs", "attribute", "shop"] {
            let (resource, remarks) = detect(None, &variables, &root);
            assert_eq!((resource.service_name(), found(&resource)), (expected, vec![]));
            assert!(remarks.is_empty());
            if !variables.is_empty() {
                variables.remove(0);
            }
        }
        let nothing = |_: &str| None;
        let around = Surroundings { lookup: &nothing, root: &root.0, executable: None };
        assert_eq!(Resource::detect(None, around).0.service_name(), "unknown_service");
    }

    #[test]
    fn a_pod_with_the_downward_api() {
        let root = Root::with("downward", &[(NAMESPACE_FILE, "from-file"), ("etc/hostname", "web-7d4b9-x2x")]);
        let (resource, _) = detect(
            None,
            &[
                ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
                ("HOSTNAME", "web-7d4b9-x2x"),
                ("MY_POD_NAME", "web-7d4b9-x2x"),
                ("K8S_NAMESPACE", "prod"),
                ("NODE_NAME", "node-3"),
                ("CONTAINER_NAME", "app"),
            ],
            &root,
        );
        let expected = [("namespace", "prod"), ("pod", "web-7d4b9-x2x"), ("node", "node-3"), ("container", "app")];
        assert_eq!(found(&resource), expected);
    }

    #[test]
    fn a_pod_without_it_is_known_by_its_files_and_host_name() {
        let root = Root::with("bare-pod", &[(NAMESPACE_FILE, "prod\n")]);
        let variables = [("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("HOSTNAME", "web-0")];
        assert_eq!(found(&detect(None, &variables, &root).0), [("namespace", "prod"), ("pod", "web-0")]);
    }

    #[test]
    fn the_host_name_of_a_pod_on_the_network_of_its_node_is_not_its_own() {
        let root = Root::with("host-network", &[]);
        let variables = [("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("HOSTNAME", "node-3"), ("NODE_NAME", "node-3")];
        assert_eq!(found(&detect(None, &variables, &root).0), [("node", "node-3")]);
    }

    #[test]
    fn outside_of_kubernetes_there_is_a_host_and_no_pod() {
        let root = Root::with("host", &[("etc/hostname", "box\n")]);
        assert_eq!(found(&detect(None, &[], &root).0), [("host", "box")]);
        assert_eq!(found(&detect(None, &[("HOSTNAME", "shell")], &root).0), [("host", "shell")]);
        let root = Root::with("kernel", &[("etc/hostname", "box\n"), ("proc/sys/kernel/hostname", "now\n")]);
        assert_eq!(found(&detect(None, &[], &root).0), [("host", "now")]);
    }

    #[test]
    fn opentelemetry_attributes_are_decoded_mapped_and_kept() {
        let root = Root::with("otel", &[]);
        let text =
            "k8s.pod.name=web-1,k8s.namespace.name=prod,team=a%2Cb%20%C3%A9, k8s.pod.uid = 1-2 ,host.name=box,empty=";
        let (resource, remarks) = detect(None, &[("OTEL_RESOURCE_ATTRIBUTES", text), ("POD_NAME", "web-2")], &root);
        let expected = [
            ("namespace", "prod"),
            ("pod", "web-2"),
            ("host", "box"),
            ("team", "a,b é"),
            ("k8s.pod.uid", "1-2"),
            ("empty", ""),
        ];
        assert_eq!(found(&resource), expected);
        assert!(remarks.is_empty(), "{remarks:?}");
    }

    #[test]
    fn malformed_attributes_are_ignored_with_one_remark() {
        let root = Root::with("malformed", &[("etc/hostname", "box")]);
        for text in ["a=1,b", "a=%4", "a=%zz", "=1", "a=1,b=%ff%fe"] {
            let (resource, remarks) = detect(None, &[("OTEL_RESOURCE_ATTRIBUTES", text)], &root);
            assert_eq!(found(&resource), [("host", "box")], "{text}");
            assert!(matches!(&remarks[..], [one] if one.contains("OTEL_RESOURCE_ATTRIBUTES")), "{remarks:?}");
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let mut resource = Resource::new("shop");
        let names = ["k".repeat(120), "k".repeat(121), "k".repeat(300), "é".repeat(100)];
        names.iter().for_each(|name| resource.set(name, "value"));
        resource.set("k".repeat(300), "the same again");
        let found: Vec<_> = found(&resource).into_iter().map(|(name, _)| name.to_owned()).collect();
        assert!(found.len() == 4 && found[0] == names[0] && found.iter().all(|name| name.len() <= 120), "{found:?}");
    }

    #[test]
    fn an_updated_executable_keeps_its_name() {
        assert_eq!(file_name(Path::new("/bin/shop (deleted)")).as_deref(), Some("shop"));
    }
}
