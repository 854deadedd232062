//! Fluent's own server: reads the file to which it appends what it got, at all its ports alike.

#[cfg(feature = "forward")]
mod doctor;
#[cfg(feature = "forward")]
mod forward;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::lines;
use crate::server::variable;

pub(crate) struct Fluent {
    directory: PathBuf,
}

impl Fluent {
    /// Where `FLUENT_DIR` says. Where it listens is in `FLUENT_FORWARD_URL`, `FLUENT_KEY_URL`, `FLUENT_USER_URL` and
    /// `FLUENT_TLS_URL`, what it asks for in `FLUENT_KEY`, `FLUENT_USER` and `FLUENT_PASSWORD`, its CA in `FLUENT_CA`.
    pub(crate) fn from_env() -> Self {
        Self::at(variable("FLUENT_DIR"))
    }

    pub(crate) fn at(directory: impl AsRef<Path>) -> Self {
        Self { directory: directory.as_ref().to_owned() }
    }

    /// All entries, as far as they are written: `tag`, `seconds`, `nanoseconds` (null where the time was an integer) and
    /// `record`. Numbers have the digits that JavaScript's have; bytes are `{"type":"Buffer","data":[..]}`.
    pub(crate) fn entries(&self) -> Vec<Value> {
        lines::read(&self.directory.join("entries.jsonl"))
    }
}

#[test]
#[ignore = "needs Fluent's server: tests/servers/fluent.sh"]
fn an_entry_is_read() {
    let tag = crate::server::unique();
    // In MessagePack: [tag, an EventTime of 7 s and 8 ns, {"n": 9}], the tag having 32 bytes.
    let entry = [b"\x93\xd9\x20", tag.as_bytes(), b"\xd7\x00\0\0\0\x07\0\0\0\x08\x81\xa1n\x09"].concat();
    crate::http::send(crate::http::address(&variable("FLUENT_FORWARD_URL")), entry);
    let all = || Fluent::from_env().entries();
    let found = crate::there_and_back::until(|| all().into_iter().find(|found| found["tag"] == tag));
    assert_eq!(found, serde_json::json!({"tag": tag, "seconds": 7, "nanoseconds": 8, "record": {"n": 9}}));
}
