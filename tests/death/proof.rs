//! The auditor itself: what it is there to see, it sees. Lines are made by hand and brought to the store by hand.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use logchute::testing::Store;
use serde_json::{Value, json};

use crate::auditor::Audit;
use crate::counts::Counts;
use crate::record::{Key, service};
use crate::scene::{Keeps, Scene};
use crate::support::{Case, case};

const SEED: u64 = 1;
const KEYS: u64 = 8;

/// What a store would have of this record.
fn line(key: Key) -> Value {
    let (run, n) = (key.run, key.n);
    let level = ["info", "warn", "info", "error"][(n % 4) as usize];
    let mut line = json!({
        "time": format!("2026-11-24T08:00:00.{:09}Z", n),
        "level": level,
        "message": key.message(SEED),
        "target": "victim",
        "service_name": service(run),
        "id": format!("{run:032x}-{n:016x}"),
        "number": n,
    });
    if n % 4 == 2 {
        line["span"] = "outer".into();
        line["worn"] = key.thread.into();
    }
    line
}

/// Eight records of one thread of the first of two processes, brought by it.
fn lines() -> Vec<(u64, Value)> {
    (0..KEYS).map(|n| (0, line(Key { run: 0, thread: 1, n }))).collect()
}

fn bring(store: &Store, by: u64, line: &Value) {
    let body = format!("{line}\n");
    let mut client = TcpStream::connect(store.addr()).expect("it listens");
    write!(client, "POST /ndjson?by={by} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n").expect("it reads");
    write!(client, "Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .expect("it reads");
    client.read_to_string(&mut String::new()).expect("it answers");
}

thread_local! {
    /// A panic is what is wanted here, and is not shown.
    static WANTED: Cell<bool> = const { Cell::new(false) };
}

/// Panics of the auditor are shown unless they are wanted.
fn show_the_unwanted() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !WANTED.get() {
                before(info);
            }
        }));
    });
}

/// What the auditor says of these lines, where `KEYS` records were accepted; nothing where it finds nothing.
fn said_of(lines: &[(u64, Value)]) -> String {
    let mut scene = Scene::new(SEED, Keeps::Ring, Store::new());
    for _ in 0..5 {
        let _ = scene.victim("none", &crate::ends::Way::Kill, std::time::Duration::ZERO);
    }
    Counts::open(&scene.dir().join("accepted-0")).accepted(1, KEYS);
    lines.iter().for_each(|(by, line)| bring(&scene.store, *by, line));
    show_the_unwanted();
    WANTED.set(true);
    let audited = catch_unwind(AssertUnwindSafe(|| Audit::of(&scene).assert_nothing_lost()));
    WANTED.set(false);
    let Err(why) = audited else { return String::new() };
    why.downcast_ref::<String>().cloned().unwrap_or_else(|| "something else".to_owned())
}

type Spoil = fn(&mut Vec<(u64, Value)>);

const SPOILT: &[(&str, &str, Spoil)] = &[
    ("a_record_that_is_lost", "accepted records are lost", |lines| _ = lines.remove(3)),
    ("a_body_that_is_not_the_one", "has another body", |lines| {
        let message = lines[2].1["message"].as_str().unwrap().replace('é', "e");
        lines[2].1["message"] = message.into();
    }),
    ("a_field_that_is_not_the_one", "number is", |lines| lines[4].1["number"] = 5.into()),
    ("a_level_that_is_not_the_one", "is warn, not info", |lines| lines[4].1["level"] = "warn".into()),
    ("another_process_as_the_source", "service_name is", |lines| lines[2].1["service_name"] = service(1).into()),
    ("a_message_of_nobody", "nobody logged", |lines| lines[2].1["message"] = "r0 t9 n0 x".into()),
    ("an_id_that_two_records_have", "two records have the id", |lines| {
        lines[2].1["id"] = lines[3].1["id"].clone();
    }),
    ("an_id_of_another_incarnation", "has one incarnation", |lines| {
        lines[2].1["id"] = format!("{:032x}-{:016x}", 77, 2).into();
    }),
    ("a_record_that_was_never_begun", "was not even begun", |lines| {
        lines.push((0, line(Key { run: 0, thread: 1, n: KEYS + 1 })));
    }),
    ("a_record_that_one_process_brings_twice", "too often", |lines| lines.push(lines[0].clone())),
    ("a_second_delivery_with_another_id", "not the same each time", |lines| {
        let mut again = lines[0].1.clone();
        again["id"] = format!("{:032x}-{:016x}", 0, 99).into();
        lines.push((1, again));
    }),
    ("a_second_delivery_with_another_time", "not the same each time", |lines| {
        let mut again = lines[0].1.clone();
        again["time"] = "2026-11-24T08:00:01Z".into();
        lines.push((1, again));
    }),
    ("an_order_that_is_lost", "out of order", |lines| {
        let time = lines[2].1["time"].clone();
        lines[2].1["time"] = lines[3].1["time"].clone();
        lines[3].1["time"] = time;
    }),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![case("auditor::is_content_with_what_is_right", || {
        let mut lines = lines();
        // One more process may bring it again, and one that was not yet counted may be there.
        lines.push((1, lines[0].1.clone()));
        lines.push((1, line(Key { run: 0, thread: 1, n: KEYS })));
        assert_eq!(said_of(&lines), "");
    })];
    for &(name, says, spoil) in SPOILT {
        cases.push(case(format!("auditor::sees_{name}"), move || {
            let mut lines = lines();
            spoil(&mut lines);
            let said = said_of(&lines);
            assert!(said.contains(says), "it says {said:?}, not {says:?}");
        }));
    }
    cases
}
