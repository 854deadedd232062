//! Records that a store may have to keep in another shape than they were given: objects that it makes too many fields of,
//! names that are too long for it or that clash, more text than it takes.
//!
//! What such a record comes back as differs from store to store. That it does, once, and that each text in it is there
//! somewhere or the record says that it was cut, does not.

use serde_json::{Map, Value, json};

use crate::corpus::Case;
use crate::given::Given;

/// The texts in the values: each is told from all others wherever it stands.
#[derive(Default)]
struct Leaves(usize);

impl Leaves {
    fn next(&mut self) -> Value {
        self.0 += 1;
        Value::String(format!("leaf{};", self.0))
    }

    fn text(&mut self) -> Given {
        Given::of_json(&self.next())
    }

    /// An object of so many members.
    fn object(&mut self, members: usize) -> Value {
        (0..members).map(|n| (format!("m{n}"), self.next())).collect::<Map<_, _>>().into()
    }

    /// Objects in objects, so many, all of that name but the innermost.
    fn deep(&mut self, depth: usize, name: &str) -> Value {
        let innermost = json!({"x": self.next()});
        (1..depth).fold(innermost, |inner, _| json!({name: inner, "y": self.next()}))
    }
}

/// The texts of a value.
pub(crate) fn leaves(given: &Given) -> Vec<String> {
    fn of_json(value: &Value, all: &mut Vec<String>) {
        match value {
            Value::String(text) => all.push(text.clone()),
            Value::Array(values) => values.iter().for_each(|value| of_json(value, all)),
            Value::Object(members) => members.values().for_each(|value| of_json(value, all)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    match given {
        Given::Json(value) => of_json(value, &mut all),
        Given::Text(text) => all.push(text.clone()),
        _ => {}
    }
    all
}

fn name(of: &str, times: usize) -> &'static str {
    of.repeat(times).leak()
}

fn case(what: &'static str) -> Case {
    Case { keeps_its_shape: false, ..Case::new(what, what) }
}

pub(crate) fn extremes() -> Vec<Case> {
    let leaf = &mut Leaves::default();
    let mut cases = names(leaf);
    cases.extend(objects(leaf));
    cases.extend(clashes(leaf));
    cases.extend(lengths());
    cases
}

/// Around 128 bytes, the longest that VictoriaLogs takes.
fn names(leaf: &mut Leaves) -> Vec<Case> {
    let nested = |name: &str, value: Value| Given::Json(json!({name: value}));
    let (long, wide) = (name("k", 100), name("é", 50));
    vec![
        case("names of 128 and 129 bytes").with(name("k", 128), leaf.text()).with(name("l", 129), leaf.text()),
        case("names of 122 and 123 bytes").with(name("k", 122), leaf.text()).with(name("l", 123), leaf.text()),
        case("names that differ at their end")
            .with(name("k", 127), leaf.text())
            .with(format!("{}l", name("k", 126)).leak(), leaf.text())
            .with(format!("{}l", name("k", 130)).leak(), leaf.text())
            .with(format!("{}m", name("k", 130)).leak(), leaf.text()),
        case("wide names of 128 and 130 bytes").with(name("é", 64), leaf.text()).with(name("ü", 65), leaf.text()),
        case("a nested name of 128 bytes").with(long, nested(&"j".repeat(27), leaf.next())),
        case("a nested name of 129 bytes").with(long, nested(&"j".repeat(28), leaf.next())),
        case("a wide nested name of 128 bytes").with(wide, nested(&format!("j{}", "é".repeat(13)), leaf.next())),
        case("a wide nested name of 129 bytes").with(wide, nested(&"é".repeat(14), leaf.next())),
        case("a member of 300 bytes").with("a", nested(&"j".repeat(300), leaf.next())),
        case("members of a name of 128 bytes").with(name("k", 128), nested("j", leaf.next())),
        case("a name of many dots")
            .with(name("a.", 60), leaf.text())
            .with("b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v", leaf.text()),
        case("names without characters")
            .with("a", Given::Json(json!({"": leaf.next(), "b": {"": leaf.next()}, " ": leaf.next()}))),
    ]
}

/// More fields than a store has room for.
fn objects(leaf: &mut Leaves) -> Vec<Case> {
    let mut many = case("many objects");
    let mut lists = case("many lists");
    // With the number of the record there are 128.
    for n in 0..127 {
        many = many.with(format!("f{n}").leak(), Given::Json(leaf.object(10)));
        lists = lists.with(format!("f{n}").leak(), Given::Json(json!([leaf.object(2), leaf.object(1)])));
    }
    vec![
        many,
        lists,
        case("499 members").with("object", Given::Json(leaf.object(499))),
        case("950 members").with("object", Given::Json(leaf.object(950))),
        case("1,200 members").with("object", Given::Json(leaf.object(1_200))),
        case("1,200 members, one level down").with("outer", Given::Json(json!({"inner": leaf.object(1_200)}))),
        case("1,200 members in a list").with("list", Given::Json(json!([leaf.object(1_200)]))),
        case("1,200 nulls").with(
            "object",
            Given::Json((0..1_200).map(|n| (format!("m{n}"), Value::Null)).collect::<Map<_, _>>().into()),
        ),
        case("16 levels").with("deep", Given::Json(leaf.deep(16, "d"))),
        case("16 levels of long names").with("deep", Given::Json(leaf.deep(16, "longer_than_eight"))),
        case("16 lists").with("deep", Given::Json((0..15).fold(json!([leaf.next()]), |inner, _| json!([inner])))),
        case("nothing but nulls")
            .with("null", Given::Json(Value::Null))
            .with("object", Given::Json(json!({})))
            .with("list", Given::Json(json!([])))
            .with("inner", Given::Json(json!({"a": null, "b": "", "c": {}, "d": [], "e": {"f": {"": null}}})))
            .with("text", Given::text("")),
        Case { message: String::new(), ..case("nothing at all") },
    ]
}

/// Names that are equal once the objects are taken apart, and such that are a store's or ours.
fn clashes(leaf: &mut Leaves) -> Vec<Case> {
    let stores =
        ["_msg", "_time", "_stream", "_stream_id", "time", "message", "level", "id", "@timestamp", "service_name"];
    let nested: Map<_, _> = stores.iter().map(|name| ((*name).to_owned(), leaf.next())).collect();
    let mut all = vec![
        case("members of taken names").with("object", Given::Json(nested.clone().into())),
        case("a member and a field").with("a", Given::Json(json!({"b": leaf.next()}))).with("a.b", leaf.text()),
        case("a field and a member").with("a.b", leaf.text()).with("a", Given::Json(json!({"b": leaf.next()}))),
        case("two members")
            .with("a", Given::Json(json!({"b.c": leaf.next()})))
            .with("a.b", Given::Json(json!({"c": leaf.next()}))),
        case("two members of one object").with("a", Given::Json(json!({"b": {"c": leaf.next()}, "b.c": leaf.next()}))),
        case("a member and a renamed field")
            .with("field_id", Given::Json(json!({"x": leaf.next()})))
            .with("id", Given::Json(json!({"x": leaf.next()}))),
        case("members that look like remarks")
            .with("logchute", Given::Json(json!({"own": leaf.next()})))
            .with("a", Given::Json(json!({"original_len": leaf.next()}))),
    ];
    // As logchute names what each record has, for one store or another.
    let inner = |leaf: &mut Leaves, names: &[&str]| {
        Given::Json(names.iter().map(|name| ((*name).to_owned(), leaf.next())).collect::<Map<_, _>>().into())
    };
    all.push(
        case("members that look like ours")
            .with("service", inner(leaf, &["name"]))
            .with("host", inner(leaf, &["name"]))
            .with("scope", inner(leaf, &["name", "version"]))
            .with("exception", inner(leaf, &["message", "type"]))
            .with("thread", inner(leaf, &["name"]))
            .with("code", Given::Json(json!({"file": {"path": leaf.next()}, "line": {"number": leaf.next()}})))
            .with("log", Given::Json(json!({"record": {"uid": leaf.next()}, "level": leaf.next()})))
            .with("event", inner(leaf, &["message", "time", "level", "id"]))
            .with("fields", inner(leaf, &["service_name", "host"]))
            .with("kubernetes", Given::Json(json!({"namespace": leaf.next(), "pod": {"name": leaf.next()}}))),
    );
    all
}

/// Longer than a line of 256 KiB, or than a record of 2 MiB once it is written.
fn lengths() -> Vec<Case> {
    let fields = |what, each: &str, bytes: usize, count: usize| {
        (0..count)
            .fold(case(what), |case, n| case.with(format!("f{n}").leak(), Given::Text(each.repeat(bytes / each.len()))))
    };
    const KIB: usize = 1024;
    let object: Map<_, _> = (0..400).map(|n| (format!("m{n}"), "0123456789abcdef".repeat(64).into())).collect();
    vec![
        Case { message: "m".repeat(256 * KIB), ..case("a message of 256 KiB") },
        Case {
            message: "\u{1}".repeat(250 * KIB),
            ..fields("a mebibyte of control characters", "\u{1}", 250 * KIB, 3)
        },
        fields("a mebibyte", "0123456789abcdef", 255 * KIB, 4),
        fields("a mebibyte of quotes", "\"\\", 255 * KIB, 4),
        fields("a mebibyte of wide characters", "🦀", 255 * KIB, 4),
        fields("a mebibyte in many fields", "0123456789abcdef", 8 * KIB, 127),
        (0..4).fold(case("a mebibyte of bytes"), |case, n| {
            case.with(format!("f{n}").leak(), Given::Bytes(vec![255; 190 * KIB]))
        }),
        case("400 KiB, nested").with("object", Given::Json(object.clone().into())),
        case("240 KiB, nested").with("object", Given::Json(object.into_iter().take(230).collect::<Map<_, _>>().into())),
    ]
}
