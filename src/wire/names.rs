//! What the user calls the settings of a destination: methods in code, variables in the environment.

use crate::error::Error;

/// A longer URL is shown as the wire shows it: cut, or by its length.
const SHOWN_MOST: usize = 200;

/// For each setting of the wire that has another name where it was given, that name. Empty where code gave them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    names: Vec<(&'static str, &'static str)>,
    /// The URL as it was given, masked, with the name of the backend before it.
    url: Option<String>,
}

impl Names {
    /// The variables of the environment.
    ///
    /// `url` is the value of `LOGCHUTE_URL`, masked.
    pub(crate) fn of_environment(url: String) -> Self {
        let names = vec![
            ("url", "LOGCHUTE_URL"),
            ("token", "LOGCHUTE_TOKEN"),
            ("token_file", "LOGCHUTE_TOKEN_FILE"),
            ("user", "LOGCHUTE_USER"),
            ("user_file", "LOGCHUTE_USER_FILE"),
            ("password", "LOGCHUTE_PASSWORD"),
            ("password_file", "LOGCHUTE_PASSWORD_FILE"),
            ("headers", "LOGCHUTE_HEADERS"),
            ("tenant", "LOGCHUTE_TENANT"),
            ("tenant_file", "LOGCHUTE_TENANT_FILE"),
            ("ca", "LOGCHUTE_CA"),
            ("cert", "LOGCHUTE_CERT"),
            ("key", "LOGCHUTE_KEY"),
        ];
        Self { names, url: Some(url).filter(|url| url.len() <= SHOWN_MOST) }
    }

    /// This setting came from that variable instead.
    pub(crate) fn replace(&mut self, setting: &'static str, variable: &'static str) {
        self.names.retain(|(known, _)| *known != setting);
        self.names.push((setting, variable));
        if setting == "url" {
            self.url = None;
        }
    }

    /// A text that names variables of ours, with those that the user set in their place.
    pub(crate) fn in_words_of_the_user(&self, text: &str) -> String {
        let is_part = |char: char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_';
        let mut words = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_part) {
            let end = rest[start..].find(|char| !is_part(char)).map_or(rest.len(), |len| start + len);
            let word = &rest[start..end];
            let setting = word.strip_prefix("LOGCHUTE_").map(str::to_ascii_lowercase);
            let known = self.names.iter().find(|(name, _)| setting.as_deref() == Some(name));
            words.push_str(&rest[..start]);
            words.push_str(known.map_or(word, |(_, variable)| variable));
            rest = &rest[end..];
        }
        words + rest
    }

    /// The error under the name that the user knows.
    pub(super) fn tell(&self, error: Error) -> Error {
        match error {
            Error::Setting { name, value, must } => {
                let value = self.url.clone().filter(|_| name == "url").unwrap_or(value);
                let known = self.names.iter().find(|(setting, _)| *setting == name);
                Error::Setting { name: known.map_or(name, |(_, variable)| (*variable).into()), value, must }
            }
            other => other,
        }
    }
}
