//! The one list of all settings: what the environment may say, how it is read, and the table in the README.

use std::fmt::Write as _;

/// A variable and the builder method that says the same.
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// Of `Builder`, or of `Destination` where that is said.
    pub(super) method: &'static str,
    pub(super) meaning: &'static str,
    /// What a value looks like, or which there are.
    pub(super) form: &'static str,
    /// Empty where there is none.
    pub(super) default: &'static str,
    /// The same name with `_FILE` gives the path of a file that holds the value.
    pub(super) twin: bool,
    /// The value is never shown.
    pub(super) secret: bool,
    pub(super) lanes: Lanes,
}

/// What `LOGCHUTE_LANES` makes of a setting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lanes {
    /// It holds for the whole process.
    No,
    /// A lane that does not say it itself has what the variable without the lane's name says.
    Inherited,
    /// Each lane says it itself; beside `LOGCHUTE_LANES` the variable without a lane's name is an error.
    Own,
}

const fn plain(
    name: &'static str,
    method: &'static str,
    form: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting { name, method, meaning, form, default, twin: false, secret: false, lanes: Lanes::No }
}

/// For each destination, or for all of them at once.
const fn each(setting: Setting) -> Setting {
    Setting { lanes: Lanes::Inherited, ..setting }
}

/// For one destination.
const fn own(setting: Setting) -> Setting {
    Setting { lanes: Lanes::Own, ..setting }
}

const fn twin(name: &'static str, method: &'static str, form: &'static str, meaning: &'static str) -> Setting {
    Setting { twin: true, ..own(plain(name, method, form, "", meaning)) }
}

const fn secret(name: &'static str, method: &'static str, form: &'static str, meaning: &'static str) -> Setting {
    Setting { secret: true, ..twin(name, method, form, meaning) }
}

/// All of them, in the order in which a reader asks.
pub(super) const SETTINGS: &[Setting] = &[
    own(plain(
        "LOGCHUTE_URL",
        "send_to",
        "`loki+http://host:3100`, `ndjson+https://host/path`, or a backend's bare name (`loki`), which takes the URL from that store's own variables (`LOKI_URL`)",
        "the tee alone",
        "where records are sent",
    )),
    plain(
        "LOGCHUTE_LANES",
        "send_to",
        "`ops,audit`: names of small letters and digits that begin no setting",
        "",
        "several destinations in place of one: each has variables of its own, such as `LOGCHUTE_AUDIT_URL`",
    ),
    each(plain("LOGCHUTE_FILTER", "filter", "`info,hyper=warn`", "`info`", "which records are sent")),
    plain("LOGCHUTE_SPANS", "spans", "`info,my_app=debug`", "`info`", "whose spans give their fields to records"),
    plain(
        "LOGCHUTE_SERVICE",
        "service",
        "`checkout`",
        "`OTEL_SERVICE_NAME`, or the name of the executable",
        "the name of the service",
    ),
    plain(
        "LOGCHUTE_LABELS",
        "label",
        "`env=prod,region=eu,tenant`, percent-encoded where a value holds a comma",
        "",
        "`key=value`: the same with every record; a bare `key`: the field of that name becomes a label, where the store has labels",
    ),
    plain(
        "LOGCHUTE_TEE",
        "tee",
        "`stderr:text`, `stderr:json`, `stdout:text`, `stdout:json`, `off`",
        "`stderr:text`",
        "the copy on stdout or stderr",
    ),
    plain("RUST_LOG", "tee_filter", "`info,hyper=warn`", "as `LOGCHUTE_FILTER`", "which records the tee shows"),
    plain(
        "LOGCHUTE_DOCTOR",
        "Handle::doctor",
        "`1`, `0`",
        "`0`",
        "`init` sends one marked record to each destination, waits for the answer, and says on stderr what is wrong",
    ),
    plain(
        "LOGCHUTE_QUEUE_BYTES",
        "queue_bytes",
        "64KiB to 1GiB",
        "8MiB",
        "memory of the queue between the application and the worker",
    ),
    plain(
        "LOGCHUTE_OVERFLOW",
        "overflow",
        "`drop_newest`, `block:50ms`, `block` (1s)",
        "`drop_newest`",
        "what happens when the queue is full: the new record is dropped and counted, or its thread waits for room",
    ),
    each(plain(
        "LOGCHUTE_BACKLOG_BYTES",
        "backlog_bytes",
        "64KiB to 64GiB, not less than a batch",
        "16MiB",
        "memory for what a store has not taken yet",
    )),
    each(plain(
        "LOGCHUTE_BACKLOG_OVERFLOW",
        "backlog_overflow",
        "`drop_oldest`, `drop_newest`",
        "`drop_oldest`",
        "who is dropped when that is full",
    )),
    each(plain(
        "LOGCHUTE_BATCH_BYTES",
        "batch_bytes",
        "1KiB to 64MiB",
        "1MiB",
        "the largest request, before compression",
    )),
    each(plain(
        "LOGCHUTE_IN_FLIGHT",
        "in_flight",
        "1 to 64",
        "4",
        "the most requests under way at a time, fewer where the store slows down; with 1, records arrive in order",
    )),
    each(plain("LOGCHUTE_LINGER", "linger", "0 to 5m", "200ms", "how long a record may wait for its batch to fill")),
    each(plain(
        "LOGCHUTE_TIMEOUT",
        "timeout",
        "1ms to 1h",
        "10s",
        "limit of one attempt, from the connection to the end of the reply",
    )),
    each(plain(
        "LOGCHUTE_RETRY_FOR",
        "retry_for",
        "0 to 365d",
        "24h",
        "how long a batch is tried again before it is dropped",
    )),
    plain(
        "LOGCHUTE_SHUTDOWN",
        "shutdown_limit",
        "0 to 1h",
        "5s",
        "how long the end of the process may be held up to deliver what is owed",
    ),
    each(plain(
        "LOGCHUTE_COMPRESSION",
        "compression",
        "`none`, `gzip`",
        "`none`",
        "compression of requests, where the store takes it",
    )),
    each(plain(
        "LOGCHUTE_SPOOL_DIR",
        "spool_dir",
        "path of a directory",
        "",
        "keeps on disk what does not fit into memory, and what could not be delivered at the end",
    )),
    each(plain(
        "LOGCHUTE_SPOOL_BYTES",
        "spool_bytes",
        "1MiB to 1TiB",
        "256MiB",
        "the most that is kept there, and never more than a fifth of what is free",
    )),
    each(plain(
        "LOGCHUTE_SPOOL",
        "spool",
        "`overflow`, `exit`, `always`",
        "`overflow`",
        "what goes there: what is owed beyond half of the memory backlog; only what is owed at the end; or every batch",
    )),
    each(plain(
        "LOGCHUTE_FSYNC",
        "fsync",
        "`off`, 1ms to 1h",
        "`off`",
        "how long what was written there may wait for the disk itself, which a loss of power takes with it",
    )),
    plain(
        "LOGCHUTE_RING_DIR",
        "ring_dir",
        "path of a directory, best on a tmpfs",
        "",
        "the crash-proof ring: what was accepted survives the death of the process (feature `crash-proof`)",
    ),
    each(plain(
        "LOGCHUTE_FALLBACK",
        "fallback",
        "as `LOGCHUTE_TEE`",
        "`off`",
        "shows what is owed to a store while that is away",
    )),
    each(plain(
        "LOGCHUTE_QUARANTINE",
        "quarantine",
        "path of a file",
        "",
        "keeps records which a store rejected, with the reason",
    )),
    plain(
        "LOGCHUTE_SIGNALS",
        "signals",
        "`off`, `flush`, `exit`",
        "`off`",
        "SIGTERM and SIGINT: nothing; send or spool what is owed and go on; deliver what can be, then exit",
    ),
    secret("LOGCHUTE_TOKEN", "Destination::token", "text", "bearer token"),
    twin("LOGCHUTE_USER", "Destination::user", "text", "user of basic authentication"),
    secret("LOGCHUTE_PASSWORD", "Destination::password", "text", "password of basic authentication"),
    secret(
        "LOGCHUTE_HEADERS",
        "Destination::header",
        "`name=value,name=value`, percent-encoded where a value holds a comma or a percent sign; a file may have a line for each",
        "further headers of each request",
    ),
    twin("LOGCHUTE_TENANT", "Destination::tenant", "text", "tenant, for stores that have tenants"),
    each(plain(
        "LOGCHUTE_CA",
        "Destination::ca",
        "path of a PEM file",
        "the platform's roots",
        "the certificates that are trusted",
    )),
    own(plain("LOGCHUTE_CERT", "Destination::cert", "path of a PEM file", "", "client certificate")),
    own(plain("LOGCHUTE_KEY", "Destination::key", "path of a PEM file", "", "key of the client certificate")),
    each(plain(
        "LOGCHUTE_ALLOW_HTTP",
        "Destination::allow_http",
        "`true`, `false`",
        "`false`",
        "permits credentials over plain http to another machine",
    )),
    plain(
        "OTEL_SERVICE_NAME",
        "service",
        "`checkout`",
        "",
        "the name of the service where `LOGCHUTE_SERVICE` does not give it",
    ),
    plain(
        "OTEL_RESOURCE_ATTRIBUTES",
        "label",
        "`deployment.environment=prod,k8s.pod.name=web-1`",
        "",
        "facts about the process, the same with every record",
    ),
];

/// The setting of that name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// All settings as a table in Markdown.
#[doc(hidden)]
#[must_use]
pub fn settings_table() -> String {
    let mut table =
        String::from("| variable | builder | meaning | values | default | lanes |\n|---|---|---|---|---|---|\n");
    for setting in SETTINGS {
        let file = if setting.twin { format!(", `{}_FILE`", setting.name) } else { String::new() };
        let lanes = match setting.lanes {
            Lanes::No => "",
            Lanes::Inherited => "inherited",
            Lanes::Own => "own",
        };
        let _ = writeln!(
            table,
            "| `{}`{file} | `{}` | {} | {} | {} | {} |",
            setting.name, setting.method, setting.meaning, setting.form, setting.default, lanes
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "<!-- settings -->\n";
    const END: &str = "<!-- /settings -->";

    /// With `UPDATE_README=1` it puts the table there instead.
    #[test]
    fn readme_has_the_table_of_settings() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let readme = std::fs::read_to_string(path).unwrap();
        let begin = readme.find(BEGIN).expect("README.md has the line <!-- settings -->") + BEGIN.len();
        let end = begin + readme[begin..].find(END).expect("and after it the line <!-- /settings -->");
        if std::env::var_os("UPDATE_README").is_some() {
            std::fs::write(path, format!("{}{}{}", &readme[..begin], settings_table(), &readme[end..])).unwrap();
        } else {
            assert_eq!(readme[begin..end], settings_table(), "run the test with UPDATE_README=1");
        }
    }

    #[test]
    fn no_cell_breaks_the_table_and_no_name_is_there_twice() {
        for setting in SETTINGS {
            for cell in [setting.meaning, setting.form, setting.default, setting.method] {
                assert!(!cell.contains(['|', '\n']), "{}", setting.name);
            }
            assert_eq!(SETTINGS.iter().filter(|other| other.name == setting.name).count(), 1);
        }
    }
}
