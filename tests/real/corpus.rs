//! Records that have broken a log store, or something on the way to it.

use logchute::Severity;
use serde_json::json;

use crate::extremes::extremes;
use crate::given::Given;

/// Names that say what became of a record: a field that is named so comes back as `field_NAME` from every server.
pub(crate) const OURS: [&str; 5] = ["", "fields_left_out", "logchute.own", "original_len", "truncated"];

/// Names that logchute needs for other things in one store or another.
pub(crate) const TAKEN: [&str; 14] = [
    "_msg",
    "_stream",
    "_stream_id",
    "_time",
    "file",
    "id",
    "level",
    "line",
    "message",
    "service_name",
    "span",
    "target",
    "thread",
    "time",
];

/// Names that mean something to one server or another, for all that logchute knows: where a way says nothing about
/// them, they come back as they are.
const KNOWN: [&str; 24] = [
    "@timestamp",
    "_id",
    "_index",
    "_source",
    "app_name",
    "body",
    "chunk",
    "ddsource",
    "ddtags",
    "event",
    "facility",
    "fluent.tag",
    "host",
    "hostname",
    "labels",
    "log",
    "log.level",
    "priority",
    "service",
    "severity",
    "source",
    "status",
    "tag",
    "timestamp",
];

/// One record.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) fields: Vec<(&'static str, Given)>,
    /// Each field comes back as the way says; else see `extremes.rs`.
    pub(crate) keeps_its_shape: bool,
}

impl Case {
    pub(crate) fn new(what: &'static str, message: impl Into<String>) -> Self {
        Self { what, severity: Severity::Info, message: message.into(), fields: Vec::new(), keeps_its_shape: true }
    }

    pub(crate) fn at(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    pub(crate) fn with(mut self, key: &'static str, given: Given) -> Self {
        self.fields.push((key, given));
        self
    }
}

pub(crate) fn corpus() -> Vec<Case> {
    let text = Given::text;
    let mut cases = vec![
        Case::new("plain", "hello"),
        Case::new("no message", "").with("why", text("some libraries log fields alone")),
        Case::new("one space", " "),
        Case::new("quotes and backslashes", r#"C:\new\table "quoted" 'single' \u0000 \"#)
            .with("path", text(r"\\host\share")),
        Case::new("many lines", "panicked\n  at a\r\n\tat b\n\n").with("trace", text("\n1\n2\n")),
        Case::new("NUL", "before\0after").with("nul", text("\0")),
        Case::new("control characters", (1..32_u8).map(char::from).chain(['\u{7f}', '\u{85}']).collect::<String>())
            .with("escape", text("\u{1b}[31mred\u{1b}[0m")),
        Case::new("right to left", "\u{202e}gpj.exe\u{202c} \u{2066}x\u{2069} שלום").with("bidi", text("\u{200f}")),
        Case::new("line separators", "a\u{2028}b\u{2029}c"),
        Case::new("four bytes a character", "🦀 𝔘𝔫𝔦 \u{10ffff}").with("crab", text("🦀")),
        Case::new("not characters", "\u{feff}\u{fffe}\u{ffff}\u{fffd}"),
        Case::new("combining", "e\u{301}\u{301}\u{301} \u{200d}"),
        Case::new("markup", "<script>alert(1)</script>&amp;%0a%00 ${jndi:ldap://x} {{x}} `x`"),
        Case::new("looks like an object", r#"{"level":"fatal","_msg":"x","run":"y"}"#),
        Case::new("looks like an array", "[1,2]"),
        Case::new("looks like a number", "12e3").with("digits", text("007")),
        Case::new("looks like nothing", "null").with("null", text("null")).with("yes", text("true")),
        Case::new("looks like a query", "* | delete run:=\"x\" or _time:5m"),
        Case::new("labels' syntax", r#"{app="x", y='z'} } " , ="#).with("label", text(r#"a="b", c"#)),
        Case::new("200 KiB", "0123456789abcde\n".repeat(200 * 64)),
        Case::new("200 KiB of four bytes", "🦀".repeat(200 * 256)),
        Case::new("lowest and highest", "integers")
            .with("i64_min", Given::I64(i64::MIN))
            .with("i64_max", Given::I64(i64::MAX))
            .with("u64_max", Given::U64(u64::MAX))
            .with("i128_min", Given::I128(i128::MIN))
            .with("i128_max", Given::I128(i128::MAX))
            .with("u128_max", Given::U128(u128::MAX))
            .with("odd", Given::U64((1 << 53) + 1))
            .with("zero", Given::I64(0)),
        Case::new("floating point", "floats")
            .with("nan", Given::F64(f64::NAN))
            .with("inf", Given::F64(f64::INFINITY))
            .with("minus_inf", Given::F64(f64::NEG_INFINITY))
            .with("minus_zero", Given::F64(-0.0))
            .with("third", Given::F64(1.0 / 3.0))
            .with("max", Given::F64(f64::MAX))
            .with("tiny", Given::F64(f64::from_bits(1)))
            .with("whole", Given::F64(3.0)),
        Case::new("truth", "").with("yes", Given::Bool(true)).with("no", Given::Bool(false)),
        Case::new("bytes", "bytes")
            .with("all", Given::Bytes((0..=255).collect()))
            .with("one", Given::Bytes(vec![0xff])),
        Case::new("empty texts", "empty").with("empty", text("")).with("space", text(" ")),
        Case::new("nested", "nested").with(
            "cart",
            Given::Json(json!({
                "items": [{"sku": "AX-7", "n": 2}, null, [], "\u{0}\n\""],
                "total": 59.7, "paid": true, "nobody": null, "none": "",
                "to": {"street": "Straße 1", "no.": {"x": -1}},
            })),
        ),
        Case::new("a list", "list").with("list", Given::Json(json!([1, "two", {"three": 3.5}]))),
        Case::new("the highest, nested", "nested").with("deep", Given::Json(json!({"u": u64::MAX, "i": i64::MIN}))),
        Case::new("dotted names", "dots")
            .with("http.request.method", text("GET"))
            .with("http.request", text("beside its own child"))
            .with("a..b", Given::I64(1))
            .with(".a.", Given::I64(2)),
        Case::new("odd names", "names")
            .with("with space", Given::I64(1))
            .with("with-dash", Given::I64(2))
            .with("Größe", Given::I64(3))
            .with("1st", Given::I64(4))
            .with("quote\"d", Given::I64(5))
            .with("a=b,c{d}", Given::I64(6))
            .with("line\nfeed", Given::I64(7))
            .with("🦀", Given::I64(8)),
        Case::new("names that differ in a sign", "names")
            .with("a-b", Given::I64(1))
            .with("a_b", Given::I64(2))
            .with("a.b", Given::I64(3))
            .with("A_B", Given::I64(4)),
    ];
    for (what, names) in [("our names", &OURS[..]), ("taken names", &TAKEN), ("names that some server knows", &KNOWN)] {
        cases.push(names.iter().fold(Case::new(what, "mine"), |case, key| case.with(key, text("theirs"))));
    }
    cases.extend(
        Severity::ALL
            .into_iter()
            .filter(|&severity| severity >= Severity::Info)
            .map(|severity| Case::new("a level", format!("at {severity}")).at(severity)),
    );
    cases.extend(extremes());
    cases
}
