//! The way to a token, step by step, without a network.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::json;

use super::super::credentials::{GoogleTokens, Source, Wanted};
use super::*;
use crate::backend::{Errand, Step, Token};

const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/one.pem"));
const OTHER_KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/two.pem"));
const NOTHING: Wanted = Wanted { project: false, place: false };

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("logchute-google-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: impl ToString) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn service_account(key: &str) -> Json {
    json!({
        "type": "service_account", "project_id": "p-key", "private_key_id": "kid-1", "private_key": key,
        "client_email": "me@p-key.iam.gserviceaccount.com", "token_uri": "https://tokens.example/token",
    })
}

fn tokens(path: &Path) -> GoogleTokens {
    GoogleTokens::new(Source::file(path.to_owned(), "GOOGLE_APPLICATION_CREDENTIALS"), NOTHING, Arc::default())
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_507_200)
}

fn ask(step: Result<Step, String>) -> Errand {
    match step {
        Ok(Step::Ask(errand)) => errand,
        other => panic!("{other:?}"),
    }
}

fn token(step: Result<Step, String>) -> Token {
    match step {
        Ok(Step::Token(token)) => token,
        other => panic!("{other:?}"),
    }
}

fn posted(errand: &Errand) -> BTreeMap<String, String> {
    let (kind, body) = errand.body.as_ref().unwrap();
    assert_eq!(*kind, "application/x-www-form-urlencoded");
    // Read by a parser that is not ours.
    let url = reqwest::Url::parse(&format!("http://form/?{}", std::str::from_utf8(body).unwrap())).unwrap();
    url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

/// The parts of a signed claim; the signature fits the key.
fn claimed(assertion: &str, pem: &str) -> (Json, Json) {
    use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(der).unwrap();
    let public = RsaKeyPair::from_pkcs8(&der).unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = BASE64URL.decode(signature).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.public_key().as_ref());
    public.verify(signed.as_bytes(), &signature).expect("another key signed it");
    let part = |text: &str| serde_json::from_slice(&BASE64URL.decode(text).unwrap()).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    (part(header), part(claims))
}

#[test]
fn a_service_account_key_signs_a_claim_for_its_token_uri() {
    let dir = Dir::new();
    let mut tokens = tokens(&dir.file("key.json", service_account(KEY)));
    let errand = ask(tokens.next(None, now()));
    assert_eq!((errand.url.as_str(), errand.metadata), ("https://tokens.example/token", false));
    let form = posted(&errand);
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (header, claims) = claimed(&form["assertion"], KEY);
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "kid-1"}));
    let expected = json!({
        "iss": "me@p-key.iam.gserviceaccount.com", "aud": "https://tokens.example/token",
        "scope": "https://www.googleapis.com/auth/logging.write", "iat": 1_795_507_200, "exp": 1_795_510_800,
    });
    assert_eq!(claims, expected);
    let answer = json!({"access_token": "ya29.canary", "expires_in": 3599, "token_type": "Bearer"}).to_string();
    let token = token(tokens.next(Some(&Reply::new(200, answer)), now()));
    assert_eq!((token.value.as_str(), token.lives, token.outdates), ("ya29.canary", Duration::from_secs(3599), false));
}

#[test]
fn a_key_file_that_was_replaced_signs_the_next_claim() {
    let dir = Dir::new();
    let path = dir.file("key.json", service_account(KEY));
    let mut tokens = tokens(&path);
    claimed(&posted(&ask(tokens.next(None, now())))["assertion"], KEY);
    dir.file("key.json", service_account(OTHER_KEY));
    claimed(&posted(&ask(tokens.next(None, now())))["assertion"], OTHER_KEY);
    std::fs::remove_file(&path).unwrap();
    let why = tokens.next(None, now()).unwrap_err();
    assert!(why.starts_with("GOOGLE_APPLICATION_CREDENTIALS is ") && why.contains("can be read"), "{why}");
}

#[test]
fn a_refusal_names_the_file_the_host_and_the_reason() {
    let dir = Dir::new();
    let path = dir.file("key.json", service_account(KEY));
    let mut tokens = tokens(&path);
    ask(tokens.next(None, now()));
    let body = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
    let why = tokens.next(Some(&Reply::new(400, body)), now()).unwrap_err();
    let expected = format!(
        "the service account key in GOOGLE_APPLICATION_CREDENTIALS ({}) was refused by tokens.example (status 400): \
         invalid_grant: Invalid JWT Signature.",
        path.display()
    );
    assert_eq!(why, expected);
    for (status, body, part) in [
        (503, "busy\n", "tokens.example gave no token for the service account key"),
        (200, "{}", "there is no access_token in its answer"),
        (403, r#"{"error":{"code":403,"message":"denied","status":"PERMISSION_DENIED"}}"#, "(status 403): denied"),
        (500, "", "(status 500)"),
    ] {
        ask(tokens.next(None, now()));
        let why = tokens.next(Some(&Reply::new(status, body)), now()).unwrap_err();
        assert!(why.contains(part) && !why.contains('\n'), "{why}");
    }
}

#[test]
fn a_refresh_token_is_posted_with_its_client() {
    let dir = Dir::new();
    let file = json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "s&=+ %", "refresh_token": "1//r", "quota_project_id": "p",
    });
    let mut tokens = tokens(&dir.file("adc.json", file));
    let errand = ask(tokens.next(None, now()));
    assert_eq!(errand.url, "https://oauth2.googleapis.com/token");
    let form = posted(&errand);
    let expected =
        [("client_id", "id"), ("client_secret", "s&=+ %"), ("grant_type", "refresh_token"), ("refresh_token", "1//r")];
    assert_eq!(form, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}

fn external(dir: &Dir, format: Json, impersonate: bool) -> Json {
    let mut file = json!({
        "type": "external_account", "audience": "//iam.googleapis.com/projects/1/pools/x/providers/y",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.example/v1/token",
        "credential_source": {"file": dir.0.join("subject"), "format": format},
    });
    if impersonate {
        file["service_account_impersonation_url"] = "https://iam.example/v1/sa:generateAccessToken".into();
        file["service_account_impersonation"] = json!({"token_lifetime_seconds": 600});
    }
    file
}

#[test]
fn a_workload_identity_exchanges_its_subject_token() {
    let dir = Dir::new();
    dir.file("subject", "subject-1\n");
    let mut tokens = tokens(&dir.file("wif.json", external(&dir, Json::Null, false)));
    let errand = ask(tokens.next(None, now()));
    assert_eq!(errand.url, "https://sts.example/v1/token");
    let form = posted(&errand);
    for (key, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", "//iam.googleapis.com/projects/1/pools/x/providers/y"),
        ("scope", "https://www.googleapis.com/auth/logging.write"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", "subject-1"),
    ] {
        assert_eq!(form[key], value, "{key}");
    }
    assert_eq!(token(tokens.next(Some(&Reply::new(200, r#"{"access_token":"t"}"#)), now())).value, "t");
    // Kubernetes replaces the file.
    dir.file("subject", "subject-2");
    assert_eq!(posted(&ask(tokens.next(None, now())))["subject_token"], "subject-2");
}

#[test]
fn a_workload_identity_may_speak_for_a_service_account() {
    let dir = Dir::new();
    dir.file("subject", r#"{"id":"subject-1"}"#);
    let format = json!({"type": "json", "subject_token_field_name": "id"});
    let mut tokens = tokens(&dir.file("wif.json", external(&dir, format, true)));
    let form = posted(&ask(tokens.next(None, now())));
    assert_eq!(
        (form["subject_token"].as_str(), form["scope"].as_str()),
        ("subject-1", "https://www.googleapis.com/auth/cloud-platform")
    );
    let errand = ask(tokens.next(Some(&Reply::new(200, r#"{"access_token":"federated","expires_in":9}"#)), now()));
    assert_eq!(errand.url, "https://iam.example/v1/sa:generateAccessToken");
    assert_eq!(errand.headers, [("authorization", "Bearer federated".to_owned())]);
    let body: Json = serde_json::from_slice(&errand.body.as_ref().unwrap().1).unwrap();
    assert_eq!(body, json!({"scope": ["https://www.googleapis.com/auth/logging.write"], "lifetime": "600s"}));
    let answer = r#"{"accessToken":"mine","expireTime":"2026-11-24T09:00:00Z"}"#;
    let got = token(tokens.next(Some(&Reply::new(200, answer)), now()));
    assert_eq!((got.value.as_str(), got.lives), ("mine", Duration::from_secs(600)));

    ask(tokens.next(None, now()));
    ask(tokens.next(Some(&Reply::new(200, r#"{"access_token":"federated"}"#)), now()));
    let why = tokens.next(Some(&Reply::new(403, r#"{"error":{"message":"no getAccessToken"}}"#)), now()).unwrap_err();
    assert!(why.contains("was refused by iam.example (status 403): no getAccessToken"), "{why}");
}

fn at_metadata(step: Result<Step, String>) -> String {
    let errand = ask(step);
    assert!(errand.metadata && errand.body.is_none());
    assert_eq!(errand.headers, [("metadata-flavor", "Google".to_owned())]);
    errand.url.strip_prefix("http://metadata.test:80/computeMetadata/v1/").unwrap().to_owned()
}

const MACHINE_TOKEN: &str = r#"{"access_token":"m","expires_in":3599,"token_type":"Bearer"}"#;

#[test]
fn the_metadata_server_tells_token_project_and_place_once() {
    let google = GoogleCloud::new("").metadata_host("metadata.test:80");
    let mut tokens = google.tokens().unwrap().unwrap();
    assert_eq!(at_metadata(tokens.next(None, now())), "instance/service-accounts/default/token");
    for (answer, path) in [
        (Reply::new(200, MACHINE_TOKEN), "project/project-id"),
        (Reply::new(200, "p-meta"), "instance/attributes/cluster-name"),
        (Reply::new(200, "c-meta\n"), "instance/attributes/cluster-location"),
        (Reply::new(404, "<html>no"), "instance/zone"),
    ] {
        assert_eq!(at_metadata(tokens.next(Some(&answer), now())), path);
    }
    let got = token(tokens.next(Some(&Reply::new(200, "projects/7/zones/z-1")), now()));
    assert_eq!((got.value.as_str(), got.renew, got.outdates), ("m", Duration::from_secs(200), true));

    let one = [frame(Severity::Info, "m", |_| {})];
    let read = read(&body(&google, &one));
    assert_eq!(read.head.text("logName").unwrap(), "projects/p-meta/logs/checkout");
    // The cluster alone, without its location, makes no `k8s_container`.
    let (kind, labels) = labels(&read);
    assert_eq!((kind.as_str(), labels["location"].as_str()), ("generic_task", "z-1"));

    assert_eq!(at_metadata(tokens.next(None, now())), "instance/service-accounts/default/token");
    let got = token(tokens.next(Some(&Reply::new(200, MACHINE_TOKEN)), now()));
    assert!(!got.outdates, "nothing new was learnt");
}

#[test]
fn a_machine_that_does_not_tell_its_project_says_what_to_set() {
    let google = GoogleCloud::new("").metadata_host("metadata.test:80");
    let mut tokens = google.tokens().unwrap().unwrap();
    at_metadata(tokens.next(None, now()));
    at_metadata(tokens.next(Some(&Reply::new(200, MACHINE_TOKEN)), now()));
    let why = tokens.next(Some(&Reply::new(404, "")), now()).unwrap_err();
    assert!(why.contains("gcl://PROJECT"), "{why}");

    let all_set = GoogleCloud::new("p").cluster("c", "l").metadata_host("metadata.test:80");
    let mut tokens = all_set.tokens().unwrap().unwrap();
    at_metadata(tokens.next(None, now()));
    token(tokens.next(Some(&Reply::new(200, MACHINE_TOKEN)), now()));
}

#[test]
fn credentials_are_found_as_by_googles_own_libraries() {
    let dir = Dir::new();
    let key = dir.file("key.json", service_account(KEY));
    let gcloud = dir.0.join("home/.config/gcloud");
    std::fs::create_dir_all(&gcloud).unwrap();
    let adc = gcloud.join("application_default_credentials.json");
    let home = dir.0.join("home").display().to_string();
    let found = |variables: &[(&str, &str)]| {
        Source::found(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    };
    assert!(matches!(found(&[("HOME", &home)]), Source::Metadata(host) if host == "metadata.google.internal"));
    assert!(matches!(found(&[("GCE_METADATA_HOST", "h:1")]), Source::Metadata(host) if host == "h:1"));
    std::fs::write(&adc, "{}").unwrap();
    assert!(matches!(found(&[("HOME", &home)]), Source::File { path, .. } if path == adc));
    assert!(
        matches!(found(&[("CLOUDSDK_CONFIG", &gcloud.display().to_string())]), Source::File { path, .. } if path == adc)
    );
    let variables = [("GOOGLE_APPLICATION_CREDENTIALS", &*key.display().to_string()), ("HOME", &home)];
    assert!(matches!(found(&variables), Source::File { path, .. } if path == key));
}

#[test]
fn b8_what_is_wrong_with_a_file_is_told_at_start_and_never_quoted() {
    let dir = Dir::new();
    dir.file("empty", "");
    let source = |file: &str| {
        json!({"type": "external_account", "audience": "a", "subject_token_type": "t",
        "token_url": "https://sts", "credential_source": {"file": dir.0.join(file)}})
    };
    let mut no_email = service_account(KEY);
    no_email["client_email"] = Json::Null;
    let mut ec = service_account("-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n");
    ec["x"] = "canary".into();
    for (content, part) in [
        ("canary".to_owned(), "in JSON"),
        ("[\"canary\"]".to_owned(), "in JSON"),
        (r#"{"type":"impersonated_service_account","x":"canary"}"#.to_owned(), "impersonated_service_account"),
        (no_email.to_string(), "client_email"),
        (service_account("canary").to_string(), "private_key"),
        (ec.to_string(), "RSA"),
        (source("missing").to_string(), "missing"),
        (source("empty").to_string(), "no subject token"),
        (
            json!({"type": "authorized_user", "client_secret": "canary", "refresh_token": "canary"}).to_string(),
            "client_id",
        ),
    ] {
        let path = dir.file("file.json", content);
        let backend = GoogleCloud::new("p").key_file(&path);
        let why = backend.tokens().map(|_| ()).expect_err("accepted").to_string();
        assert!(why.starts_with("key_file is ") && why.contains(part) && !why.contains("canary"), "{why}");
    }
    let why = GoogleCloud::new("p").key_file("/nonexistent").tokens().map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("/nonexistent") && why.contains("can be read"), "{why}");
}

#[test]
fn b8_debug_of_a_step_shows_no_secret() {
    let dir = Dir::new();
    let file =
        json!({"type": "authorized_user", "client_id": "canary", "client_secret": "canary", "refresh_token": "canary"});
    let mut tokens = tokens(&dir.file("adc.json", file));
    let shown = format!("{:?}", tokens.next(None, now()));
    let token = format!("{:?}", Token::new("canary", Duration::ZERO));
    assert!(!shown.contains("canary") && !token.contains("canary"), "{shown} {token}");
}

#[test]
fn the_project_is_that_of_the_key_file_and_its_absence_is_told_at_start() {
    let dir = Dir::new();
    let key = dir.file("key.json", service_account(KEY)).display().to_string();
    let user = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"});
    let user = dir.file("adc.json", user).display().to_string();
    let built = |path: &str| {
        let lookup = |name: &str| (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| path.to_owned());
        let setup = Setup { name: "gcl", url: "gcl://", variable: None, promoted: &[], lookup: &lookup };
        build(&setup)
    };
    assert_eq!(built(&key).unwrap().target.project(), Some("p-key"));
    let why = built(&user).unwrap_err().to_string();
    assert!(why.starts_with("url is ") && why.contains("GOOGLE_CLOUD_PROJECT"), "{why}");
    let why = built("/nonexistent").unwrap_err().to_string();
    assert!(why.starts_with("GOOGLE_APPLICATION_CREDENTIALS is "), "{why}");
}
