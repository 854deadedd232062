//! The way to a store.

mod auth;

pub(crate) use auth::{Credentials, Secret};
