//! Credentials as a dialogue has them: bare.

use crate::backend::Login;
use crate::error::Error;

use super::super::auth::{Credentials, Secret, filled, named};

/// What the files and values hold now.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Keys {
    token: Option<String>,
    user: Option<String>,
    password: Option<String>,
}

impl Keys {
    pub(super) fn read(credentials: &Credentials) -> Result<Self, Error> {
        let read = |setting: &str, secret: &Option<Secret>| {
            let Some(secret) = secret else { return Ok(None) };
            let value = secret.read(setting)?;
            filled(setting, secret, &value)?;
            if value.contains(char::is_control) {
                return Err(Error::setting(named(setting, secret), secret, "one line without control characters"));
            }
            Ok(Some(value))
        };
        Ok(Self {
            token: read("token", &credentials.token)?,
            user: read("user", &credentials.user)?,
            password: read("password", &credentials.password)?,
        })
    }

    pub(super) fn login(&self) -> Login<'_> {
        let mut login = Login::new();
        login.token = self.token.as_deref();
        login.user = self.user.as_deref();
        login.password = self.password.as_deref();
        login
    }

    /// What must not be shown.
    pub(super) fn secrets(&self) -> Vec<Vec<u8>> {
        [&self.token, &self.password].into_iter().flatten().map(|secret| secret.as_bytes().to_vec()).collect()
    }
}

/// Refuses what has no place on a connection.
pub(super) fn check(credentials: &Credentials, are_shown: bool) -> Result<(), Error> {
    let Credentials { token, user, password, headers, tenant } = credentials;
    if !headers.is_empty() {
        return Err(Error::setting("headers", "***", "unset, because a connection that is no HTTP has no headers"));
    }
    if let Some(tenant) = tenant {
        let must = "unset, because a connection that is no HTTP has no header for it";
        return Err(Error::setting(named("tenant", tenant), tenant, must));
    }
    if !are_shown {
        for (setting, secret) in [("token", token), ("user", user), ("password", password)] {
            if let Some(secret) = secret {
                let must = "unset, because nothing in the protocol of this store shows it a credential";
                return Err(Error::setting(named(setting, secret), secret, must));
            }
        }
    }
    match (user, password) {
        (Some(user), None) => {
            Err(Error::setting(named("user", user), user, "set together with password (LOGCHUTE_PASSWORD)"))
        }
        (None, Some(password)) => {
            Err(Error::setting(named("password", password), password, "set together with user (LOGCHUTE_USER)"))
        }
        _ => Ok(()),
    }
}
