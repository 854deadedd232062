//! Real servers: what was emitted is what comes back out of them, exactly, and nothing else.
//!
//! ```text
//! eval "$(tests/servers/victorialogs.sh start)" && export VICTORIALOGS_URL
//! cargo test --test real -- --ignored victorialogs::
//! kill "$VICTORIALOGS_PID"
//! ```
//!
//! A folder for each server; `mod.rs` in it reads back, with nothing of logchute in between, and each further file is one
//! [way](way::Way) into that server. `there_and_back.rs` sends the records of `corpus.rs` by a way and compares;
//! `flood.rs` counts what a server still has that was ended and started again while records flowed.
//!
//! To add a way: a file that implements `Way` beside the reader, one test that calls `there_and_back`, and its `mod` line.

mod corpus;
mod doctor;
mod extremes;
mod flood;
mod fluent;
mod gcl_check;
mod given;
mod http;
mod lines;
mod opensearch;
mod otelcol;
mod rsyslog;
mod server;
#[cfg(feature = "syslog")]
mod syslog;
mod there_and_back;
mod time;
mod victorialogs;
mod way;
