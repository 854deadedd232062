//! Who is speaking, by the names of OpenTelemetry's semantic conventions.

use super::super::Resource;
use crate::resource::SEMANTIC;

/// `service.name`, then all attributes, each name once.
///
/// What logchute found itself (`namespace`, `pod`, `node`, `container`, `host`) has its conventional name
/// (`k8s.namespace.name` and so on), all else the name that it was given. An attribute that was given a conventional
/// name beats what logchute found.
pub(super) fn attributes(resource: &Resource) -> Vec<(&str, &str)> {
    let mut all = vec![("service.name", resource.service_name())];
    for (name, value) in resource.attributes() {
        let conventional = SEMANTIC.iter().find(|(_, ours)| *ours == name).map(|(theirs, _)| *theirs);
        let is_given = |name: &str| resource.get(name).is_some();
        match conventional {
            Some(theirs) if is_given(theirs) => {}
            Some(theirs) => all.push((theirs, value)),
            None if name.is_empty() || name == "service.name" => {}
            None => all.push((name, value)),
        }
    }
    all
}
