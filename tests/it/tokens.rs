//! Tokens that expire, from where Google Cloud Logging has them: each way to one, what a refusal of either side leads
//! to, and that nothing is lost over it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use logchute::Destination;
use logchute::backend::GoogleCloud;
use logchute::testing::{Answer, Request, Store};
use serde_json::{Value, json};

use crate::common::{Every, books, emit, ms, settle, to, until};

const KEY: &str = include_str!("../keys/one.pem");

/// Hands out `token-1`, `token-2` and so on, which live for so many seconds; everything else is for `decide`.
fn server(lives: u64, decide: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Store {
    let count = AtomicUsize::new(0);
    Store::with(move |request| {
        let path = request.path();
        if path == "/token" || path == "/sts" || path.ends_with("/default/token") {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            let answer =
                json!({"access_token": format!("token-{number}"), "expires_in": lives, "token_type": "Bearer"});
            return Answer::ok().body(answer.to_string());
        }
        decide(request)
    })
}

/// A file that goes with the test.
struct File(PathBuf);

impl File {
    fn new(content: &Value) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("logchute-tokens-{}-{}.json", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let file = Self(std::env::temp_dir().join(name));
        std::fs::write(&file.0, content.to_string()).unwrap();
        file
    }

    fn key(store: &Store) -> Self {
        Self::new(&json!({
            "type": "service_account", "private_key_id": "kid", "private_key": KEY,
            "client_email": "me@p.iam.gserviceaccount.com", "token_uri": format!("{}/token", store.url()),
        }))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn google(store: &Store, key: &File) -> Destination {
    Destination::new(GoogleCloud::new("p").endpoint(store.url()).key_file(key.path())).retry(Every(ms(1)))
}

fn writes(store: &Store) -> Vec<Request> {
    store.requests().into_iter().filter(|request| request.path() == "/v2/entries:write").collect()
}

fn bearers(store: &Store) -> Vec<String> {
    let bearer = |request: &Request| request.header("authorization").unwrap_or_default().to_owned();
    writes(store).iter().map(bearer).collect()
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(request.body()).unwrap()
}

fn entries(request: &Request) -> Vec<Value> {
    body(request)["entries"].as_array().unwrap().clone()
}

fn ids(request: &Request) -> Vec<String> {
    entries(request).iter().map(|entry| entry["insertId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn one_token_of_a_service_account_serves_all_requests() {
    let store = server(3600, |_| Answer::ok().body("{}"));
    let key = File::key(&store);
    let logs = to(google(&store, &key)).0.start().unwrap();
    for _ in 0..3 {
        emit(&logs, 5);
        assert!(logs.flush(Duration::from_secs(30)).settled());
    }
    assert_eq!(books(&settle(&logs)), (15, 0, 0));
    assert_eq!(bearers(&store), ["Bearer token-1"; 3]);
    assert_eq!(store.request_count(), 4, "one of them for the token");
    let ids: BTreeSet<_> = writes(&store).iter().flat_map(ids).collect();
    assert_eq!(ids.len(), 15);
}

#[test]
fn a_token_that_has_ended_is_not_shown() {
    let store = server(0, |_| Answer::ok().body("{}"));
    let key = File::key(&store);
    let logs = to(google(&store, &key)).0.start().unwrap();
    for _ in 0..2 {
        emit(&logs, 1);
        assert!(logs.flush(Duration::from_secs(30)).settled());
    }
    assert_eq!(books(&settle(&logs)), (2, 0, 0));
    assert_eq!(bearers(&store), ["Bearer token-1", "Bearer token-2"]);
}

#[test]
fn n1_a_refused_token_is_replaced_and_the_same_bytes_are_sent_again() {
    let store = server(3600, |request| match request.header("authorization") {
        Some("Bearer token-1") => Answer::status(401).body(r#"{"error":{"status":"UNAUTHENTICATED"}}"#),
        _ => Answer::ok().body("{}"),
    });
    let key = File::key(&store);
    let (builder, diary) = to(google(&store, &key));
    let logs = builder.start().unwrap();
    emit(&logs, 5);
    assert_eq!(books(&settle(&logs)), (5, 0, 0));
    assert_eq!(bearers(&store), ["Bearer token-1", "Bearer token-2"]);
    let writes = writes(&store);
    assert_eq!(writes[0].body(), writes[1].body());
    assert!(diary.about("google_cloud").is_empty(), "nobody need be told: {:?}", diary.lines());
}

#[test]
fn tokens_that_are_refused_again_and_again_are_told_and_the_records_kept() {
    let store = server(3600, |_| Answer::status(401).body("who are you?"));
    let key = File::key(&store);
    let (builder, diary) = to(google(&store, &key));
    let logs = builder.start().unwrap();
    emit(&logs, 5);
    assert!(!logs.flush(Duration::from_millis(1)).settled());
    until("it is told", || !diary.about("status 401").is_empty());
    let report = logs.shutdown(Duration::from_millis(1));
    assert!(report.ledger().balances(), "{report}");
    assert_eq!(books(&report), (0, 0, 5), "{report}");
}

#[test]
fn b8_a_refused_key_is_told_with_its_file_and_a_new_file_mends_it() {
    let refusals = AtomicUsize::new(0);
    let refuse = move |request: &Request| match request.path() {
        "/refusing" => {
            refusals.fetch_add(1, Ordering::Relaxed);
            // As a careless server would, it quotes what it was sent.
            let quoted = request.text().into_owned();
            let why =
                json!({"error": "invalid_grant", "error_description": format!("Invalid JWT Signature. {quoted}")});
            Answer::status(400).body(why.to_string())
        }
        _ => Answer::ok().body("{}"),
    };
    let store = server(3600, refuse);
    let good = std::fs::read_to_string(File::key(&store).path()).unwrap();
    let key = File::new(&serde_json::from_str(&good.replace("/token\"", "/refusing\"")).unwrap());
    let (builder, diary) = to(google(&store, &key));
    let logs = builder.start().unwrap();
    emit(&logs, 5);
    let flushed = logs.flush(Duration::from_millis(1));
    assert!(!flushed.settled());
    until("the refusal is told", || !diary.about("invalid_grant").is_empty());
    let told = diary.about("invalid_grant").remove(0);
    let host = store.url().replace("http://", "");
    for part in [key.path().to_str().unwrap(), "key_file", &host, "Invalid JWT Signature", "5 are owed"] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    let claim = store.requests()[0].text().rsplit_once("assertion=").unwrap().1.to_owned();
    assert!(diary.lines().iter().all(|line| !line.contains(&claim)), "{:?}", diary.lines());
    assert!(writes(&store).is_empty(), "nothing is sent without a token");

    std::fs::write(key.path(), good).unwrap();
    assert_eq!(books(&settle(&logs)), (5, 0, 0));
    assert_eq!(bearers(&store), ["Bearer token-1"]);
}

#[test]
fn the_metadata_server_tells_the_project_before_anything_is_sent() {
    let store = server(3600, |request| match request.path().rsplit('/').next() {
        Some("project-id") => Answer::ok().body("p-meta"),
        Some("cluster-name") => Answer::ok().body("c-meta"),
        Some("cluster-location") => Answer::ok().body("europe-west1"),
        Some("zone") => Answer::ok().body("projects/7/zones/z"),
        _ => Answer::ok().body("{}"),
    });
    let google = GoogleCloud::new("").endpoint(store.url()).metadata_host(store.addr().to_string());
    let (builder, diary) = to(Destination::new(google));
    let logs = builder.label("pod", "web-1").label("namespace", "prod").label("container", "web").start().unwrap();
    // The doctor's record is the first one, and waits for what is learnt like any other.
    let diagnosis = logs.doctor();
    assert!(diagnosis.is_well(), "{diagnosis}");
    for _ in 0..2 {
        emit(&logs, 3);
        assert!(logs.flush(Duration::from_secs(30)).settled());
    }
    assert_eq!(books(&settle(&logs)), (7, 0, 0));
    let writes = writes(&store);
    assert_eq!(writes.len(), 3);
    for write in &writes {
        let body = body(write);
        assert!(body["logName"].as_str().unwrap().starts_with("projects/p-meta/logs/"), "{body}");
        let expected = json!({"type": "k8s_container", "labels": {
            "project_id": "p-meta", "location": "europe-west1", "cluster_name": "c-meta",
            "namespace_name": "prod", "pod_name": "web-1", "container_name": "web",
        }});
        assert_eq!(body["resource"], expected);
    }
    let asked: Vec<_> = store.requests().into_iter().filter(|request| request.method() == "GET").collect();
    assert_eq!(asked.len(), 5, "once each");
    assert!(asked.iter().all(|request| request.header("metadata-flavor") == Some("Google")));
    assert!(diary.about("google_cloud").is_empty(), "{:?}", diary.lines());
}

#[test]
fn a_workload_identity_speaks_for_its_service_account() {
    let store = server(3600, |request| match request.path() {
        "/sa:generateAccessToken" if request.header("authorization") == Some("Bearer token-1") => {
            Answer::ok().body(r#"{"accessToken":"of-the-account","expireTime":"2030-01-01T00:00:00Z"}"#)
        }
        "/v2/entries:write" => Answer::ok().body("{}"),
        _ => Answer::status(403),
    });
    let subject = File::new(&json!({"id": "subject-token"}));
    let key = File::new(&json!({
        "type": "external_account", "audience": "//iam", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/sts", store.url()),
        "service_account_impersonation_url": format!("{}/sa:generateAccessToken", store.url()),
        "credential_source": {"file": subject.path(), "format": {"type": "json", "subject_token_field_name": "id"}},
    }));
    let logs = to(google(&store, &key)).0.start().unwrap();
    emit(&logs, 2);
    assert_eq!(books(&settle(&logs)), (2, 0, 0));
    assert_eq!(bearers(&store), ["Bearer of-the-account"]);
    assert!(store.requests()[0].text().contains("subject_token=subject-token"));
}

#[test]
fn a_token_that_the_user_sets_goes_before_any_other() {
    let store = server(3600, |_| Answer::ok().body("{}"));
    let google = GoogleCloud::new("p").endpoint(store.url()).key_file("/nonexistent");
    let logs = to(Destination::new(google).token("mine")).0.start().unwrap();
    emit(&logs, 1);
    assert_eq!(books(&settle(&logs)), (1, 0, 0));
    assert_eq!(bearers(&store), ["Bearer mine"]);
    assert_eq!(store.request_count(), 1);
}

#[test]
fn n1_entries_that_the_store_names_are_rejected_and_the_others_stored() {
    let first = AtomicUsize::new(0);
    let store = server(3600, move |_| match first.fetch_add(1, Ordering::Relaxed) {
        0 => {
            let errors = json!({"1": {"code": 3, "message": "too large"}, "3": {"code": 14, "message": "later"}});
            let kind = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors";
            let details = json!([{"@type": kind, "logEntryErrors": errors}]);
            Answer::status(400).body(json!({"error": {"code": 400, "details": details}}).to_string())
        }
        _ => Answer::ok().body("{}"),
    });
    let key = File::key(&store);
    let logs = to(google(&store, &key)).0.start().unwrap();
    emit(&logs, 5);
    let report = settle(&logs);
    assert_eq!(books(&report), (4, 1, 0), "{report}");
    let writes = writes(&store);
    assert_eq!(ids(&writes[1]), ids(&writes[0])[3..4], "with the id that it had");
}

#[test]
fn the_doctor_says_that_the_key_was_refused_and_where_it_is() {
    let store = Store::with(|_| Answer::status(400).body(r#"{"error":"invalid_grant"}"#));
    let key = File::key(&store);
    let logs = to(google(&store, &key)).0.start().unwrap();
    let diagnosis = logs.doctor();
    let text = diagnosis.to_string();
    assert!(!diagnosis.is_well() && text.contains("invalid_grant") && text.contains("key_file"), "{text}");
    let report = logs.shutdown(Duration::ZERO);
    assert!(report.ledger().balances(), "{report}");
}
