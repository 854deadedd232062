//! Tokens: fetched, kept, replaced ahead of time and on refusal, from where they may come and within what time.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use super::super::http::Client;
use super::super::resolve::Resolver;
use super::super::testing::{LONG, Script, Seen, Server, alone, answering, named, options, payload, runtime};
use super::super::{Credentials, FailureKind, Options, Secret, url};
use reqwest::dns::Resolve as _;

use crate::backend::{Errand, Reply, Step, Token, Tokens};

const MINUTE: Duration = Duration::from_secs(60);

/// Gets a token with one errand; the answer is the token itself, and lives for an hour.
struct One {
    errand: Box<dyn Fn() -> Errand + Send>,
    outdates: bool,
}

impl Tokens for One {
    fn next(&mut self, reply: Option<&Reply>, _: SystemTime) -> Result<Step, String> {
        match reply {
            None => Ok(Step::Ask((self.errand)())),
            Some(reply) if reply.status == 200 => {
                let token = Token::new(reply.text(), 60 * MINUTE);
                Ok(Step::Token(if std::mem::take(&mut self.outdates) { token.outdates_requests() } else { token }))
            }
            Some(reply) => Err(format!("refused with {}: {}", reply.status, reply.text())),
        }
    }
}

fn source(errand: impl Fn() -> Errand + Send + 'static) -> Box<dyn Tokens> {
    Box::new(One { errand: Box::new(errand), outdates: false })
}

fn get(url: &str) -> Box<dyn Tokens> {
    let url = url.to_owned();
    source(move || Errand::get(&url, "token_uri"))
}

/// One connection, one answer each.
fn handing_out(answers: &[&str]) -> Server<Seen> {
    let script = |answer: &&str| -> Script<Seen> {
        let (status, body) = answer.split_once(' ').unwrap();
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        Box::new(move |mut stream| {
            let seen = Seen::read(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
            seen
        })
    };
    Server::new(answers.iter().map(script).collect())
}

/// A store on one connection that answers so, and tells the tokens that it was shown.
fn store(statuses: &'static [u16]) -> Server<Vec<String>> {
    Server::one(move |mut stream: TcpStream| {
        let each = |status: &u16| {
            let shown = Seen::read(&mut stream).header("authorization").unwrap_or_default().to_owned();
            write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n").unwrap();
            shown
        };
        statuses.iter().map(each).collect()
    })
}

fn client(url: String, source: Box<dyn Tokens>) -> Client {
    Client::new(options(url)).unwrap().with_tokens(source).unwrap()
}

async fn send(client: &Client) -> Reply {
    client.send(payload("hello"), LONG).await.unwrap()
}

#[test]
fn one_token_serves_many_requests_until_a_minute_before_its_end() {
    let (from, to) = (handing_out(&["200 first", "200 second"]), store(&[200; 4]));
    let client = client(to.url(), get(&from.url()));
    runtime().block_on(async {
        send(&client).await;
        send(&client).await;
        client.purse().pass(59 * MINUTE - Duration::from_secs(30));
        send(&client).await;
        client.purse().pass(MINUTE / 2);
        send(&client).await;
    });
    assert_eq!(to.end()[0], ["Bearer first", "Bearer first", "Bearer first", "Bearer second"]);
    let seen = &from.end()[0];
    assert!(seen.head.starts_with("GET /in HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!((seen.header("content-type"), seen.header("authorization"), seen.body.len()), (None, None, 0));
}

#[test]
fn requests_that_begin_together_wait_for_one_fetch() {
    let (from, to) = (handing_out(&["200 only"]), Server::new((0..3).map(|_| answer_one()).collect()));
    let client = client(to.url(), get(&from.url()));
    let replies = runtime().block_on(async {
        let send = || client.send(payload("hello"), LONG);
        let three = futures_util::future::join(send(), futures_util::future::join(send(), send()));
        let (one, (two, three)) = three.await;
        [one, two, three].map(|reply| reply.unwrap().status)
    });
    assert_eq!(replies, [200; 3]);
    drop(client);
    assert_eq!(to.end(), ["Bearer only"; 3]);
    from.end();
}

fn answer_one() -> Script<String> {
    Box::new(|mut stream| {
        let shown = Seen::read(&mut stream).header("authorization").unwrap_or_default().to_owned();
        stream.write_all(b"HTTP/1.1 200 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        shown
    })
}

#[test]
fn while_the_next_one_cannot_be_had_the_old_one_serves_to_its_end() {
    let (from, to) = (handing_out(&["200 first", "503 away", "503 still away"]), store(&[200; 3]));
    let client = client(to.url(), get(&from.url()));
    runtime().block_on(async {
        send(&client).await;
        client.purse().pass(59 * MINUTE);
        send(&client).await;
        assert_eq!(client.complaint().unwrap(), "refused with 503: away");
        // Not asked again at once.
        send(&client).await;
        client.purse().pass(MINUTE);
        let failure = client.send(payload("hello"), LONG).await.unwrap_err();
        assert_eq!((failure.kind, failure.text.as_str()), (FailureKind::Token, "refused with 503: still away"));
    });
    drop(client);
    assert_eq!(to.end()[0], ["Bearer first"; 3]);
    from.end();
}

#[test]
fn a_refused_token_is_replaced_once_and_never_shown_again() {
    let from = handing_out(&["200 first", "200 second", "200 third", "200 fourth"]);
    let to = store(&[401, 401, 401, 200, 401]);
    let client = client(to.url(), get(&from.url()));
    runtime().block_on(async {
        let first = send(&client).await.credential;
        assert!(client.refresh(first), "another token may fare better");
        assert!(client.refresh(first), "a second request with the first token says nothing about its successor");
        let second = send(&client).await.credential;
        assert!(!client.refresh(second), "a fresh one was refused too");
        let third = send(&client).await.credential;
        assert!(!client.refresh(third));
        let fourth = send(&client).await.credential;
        assert_eq!(send(&client).await.status, 401);
        assert!(client.refresh(fourth), "it had been good");
        let failure = client.send(payload("hello"), LONG).await.unwrap_err();
        assert!(failure.text.contains("nobody listens") && failure.text.contains("token_uri"), "{failure}");
    });
    from.end();
    drop(client);
    assert_eq!(to.end()[0], ["first", "second", "third", "fourth", "fourth"].map(|token| format!("Bearer {token}")));
}

#[test]
fn a_fetch_and_its_request_share_one_deadline() {
    let silent = Server::one(|mut stream| {
        Seen::read(&mut stream);
        super::super::testing::to_the_end(&mut stream)
    });
    let client = client("http://127.0.0.1:1/".into(), get(&silent.url()));
    let timeout = Duration::from_millis(300);
    let begun = Instant::now();
    let failures = runtime().block_on(async {
        let send = || client.send(payload("hello"), timeout);
        let (one, two) = futures_util::future::join(send(), send()).await;
        [one.unwrap_err(), two.unwrap_err()]
    });
    assert!(begun.elapsed() < timeout + Duration::from_secs(2), "the deadline was not kept");
    assert!(failures.iter().all(|failure| failure.text.contains("no token for the store")), "{failures:?}");
    assert!(failures[0].text.contains("no answer from http://127.0.0.1"), "{}", failures[0]);
    silent.end();
}

#[test]
fn who_waited_for_a_fetch_that_failed_fails_with_it() {
    let from = handing_out(&["403 no"]);
    let client = client("http://127.0.0.1:1/".into(), get(&from.url()));
    let failures = runtime().block_on(async {
        let send = || client.send(payload("hello"), LONG);
        let (one, two) = futures_util::future::join(send(), send()).await;
        [one.unwrap_err().text, two.unwrap_err().text]
    });
    assert_eq!(failures, ["refused with 403: no"; 2]);
    from.end();
}

#[test]
fn what_was_encoded_before_something_was_learnt_is_not_sent() {
    let (from, to) = (handing_out(&["200 first"]), store(&[200]));
    let url = from.url();
    let errand = Box::new(move || Errand::get(&url, "token_uri"));
    let client = client(to.url(), Box::new(One { errand, outdates: true }));
    runtime().block_on(async {
        let failure = client.send(payload("old"), LONG).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Outdated);
        send(&client).await;
    });
    assert_eq!(to.end()[0], ["Bearer first"]);
    from.end();
}

#[test]
fn b8_a_secret_that_is_quoted_in_a_refusal_is_not_told() {
    let from = handing_out(&["400 bad canary-1 and Bearer canary-2"]);
    let url = from.url();
    let errand = move || {
        Errand::post(&url, "token_uri", "text/plain", b"canary-1".to_vec())
            .secret("canary-1")
            .header("authorization", "Bearer canary-2")
    };
    let client = client("http://127.0.0.1:1/".into(), source(errand));
    let failure = runtime().block_on(client.send(payload("hello"), LONG)).unwrap_err();
    assert_eq!(failure.text, "refused with 400: bad *** and ***");
    assert_eq!(from.end()[0].body, b"canary-1");
}

#[test]
fn b7_errands_go_to_https_or_this_machine_and_only_marked_ones_to_a_metadata_service() {
    let failure = |source| {
        let client = client("http://127.0.0.1:1/".into(), source);
        runtime().block_on(client.send(payload("hello"), Duration::from_millis(300))).unwrap_err().text
    };
    for (url, part) in [
        ("http://tokens.example/", "must be https"),
        ("http://10.0.0.1/", "must be https"),
        ("http://169.254.169.254/", "link-local"),
        ("https://user:canary@host/", "without user and password"),
        ("gopher://host", "an http or https URL"),
    ] {
        let said = failure(get(url));
        assert!(said.contains(part) && said.contains("token_uri is") && !said.contains("canary"), "{said}");
    }
    let link_local = || -> String { named(|| Ok(vec!["169.254.169.254:0".parse().unwrap()])) };
    let said = failure(get(&format!("https://{}/", link_local())));
    let part = if cfg!(feature = "tls") { "no address but those of a metadata service" } else { "feature `tls`" };
    assert!(said.contains(part), "{said}");
    let nowhere = source(|| Errand::get("http://127.0.0.1:1/", "GCE_METADATA_HOST").metadata().hint("set a file"));
    let said = failure(nowhere);
    assert!(said.contains("check GCE_METADATA_HOST") || said.contains("in GCE_METADATA_HOST"), "{said}");
    assert!(said.contains("; set a file: "), "{said}");
    // No more than that: whatever is at this address here must not be asked by a test.
    assert!(url::check_errand("http://169.254.169.254/", true).is_ok());
    let found = |metadata| {
        let name: reqwest::dns::Name = link_local().parse().unwrap();
        runtime().block_on(Resolver::new(metadata).resolve(name)).is_ok()
    };
    assert!(found(true) && !found(false));
}

#[test]
fn b7_a_source_is_not_used_beside_a_credential_of_the_users_nor_over_plain_http() {
    let refused = Client::new(options("http://store.example/")).unwrap().with_tokens(get("https://x/")).unwrap_err();
    assert!(refused.to_string().contains("LOGCHUTE_ALLOW_HTTP"), "{refused}");
    let allowed = Options { allow_http: true, ..options("http://store.example/") };
    assert!(Client::new(allowed).unwrap().with_tokens(get("https://x/")).is_ok());
    let secret = || Some(Secret::value("canary"));
    let header = vec![("Authorization".to_owned(), Secret::value("canary"))];
    for credentials in [
        Credentials { token: secret(), ..Credentials::default() },
        Credentials { user: secret(), password: secret(), ..Credentials::default() },
        Credentials { headers: header, ..Credentials::default() },
    ] {
        let own = Options { credentials, ..options("http://127.0.0.1:1/") };
        assert!(Client::new(own).unwrap().authorizes());
    }
    assert!(!Client::new(options("http://127.0.0.1:1/")).unwrap().authorizes());
}

#[test]
fn a_source_that_panics_gives_nonsense_or_never_ends_fails_the_request_alone() {
    struct Odd(fn(u32) -> Result<Step, String>, u32);
    impl Tokens for Odd {
        fn next(&mut self, _: Option<&Reply>, _: SystemTime) -> Result<Step, String> {
            self.1 += 1;
            (self.0)(self.1)
        }
    }
    let failure = |odd| {
        let client = client("http://127.0.0.1:1/".into(), Box::new(Odd(odd, 0)));
        runtime().block_on(client.send(payload("hello"), LONG)).unwrap_err().text
    };
    assert!(failure(|_| panic!("no {}", 7)).contains("panicked: no 7"));
    let said = failure(|_| Ok(Step::Token(Token::new("can\r\nary", MINUTE))));
    assert!(said.contains("line breaks") && !said.contains("ary"), "{said}");
    assert!(
        failure(|_| Ok(Step::Token(Token::new("t", Duration::MAX)))).contains("nobody listens at http://127.0.0.1:1/")
    );
}

/// Gets a token from the metadata service at `WIRE_HOST`, in a process with proxy settings; see the next test.
#[test]
fn asks_the_metadata_service() {
    let Ok(port) = std::env::var("WIRE_PORT") else { return };
    let to = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let host = named(|| Ok(vec!["127.0.0.1:0".parse().unwrap()]));
    let errand = move || Errand::get(format!("http://{host}:{port}/token"), "GCE_METADATA_HOST").metadata();
    let client = client(to.url(), source(errand));
    assert_eq!(runtime().block_on(send(&client)).status, 200);
    drop(client);
    assert_eq!(to.end()[0].header("authorization"), Some("Bearer of the machine"));
}

#[test]
fn b7_no_proxy_sees_what_the_metadata_service_is_asked() {
    let from = handing_out(&["200 of the machine"]);
    let port = from.address.port().to_string();
    let dead = "http://127.0.0.1:9";
    let variables = [("WIRE_PORT", &*port), ("HTTP_PROXY", dead), ("ALL_PROXY", dead)];
    alone("wire::tests::tokens::asks_the_metadata_service", &variables);
    from.end();
}
