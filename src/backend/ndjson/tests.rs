use super::super::corpus::{self, body, body_of, frame, nasty, ordinary, put, resource, with_batch};
use super::super::members::lines;
use super::*;
use crate::backend::Value;
use crate::frame::{Frame, Severity};

fn ndjson() -> Ndjson {
    Ndjson::new("http://localhost/logs")
}

#[test]
fn the_body_is_the_golden_one() {
    corpus::golden("ndjson.ndjson", &body(&ndjson(), &ordinary()));
}

#[test]
fn b1_to_b5_nasty_records_come_back_from_an_independent_parser() {
    let nasty = nasty();
    let frames: Vec<_> = nasty.iter().map(|one| one.frame.clone()).collect();
    let lines = lines(&body(&ndjson(), &frames));
    assert_eq!(lines.len(), nasty.len());
    for (line, one) in lines.iter().zip(&nasty) {
        assert_eq!(line.text("message").as_ref(), Some(&one.message));
        for (name, value) in &one.fields {
            assert_eq!(line.text(name).as_ref(), Some(value), "{name:?} in {:?}", line.0.keys());
        }
        assert_eq!(line.text("service_name").unwrap(), "checkout");
        assert_eq!(line.0.len(), 8 + one.fields.len() + 5, "{:?}", line.0.keys());
    }
}

#[test]
fn a_field_of_a_reserved_name_is_renamed_and_no_key_stands_twice() {
    let frames = [frame(Severity::Info, "m", |w| {
        for key in [
            "message",
            "field_message",
            "field_message_2",
            "pod",
            "service_name",
            "field_id",
            "id",
            "cut",
            "cut.original_len",
        ] {
            put(w, key, Value::Str(key));
        }
    })];
    let mut resource = resource();
    resource.set("field_id_2", "of the resource");
    resource.set("level", "of the resource");
    let line = &lines(&body_of(&ndjson(), &frames, &resource))[0];
    for (stored, value) in [
        ("message", "m"),
        ("field_message", "field_message"),
        ("field_message_2", "field_message_2"),
        ("field_message_3", "message"),
        ("field_service_name", "service_name"),
        ("service_name", "checkout"),
        ("pod", "pod"),
        ("field_id", "field_id"),
        ("field_id_2", "id"),
        ("level", "info"),
        ("namespace", "prod"),
    ] {
        assert_eq!(line.text(stored).as_deref(), Some(value), "{stored}");
    }
}

#[test]
fn what_was_cut_or_left_out_is_said() {
    let long = "ä".repeat(200_000);
    let frames = [frame(Severity::Info, &long, |w| {
        put(w, "v", Value::Str(&long));
        put(w, "v.original_len", Value::Str("of the user"));
        put(w, &"k".repeat(128), Value::Bytes(long.as_bytes()));
        (0..200).for_each(|i| put(w, &format!("f{i}"), Value::Bool(true)));
    })];
    let line = &lines(&body(&ndjson(), &frames))[0];
    assert_eq!(line.text("truncated").unwrap(), "true");
    assert_eq!(line.text("original_len").unwrap(), "400000");
    assert_eq!(line.text("v.original_len").unwrap(), "of the user");
    assert_eq!(line.text("v.original_len_2").unwrap(), "400000");
    assert_eq!(line.text("fields_left_out").unwrap(), (203 - 128).to_string());
    let of_the_long_name = line.0.keys().find(|key| key.starts_with('k') && key.ends_with(".original_len")).unwrap();
    assert!(of_the_long_name.len() <= 128);
    assert!(line.text("message").unwrap().len() <= 256 * 1024);
}

#[test]
fn a_line_stays_within_the_limit_and_says_what_it_had() {
    let victorialogs = Ndjson::new("http://h:9428/insert/jsonline");
    let limit = |backend: &Ndjson, frames: &[Frame], most: usize| {
        let body = body(backend, frames);
        assert!(body.split(|&byte| byte == b'\n').all(|line| line.len() <= most));
        lines(&body)
    };
    let control = "\u{1}".repeat(256 * 1024);
    let frames = [
        frame(Severity::Info, &control, |w| put(w, "v", Value::Str(&control))),
        frame(Severity::Info, "short", |w| {
            (0..8).for_each(|i| put(w, &format!("v{i}"), Value::Str(&"v".repeat(100_000))));
            put(w, "small", Value::I64(1));
        }),
        frame(Severity::Info, &control, |w| {
            (0..128).for_each(|i| put(w, &format!("{}{i:03}", "\0".repeat(125)), Value::Bytes(&[1; 3000])));
        }),
        frame(Severity::Info, "last", |_| {}),
    ];
    let lines = limit(&victorialogs, &frames, 250_000);
    assert_eq!(lines[0].text("original_len").unwrap(), (256 * 1024).to_string());
    assert_eq!(lines[0].text("v.original_len").unwrap(), (256 * 1024).to_string());
    assert!(lines[0].text("message").unwrap().ends_with("…[cut]"));
    assert_eq!(lines[1].text("v0.original_len").unwrap(), "100000");
    assert_eq!(lines[1].text("small").unwrap(), "1");
    assert_eq!(lines[1].text("original_len"), None);
    assert_eq!(lines[3].text("truncated"), None);

    let lines = limit(&ndjson().line_bytes(0), &frames, 4096);
    assert_eq!(lines[2].text("fields_left_out").unwrap(), "128");
    assert_eq!(lines[2].text("truncated").unwrap(), "true");
    assert_eq!(lines[3].text("message").unwrap(), "last");
}

#[test]
fn victorialogs_is_told_which_field_is_which() {
    let added = "_msg_field=message&_time_field=time&_stream_fields=service_name";
    for (given, url) in [
        ("http://h/insert/jsonline", format!("http://h/insert/jsonline?{added}")),
        ("http://h/p/insert/jsonline?debug=1", format!("http://h/p/insert/jsonline?debug=1&{added}")),
        ("http://h/insert/jsonline?", format!("http://h/insert/jsonline?{added}")),
        ("http://h/insert/jsonline?_msg_field=m", "http://h/insert/jsonline?_msg_field=m".to_owned()),
        ("http://h/other", "http://h/other".to_owned()),
        ("", String::new()),
    ] {
        assert_eq!(Ndjson::new(given).url(), url);
    }
}

#[test]
fn n1_the_status_decides_but_for_a_wrong_path_or_tenant_of_victorialogs() {
    let judge = |status, body: &str| ndjson().judge(&Reply::new(status, body));
    assert_eq!(judge(200, ""), Verdict::Ack);
    assert_eq!(judge(429, ""), Verdict::Retry { after: None });
    assert_eq!(judge(413, ""), Verdict::Split);
    assert!(matches!(judge(400, "cannot parse JSON: unexpected char"), Verdict::Reject(_)));
    assert!(matches!(judge(400, "cannot parse \"name\" as uint32: strconv.ParseUint"), Verdict::Hold(_)));
    assert!(matches!(judge(400, "unsupported path requested: \"/insert/x\""), Verdict::Hold(_)));
}

#[test]
fn b5_no_field_is_lost_or_doubled_whatever_its_name() {
    let (frames, counts): (Vec<_>, Vec<_>) = corpus::random(3, 1_000).into_iter().unzip();
    for (line, fields) in lines(&body(&ndjson(), &frames)).iter().zip(counts) {
        assert_eq!(line.0.len(), 8 + fields + 5, "{:?}", line.0.keys());
        assert_eq!(
            (line.text("level").as_deref(), line.text("service_name").as_deref()),
            (Some("info"), Some("checkout"))
        );
    }
}

#[test]
fn it_conforms() {
    super::super::conformance::conformance(&ndjson());
    super::super::conformance::conformance(&Ndjson::new("http://h/insert/jsonline"));
}

#[test]
fn cost_is_close_to_what_a_record_takes() {
    let backend = ndjson();
    body(&backend, &ordinary());
    let control = "\u{1}".repeat(1000);
    let mut frames = ordinary();
    frames.push(frame(Severity::Info, &control, |w| put(w, "v", Value::Str(&control))));
    for frame in &frames {
        let frames = std::slice::from_ref(frame);
        let cost = with_batch(&backend, frames, &resource(), |batch| backend.cost(&batch.records().next().unwrap()));
        let size = body(&backend, frames).len();
        assert!(cost * 100 >= size * 95 && cost * 100 <= size * 115, "cost {cost}, size {size}");
    }
}

#[test]
fn spans_are_a_path_from_the_outermost() {
    let frames = [frame(Severity::Info, "m", |w| ["c\"", "b", "a"].iter().for_each(|name| w.span(name, 0, &[])))];
    assert_eq!(lines(&body(&ndjson(), &frames))[0].text("span").unwrap(), "a:b:c\"");
}
