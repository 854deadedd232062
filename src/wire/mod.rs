//! The way to a store.

pub(crate) mod auth;
