//! What the user calls the settings of a destination: methods in code, variables in the environment.

use crate::error::Error;

/// A longer URL is shown as the wire shows it: cut, or by its length.
const SHOWN_MOST: usize = 200;

/// What begins the name of every variable of ours, in the texts of this crate.
const PREFIX: &str = "LOGCHUTE_";

/// What the wire says "its setting" about; the variable is called the same.
const SETTINGS: &[&str] = &[
    "url",
    "token",
    "token_file",
    "user",
    "user_file",
    "password",
    "password_file",
    "headers",
    "tenant",
    "tenant_file",
    "ca",
    "cert",
    "key",
];

/// For each setting of the wire that has another name where it was given, that name. Empty where code gave them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// What the variables of the destination begin with: `LOGCHUTE_`, or `LOGCHUTE_AUDIT_` where it is a lane.
    prefix: Option<String>,
    /// Settings that came from elsewhere.
    replaced: Vec<(&'static str, String)>,
    /// The URL as it was given, masked, with the name of the backend before it.
    url: Option<String>,
}

impl Names {
    /// The variables of the environment that begin like this.
    ///
    /// `url` is the value of `LOGCHUTE_URL`, masked.
    pub(crate) fn of_environment(prefix: impl Into<String>, url: String) -> Self {
        let url = Some(url).filter(|url| url.len() <= SHOWN_MOST);
        Self { prefix: Some(prefix.into()), replaced: Vec::new(), url }
    }

    /// This setting came from that variable instead.
    pub(crate) fn replace(&mut self, setting: &'static str, variable: impl Into<String>) {
        self.replaced.retain(|(known, _)| *known != setting);
        self.replaced.push((setting, variable.into()));
        if setting == "url" {
            self.url = None;
        }
    }

    /// What the user knows this setting by.
    pub(super) fn of(&self, setting: &str) -> String {
        let replaced = self.replaced.iter().find(|(known, _)| *known == setting);
        replaced.map_or_else(|| self.own(setting), |(_, variable)| variable.clone())
    }

    /// What the user says it by to us: the variable of ours, or the method.
    pub(super) fn own(&self, setting: &str) -> String {
        match &self.prefix {
            Some(prefix) if SETTINGS.contains(&setting) => format!("{prefix}{}", setting.to_ascii_uppercase()),
            _ => setting.to_owned(),
        }
    }

    /// A text that names variables of ours, with those that the user set in their place: of a lane, or of the world
    /// that they came from.
    pub(crate) fn in_words_of_the_user(&self, text: &str) -> String {
        let is_part = |char: char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_';
        let mut words = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_part) {
            let end = rest[start..].find(|char| !is_part(char)).map_or(rest.len(), |len| start + len);
            let word = &rest[start..end];
            words.push_str(&rest[..start]);
            words.push_str(&self.in_word_of_the_user(word).unwrap_or_else(|| word.to_owned()));
            rest = &rest[end..];
        }
        words + rest
    }

    fn in_word_of_the_user(&self, variable: &str) -> Option<String> {
        // What was put so already stays.
        let of_lane = self.prefix.as_deref().filter(|prefix| *prefix != PREFIX);
        if of_lane.is_some_and(|prefix| variable.starts_with(prefix)) {
            return None;
        }
        let short = variable.strip_prefix(PREFIX)?;
        let setting = short.to_ascii_lowercase();
        let replaced = self.replaced.iter().find(|(known, _)| *known == setting);
        replaced.map(|(_, theirs)| theirs.clone()).or_else(|| Some(format!("{}{short}", self.prefix.as_ref()?)))
    }

    /// The error under the name that the user knows.
    pub(crate) fn tell(&self, error: Error) -> Error {
        match error {
            Error::Setting { name, value, must } => {
                let value = self.url.clone().filter(|_| name == "url").unwrap_or(value);
                let known = self.of(&name);
                let name = if known == name { self.in_words_of_the_user(&name) } else { known };
                Error::Setting { name: name.into(), value, must: self.in_words_of_the_user(&must).into() }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(names: &Names, name: &'static str) -> String {
        names.tell(Error::setting(name, "x", "set with LOGCHUTE_KEY")).to_string()
    }

    #[test]
    fn code_is_told_its_methods_and_the_environment_its_variables() {
        assert_eq!(told(&Names::default(), "cert"), "cert is \"x\", but must be set with LOGCHUTE_KEY");
        let one = Names::of_environment("LOGCHUTE_", "loki".into());
        assert_eq!(told(&one, "cert"), "LOGCHUTE_CERT is \"x\", but must be set with LOGCHUTE_KEY");
        let mut lane = Names::of_environment("LOGCHUTE_AUDIT_", "loki".into());
        assert_eq!(told(&lane, "cert"), "LOGCHUTE_AUDIT_CERT is \"x\", but must be set with LOGCHUTE_AUDIT_KEY");
        assert_eq!(told(&lane, "url"), "LOGCHUTE_AUDIT_URL is \"loki\", but must be set with LOGCHUTE_AUDIT_KEY");
        let said = lane.in_words_of_the_user("see LOGCHUTE_URL (LOGCHUTE_TIMEOUT, HTTPS_PROXY); A_LOGCHUTE_URL");
        assert_eq!(said, "see LOGCHUTE_AUDIT_URL (LOGCHUTE_AUDIT_TIMEOUT, HTTPS_PROXY); A_LOGCHUTE_URL");
        assert_eq!(lane.in_words_of_the_user(&said), said);
        lane.replace("url", "LOKI_URL");
        assert_eq!(lane.in_words_of_the_user("see LOGCHUTE_URL"), "see LOKI_URL");
        assert_eq!(told(&lane, "url"), "LOKI_URL is \"x\", but must be set with LOGCHUTE_AUDIT_KEY");
    }
}
