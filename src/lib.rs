//! Pushes an application's logs **straight from the process to the log store**: `tracing` events and `log` records,
//! in batches, with retries, to one of many [stores](#stores), or any endpoint that takes lines of JSON.
//! No node agent, no sidecar, no file in between.
//!
//! ```
//! let _logs = logchute::init()?;                 // everything from the environment
//! tracing::info!(user = 42, "order placed");     // or log::info!
//! # Ok::<(), logchute::Error>(())
//! ```
//!
//! With `LOGCHUTE_URL=loki+http://loki:3100` that line goes to Loki. Without the variable it goes to stderr.
//! To compose with a subscriber of your own, start a pipeline with a [`Builder`] and take its [`layer`](Handle::layer)
//! and [`logger`](Handle::logger); nothing is installed then.
//!
//! # What is promised
//!
//! An application hands us a record and goes on with its work. From then on the record is ours, and it ends in exactly
//! one way at each destination: **delivered**, **rejected** by the store, **dropped** for a named [`Reason`], or
//! **filtered** by its own setting. Until then it is **owed**. The [`Ledger`] counts all of it, and it balances.
//!
//! 1. The calling thread never blocks unless asked to ([`Overflow::Block`]), never panics because of us, takes no lock
//!    of ours, makes no system call but at most one wake-up each time the queue is drained, and allocates nothing for a
//!    record of ordinary size. (Where the tee is the only place, a record is one locked `write` on the calling thread.)
//! 2. Memory is bounded in bytes: the queue, and what each destination owes.
//! 3. Nothing is lost in silence: a loss has a reason, a counter by severity, a line on stderr that names the setting
//!    to turn, and a record in the stream itself.
//! 4. Nothing we do is logged into ourselves, and nothing that your own code does with the same HTTP client is muted.
//! 5. Every wait has a deadline. What is owed when the process ends is sent in the time that `LOGCHUTE_SHUTDOWN` grants,
//!    however it ends: return from `main`, `process::exit`, a panic, and SIGTERM where `LOGCHUTE_SIGNALS=exit`. A forked
//!    child has a pipeline of its own ([`Handle::after_fork`]).
//!
//! What is **not** promised: records are accepted in memory. A process that is killed (SIGKILL, out of memory,
//! power) loses what it still owes, and an outage that outlasts the backlog costs the oldest records. Stores without
//! ids may store a record twice when an answer got lost ([`backend::Delivery`]).
//!
//! # Several destinations
//!
//! Each has a filter, credentials, batches, a backlog, retries and a pace of its own, so that one that is away holds no
//! other up. By environment: `LOGCHUTE_LANES=ops,audit`, then `LOGCHUTE_OPS_URL`, `LOGCHUTE_AUDIT_URL`,
//! `LOGCHUTE_AUDIT_TOKEN`, `LOGCHUTE_AUDIT_FILTER` and so on. In code:
//!
//! ```
//! use logchute::{Builder, Destination, Record, Severity, testing::Store};
//!
//! let (ops, audit) = (Store::new(), Store::new());
//! let logs = Builder::new()
//!     .send_to(Destination::new(ops.backend()).name("ops"))
//!     .send_to(Destination::new(audit.backend()).name("audit").filter("off,shop::audit=info"))
//!     .start()?;
//! logs.emit(Record::new(Severity::Info, "order placed").target("shop"));
//! logs.emit(Record::new(Severity::Info, "price changed").target("shop::audit"));
//! assert!(logs.shutdown(std::time::Duration::from_secs(5)).settled());
//! assert_eq!(ops.messages(), ["order placed", "price changed"]);
//! assert_eq!(audit.messages(), ["price changed"]);
//! # Ok::<(), logchute::Error>(())
//! ```
//!
//! What holds for all of them is said to the [`Builder`] or by `LOGCHUTE_LINGER`, and for one of them to its
//! [`Destination`] or by `LOGCHUTE_AUDIT_LINGER`. A credential is never inherited, and the same one for two hosts is refused.
//!
//! # The path of a record
//!
//! ```text
//!  calling threads                              the worker: one thread with a runtime of its own
//!  tracing event ┐  capture    queue            drain ─► number ─┬─► tee
//!  log record    ├─ one frame ─ lock-free, ───►                  └─► lane: filter ► batch ► encode ► wire ► judge ► settle
//!  Handle::emit  ┘  of bytes   bounded                                                ▲                        │
//!                                                                                     └─── backlog ◄── retry ◄─┘
//! ```
//!
//! A record becomes one run of bytes on the thread that logs it, and these bytes are what the queue, the batches and the
//! backlog hold. The modules follow that path: capture, frame, queue, worker, lane, backend, wire.
//!
//! # Stores
//!
//! | [`backend`] | `LOGCHUTE_URL` | feature |
//! |---|---|---|
//! | `Loki` | `loki+http://…`, `loki-json+http://…` | |
//! | `Ndjson` | `ndjson+http://…`; presets `axiom`, `betterstack`, `newrelic`, `openobserve`, `victorialogs` | |
//! | `Elasticsearch` | `elasticsearch+http://…`, `es+…`, `opensearch+…` | `elasticsearch` (default) |
//! | `Otlp` | `otlp+http://…`, `otlp-json+http://…` | `otlp` (default) |
//! | `GoogleCloud` | `gcl://project` | `google_cloud` |
//! | `Splunk` | `splunk+https://…` | `splunk` |
//! | `Datadog` | `datadog`, `datadog+https://…` | `datadog` |
//! | `Forward` | `forward://…`, `forward+tls://…` | `forward` |
//! | `Syslog` | `syslog://…`, `syslog+tls://…` | `syslog` |
//!
//! A URL whose backend is not compiled in is an error that names the feature.
//!
//! # Features
//!
//! Besides those of the stores:
//!
//! | feature | what it brings |
//! |---|---|
//! | `tls` (default) | `https` destinations, by rustls with ring and the platform's roots |
//! | `crash-proof` | [`Builder::ring_dir`]: what was accepted outlives the process. Linux; the only `unsafe` code is behind it |
//! | `testing` | `logchute::testing`: a scripted store, and a capture that is scoped to a test |
//! | `backoff` | [`Destination::retry`] takes a `backoff::ExponentialBackoff`. Off by default: that crate is unmaintained |

#![cfg_attr(not(feature = "crash-proof"), forbid(unsafe_code))]
#![deny(missing_docs)]

#[cfg(target_family = "wasm")]
compile_error!("logchute needs threads and sockets, which WebAssembly does not have");

mod announce;
pub mod backend;
mod batch;
mod capture;
mod clock;
mod config;
mod contain;
mod crash;
mod doctor;
mod error;
mod exit;
mod file;
mod flush;
mod fnv;
mod frame;
mod handle;
mod health;
mod lane;
mod ledger;
mod mute;
mod numbers;
mod printable;
mod process;
mod queue;
mod recipe;
mod resource;
mod spool;
mod tee;
#[cfg(feature = "testing")]
pub mod testing;
mod visit;
mod voice;
mod wire;
mod worker;

pub use capture::{FieldValue, Json, Record, json};
#[doc(hidden)]
pub use config::settings_table;
pub use config::{BacklogOverflow, Builder, Compression, Destination, Overflow, Signals, SpoolUse, diagnose, init};
pub use doctor::{Diagnosis, Examination, Step};
pub use error::Error;
pub use frame::Severity;
pub use handle::{Guard, Handle};
pub use health::{Acceptance, DestinationHealth, DestinationState, Health, WorkerState};
pub use lane::Schedule;
pub use ledger::{DestinationLedger, Ledger, Losses, Reason, Report};
pub use resource::Resource;
pub use tee::{Format, Stream, TeeTo};
