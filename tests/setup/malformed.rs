//! Set-ups that are refused, and what the refusal must say.

/// A malformed set-up: its variables, the name that the refusal must have, and what else must be in its text.
pub(super) type Malformed = (&'static [(&'static str, &'static str)], &'static str, &'static [&'static str]);

const LANES: (&str, &str) = ("LOGCHUTE_LANES", "ops,audit");
const OPS: (&str, &str) = ("LOGCHUTE_OPS_URL", "ndjson+http://127.0.0.1:9428/x");
const AUDIT: (&str, &str) = ("LOGCHUTE_AUDIT_URL", "loki+http://127.0.0.1:3100");
const HERE: (&str, &str) = ("LOGCHUTE_URL", "ndjson+http://127.0.0.1:9428/x");
pub(super) const THERE: (&str, &str) = ("LOGCHUTE_URL", "ndjson+http://logs.example:9428/x");

/// `{canary}` stands for a secret, `{file}` for a file that holds one with a line break in it, `{long}` for 10 KiB.
pub(super) const MALFORMED: &[Malformed] = &[
    // The URL.
    (&[("LOGCHUTE_URL", "http://host:1")], "LOGCHUTE_URL", &["http://host:1", "ndjson+http://", "loki+http://"]),
    (&[("LOGCHUTE_URL", "host:1")], "LOGCHUTE_URL", &["host:1", "ndjson", "such as"]),
    (&[("LOGCHUTE_URL", "file:///etc/passwd")], "LOGCHUTE_URL", &["file:///etc/passwd", "ndjson"]),
    (&[("LOGCHUTE_URL", "gopher://host")], "LOGCHUTE_URL", &["gopher://host"]),
    (
        &[("LOGCHUTE_URL", "ndjson+gopher://host")],
        "LOGCHUTE_URL",
        &["ndjson+http://host:port or ndjson+https://host:port"],
    ),
    (&[("LOGCHUTE_URL", "nsjson+http://host")], "LOGCHUTE_URL", &["did you mean ndjson?"]),
    (&[("LOGCHUTE_URL", "ndjson")], "LOGCHUTE_URL", &["a whole URL", "ndjson+http://host:port"]),
    (&[("LOGCHUTE_URL", "loki")], "LOGCHUTE_URL", &["LOKI_URL"]),
    (&[("LOGCHUTE_URL", "ndjson+http://")], "LOGCHUTE_URL", &["a URL with a host"]),
    (&[("LOGCHUTE_URL", "ndjson+http://:80/")], "LOGCHUTE_URL", &["a URL with a host"]),
    (&[("LOGCHUTE_URL", "ndjson+http://host:99999/")], "LOGCHUTE_URL", &["ndjson+http://host:99999/", "port"]),
    (&[("LOGCHUTE_URL", "ndjson+http://me:{canary}@host/")], "LOGCHUTE_URL", &["***@host", "LOGCHUTE_PASSWORD_FILE"]),
    (&[("LOGCHUTE_URL", "ndjson+http://me:{canary}/@host/")], "LOGCHUTE_URL", &["***@host"]),
    (&[("LOGCHUTE_URL", "ndjson+http://host/?key={canary} x")], "LOGCHUTE_URL", &["key=***", "white space"]),
    (&[("LOGCHUTE_URL", "ndjson+http://ho\rst/")], "LOGCHUTE_URL", &["control characters"]),
    (&[("LOGCHUTE_URL", "ndjson+http://169.254.169.254/x")], "LOGCHUTE_URL", &["169.254.169.254", "link-local"]),
    (&[("LOGCHUTE_URL", "ndjson+http://[fe80::1%25eth0]/x")], "LOGCHUTE_URL", &["IPv6 zone"]),
    (&[("LOGCHUTE_URL", "ndjson+http://host/{long}")], "LOGCHUTE_URL", &["8192 bytes"]),
    (&[("LOGCHUTE_URL", "loki"), ("LOKI_URL", "http://169.254.169.254/x")], "LOKI_URL", &["link-local"]),
    // A secret in plain text over the network.
    (&[THERE, ("LOGCHUTE_TOKEN", "{canary}")], "LOGCHUTE_URL", &["https", "a token", "LOGCHUTE_ALLOW_HTTP"]),
    (&[THERE, ("LOGCHUTE_TOKEN_FILE", "{file}")], "LOGCHUTE_URL", &["https", "a token", "LOGCHUTE_ALLOW_HTTP"]),
    (
        &[THERE, ("LOGCHUTE_USER", "me"), ("LOGCHUTE_PASSWORD", "{canary}")],
        "LOGCHUTE_URL",
        &["https", "a password", "LOGCHUTE_ALLOW_HTTP"],
    ),
    (&[THERE, ("LOGCHUTE_HEADERS", "x-key={canary}")], "LOGCHUTE_URL", &["https", "the header x-key"]),
    // Credentials.
    (&[HERE, ("LOGCHUTE_TOKEN", "Bearer {canary}")], "LOGCHUTE_TOKEN", &["***", "without the word Bearer"]),
    (&[HERE, ("LOGCHUTE_TOKEN", "a\r\nX-Evil: {canary}")], "LOGCHUTE_TOKEN", &["***", "control characters"]),
    (&[HERE, ("LOGCHUTE_TOKEN_FILE", "/no/such/file")], "LOGCHUTE_TOKEN_FILE", &["/no/such/file", "can be read"]),
    (&[HERE, ("LOGCHUTE_TOKEN_FILE", "{file}")], "LOGCHUTE_TOKEN_FILE", &["{file}", "on one line"]),
    (&[HERE, ("LOGCHUTE_TOKEN_FILE", "/dev/null")], "LOGCHUTE_TOKEN_FILE", &["not a regular file"]),
    (
        &[HERE, ("LOGCHUTE_TOKEN", "{canary}"), ("LOGCHUTE_TOKEN_FILE", "{file}")],
        "LOGCHUTE_TOKEN_FILE",
        &["unset where LOGCHUTE_TOKEN is set"],
    ),
    (
        &[HERE, ("LOGCHUTE_TOKEN", "{canary}"), ("LOGCHUTE_USER", "me"), ("LOGCHUTE_PASSWORD", "{canary}")],
        "LOGCHUTE_TOKEN",
        &["unset where", "LOGCHUTE_USER", "LOGCHUTE_PASSWORD"],
    ),
    (&[HERE, ("LOGCHUTE_USER", "me")], "LOGCHUTE_USER", &["LOGCHUTE_PASSWORD"]),
    (&[HERE, ("LOGCHUTE_PASSWORD", "{canary}")], "LOGCHUTE_PASSWORD", &["LOGCHUTE_USER"]),
    (&[HERE, ("LOGCHUTE_PASSWORD_FILE", "{file}")], "LOGCHUTE_PASSWORD_FILE", &["LOGCHUTE_USER"]),
    (&[HERE, ("LOGCHUTE_USER", "me"), ("LOGCHUTE_PASSWORD_FILE", "{file}")], "LOGCHUTE_PASSWORD_FILE", &["one line"]),
    (&[HERE, ("LOGCHUTE_USER", "m:e"), ("LOGCHUTE_PASSWORD", "{canary}")], "LOGCHUTE_USER", &["without colon"]),
    (&[HERE, ("LOGCHUTE_TENANT", "a\r\nX-Evil: 1")], "LOGCHUTE_TENANT", &["control characters"]),
    (&[HERE, ("LOGCHUTE_TENANT_FILE", "{file}")], "LOGCHUTE_TENANT_FILE", &["control characters"]),
    (&[HERE, ("LOGCHUTE_HEADERS", "x-key=a%0d%0aX-Evil: {canary}")], "LOGCHUTE_HEADERS", &["control character"]),
    (&[HERE, ("LOGCHUTE_HEADERS", "Authorization: Bearer {canary}")], "LOGCHUTE_HEADERS", &["name=value"]),
    (&[HERE, ("LOGCHUTE_HEADERS", "{canary}")], "LOGCHUTE_HEADERS", &["name=value"]),
    (&[HERE, ("LOGCHUTE_HEADERS", "content-length={canary}")], "LOGCHUTE_HEADERS", &["content-length"]),
    (&[HERE, ("LOGCHUTE_HEADERS", "x=1,X={canary}")], "LOGCHUTE_HEADERS", &["named once"]),
    (
        &[HERE, ("LOGCHUTE_HEADERS", "authorization=Bearer {canary}"), ("LOGCHUTE_TOKEN", "{canary}")],
        "LOGCHUTE_HEADERS",
        &["LOGCHUTE_TOKEN"],
    ),
    (
        &[HERE, ("LOGCHUTE_HEADERS", "X-Scope-OrgID=a"), ("LOGCHUTE_TENANT", "b")],
        "LOGCHUTE_TENANT",
        &["LOGCHUTE_HEADERS", "x-scope-orgid"],
    ),
    (&[HERE, ("LOGCHUTE_CERT", "/x")], "LOGCHUTE_CERT", &["LOGCHUTE_KEY"]),
    // Several destinations.
    (&[("LOGCHUTE_LANES", "Ops")], "LOGCHUTE_LANES", &["Ops", "small letters and digits"]),
    (&[("LOGCHUTE_LANES", "ops,queue")], "LOGCHUTE_LANES", &["ops,queue", "LOGCHUTE_QUEUE_BYTES"]),
    (&[("LOGCHUTE_LANES", "ops,ops")], "LOGCHUTE_LANES", &["ops is there twice"]),
    (&[LANES, OPS], "LOGCHUTE_AUDIT_URL", &["the lane audit", "+http://host:port"]),
    (&[LANES, OPS, AUDIT, HERE], "LOGCHUTE_URL", &["LOGCHUTE_OPS_URL, LOGCHUTE_AUDIT_URL"]),
    (&[LANES, OPS, AUDIT, ("LOGCHUTE_TOKEN", "{canary}")], "LOGCHUTE_TOKEN", &["***", "LOGCHUTE_AUDIT_TOKEN"]),
    (
        &[LANES, OPS, AUDIT, ("LOGCHUTE_AUDIT_USER", "me")],
        "LOGCHUTE_AUDIT_USER",
        &["LOGCHUTE_AUDIT_PASSWORD)", "LOGCHUTE_AUDIT_PASSWORD_FILE)"],
    ),
    (
        &[LANES, OPS, ("LOGCHUTE_AUDIT_URL", "loki+http://logs.example"), ("LOGCHUTE_AUDIT_TOKEN", "{canary}")],
        "LOGCHUTE_AUDIT_URL",
        &["https", "LOGCHUTE_AUDIT_ALLOW_HTTP"],
    ),
    (&[LANES, OPS, AUDIT, ("LOGCHUTE_AUDIT_LINGER", "1h")], "LOGCHUTE_AUDIT_LINGER", &["1h", "5m"]),
    (
        &[
            LANES,
            OPS,
            ("LOGCHUTE_AUDIT_URL", "loki+http://logs.example"),
            ("LOGCHUTE_ALLOW_HTTP", "true"),
            ("LOGCHUTE_OPS_PASSWORD", "{canary}"),
            ("LOGCHUTE_OPS_USER", "me"),
            ("LOGCHUTE_AUDIT_TOKEN", "{canary}"),
        ],
        "LOGCHUTE_AUDIT_TOKEN",
        &["***", "LOGCHUTE_OPS_PASSWORD of destination ops at localhost", "destination audit at logs.example"],
    ),
    // Everything else.
    (&[("LOGCHUTE_FILTER", "inf")], "LOGCHUTE_FILTER", &["inf", "info,hyper=warn"]),
    (&[("LOGCHUTE_SPANS", "my app=debug")], "LOGCHUTE_SPANS", &["my app"]),
    (&[("LOGCHUTE_TEE", "/var/log/x")], "LOGCHUTE_TEE", &["/var/log/x", "stderr:text"]),
    (&[("LOGCHUTE_TEE", "stderr:klog")], "LOGCHUTE_TEE", &["not in this version"]),
    (&[("LOGCHUTE_QUEUE_BYTES", "lots")], "LOGCHUTE_QUEUE_BYTES", &["lots", "8MiB"]),
    (&[("LOGCHUTE_QUEUE_BYTES", "1KiB")], "LOGCHUTE_QUEUE_BYTES", &["1KiB", "64KiB"]),
    (&[("LOGCHUTE_BACKLOG_BYTES", "64KiB")], "LOGCHUTE_BACKLOG_BYTES", &["64KiB", "batch"]),
    (&[("LOGCHUTE_OVERFLOW", "wait")], "LOGCHUTE_OVERFLOW", &["wait", "block:50ms"]),
    (&[("LOGCHUTE_SHUTDOWN", "5")], "LOGCHUTE_SHUTDOWN", &["5s"]),
    (&[("LOGCHUTE_SHUTDOWN", "2h")], "LOGCHUTE_SHUTDOWN", &["2h", "1h"]),
    (&[("LOGCHUTE_IN_FLIGHT", "0")], "LOGCHUTE_IN_FLIGHT", &["0", "1 to 64"]),
    (&[("LOGCHUTE_COMPRESSION", "zstd")], "LOGCHUTE_COMPRESSION", &["zstd", "gzip"]),
    (&[("LOGCHUTE_SERVICE", "a\nb")], "LOGCHUTE_SERVICE", &["control characters"]),
    (&[("LOGCHUTE_LABELS", "level=x")], "LOGCHUTE_LABELS", &["level"]),
    (&[("LOGCHUTE_SPOOL_BYTES", "1KiB")], "LOGCHUTE_SPOOL_BYTES", &["1KiB", "from 1MiB to 1TiB"]),
    (
        &[("LOGCHUTE_SPOOL_DIR", "/x"), ("LOGCHUTE_SPOOL_BYTES", "2MiB"), ("LOGCHUTE_BATCH_BYTES", "4MiB")],
        "LOGCHUTE_SPOOL_BYTES",
        &["2MiB", "a batch (4MiB)"],
    ),
    (&[("LOGCHUTE_SPOOL", "disk")], "LOGCHUTE_SPOOL", &["disk", "overflow, exit or always"]),
    (&[("LOGCHUTE_FSYNC", "yes")], "LOGCHUTE_FSYNC", &["yes", "off", "1s"]),
    (&[("LOGCHUTE_FALLBACK", "/var/log/x")], "LOGCHUTE_FALLBACK", &["/var/log/x", "stderr:text"]),
    (&[("LOGCHUTE_SIGNALS", "SIGTERM")], "LOGCHUTE_SIGNALS", &["SIGTERM", "off, flush or exit"]),
    (&[LANES, OPS, AUDIT, ("LOGCHUTE_AUDIT_FSYNC", "1d")], "LOGCHUTE_AUDIT_FSYNC", &["1d", "1h"]),
    (&[("LOGCHUTE_ALLOW_HTTP", "yes please")], "LOGCHUTE_ALLOW_HTTP", &["true"]),
];
