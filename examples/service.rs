//! The main job on real input: an axum service with `tower_http`'s `TraceLayer` and `CatchPanicLayer` and ordinary
//! handlers, driven by real HTTP requests. Its records go to LOGCHUTE_URL, or to a store inside this process when that
//! is unset.
//!
//! ```text
//! cargo run --example service
//! LOGCHUTE_URL=loki+http://localhost:3100 cargo run --example service
//! REQUESTS=10000 cargo run --release --example service
//! ```
//!
//! Shows per route what arrived (or what the ledger says), and ends with 0 only if that is what the routes logged.

use std::backtrace::Backtrace;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Path, Request};
use axum::http::StatusCode;
use axum::routing::{get, post};
use logchute::testing::Store;
use logchute::{Builder, Guard, Report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use tracing::{Level, Span, error, field, info, info_span, instrument, warn};

/// The routes, one request to each, its status, and the records that it makes. `TraceLayer` logs the end of every
/// request, and once more where that is a failure of the server; a panic is logged where it happens (by the hook that
/// `install` sets) and where it is caught.
const ROUTES: [Route; 5] = [
    Route { path: "/orders/{id}", method: "GET", request: "/orders/17", status: 200, records: 2 },
    Route { path: "/orders/{id}/pay", method: "POST", request: "/orders/17/pay", status: 502, records: 3 },
    Route { path: "/import", method: "POST", request: "/import", status: 500, records: 3 },
    Route { path: "/report", method: "GET", request: "/report", status: 500, records: 4 },
    Route { path: "/health", method: "GET", request: "/health", status: 200, records: 1 },
];

struct Route {
    path: &'static str,
    method: &'static str,
    request: &'static str,
    status: u16,
    records: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (logs, embedded) = start()?;
    logs.install(tracing_subscriber::registry())?;
    let requests: usize = std::env::var("REQUESTS").map_or(Ok(200), |count| count.parse())?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, service()).await });
    let sent = send_requests(address, requests).await?;
    server.abort();

    let report = logs.shutdown(Duration::from_secs(10));
    match embedded {
        Some(store) => by_route(&sent, &store, &report),
        None => by_ledger(&sent, &report),
    }
}

/// Everything from the environment when it says where to, else a store of our own.
fn start() -> Result<(Guard, Option<Store>), logchute::Error> {
    if std::env::var_os("LOGCHUTE_URL").is_some_and(|url| !url.is_empty()) {
        return Ok((Builder::from_env()?.start()?, None));
    }
    let store = Store::new();
    let logs = Builder::new().send_to(store.backend()).service("orders").start()?;
    Ok((logs, Some(store)))
}

// ── The service ───────────────────────────────────────────────────────────────────────────────────────────────────

fn service() -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(|request: &Request| {
            let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
            let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok());
            info_span!("request", method = %request.method(), route, request_id = id)
        })
        .on_response(DefaultOnResponse::new().level(Level::INFO));

    Router::new()
        .route("/orders/{id}", get(order))
        .route("/orders/{id}/pay", post(pay))
        .route("/import", post(import))
        .route("/report", get(report))
        .route("/health", get(async || "ok"))
        // The outer one first: a panic is caught inside the request's span, so its record knows the request.
        .layer(ServiceBuilder::new().layer(trace).layer(CatchPanicLayer::new()))
}

/// An ordinary one: its record carries the fields of the request's span and of its own.
#[instrument(skip_all, fields(order = id, customer = field::Empty))]
async fn order(Path(id): Path<u64>) -> String {
    let customer = find_customer(id).await;
    Span::current().record("customer", &customer);
    info!(items = 3, total = 59.7, express = false, "order found");
    format!("order {id} of {customer}\n")
}

async fn find_customer(order: u64) -> String {
    tokio::task::yield_now().await;
    format!("c-{}", order % 7)
}

/// One that fails: the error is logged with its type and its chain of causes.
#[instrument(skip_all, fields(order = id))]
async fn pay(Path(id): Path<u64>) -> Result<&'static str, StatusCode> {
    if let Err(error) = charge(id).await {
        error!(error = &error as &dyn Error, retryable = true, "payment failed");
        return Err(StatusCode::BAD_GATEWAY);
    }
    Ok("paid\n")
}

async fn charge(_order: u64) -> Result<(), PaymentError> {
    let cause = io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by the acquirer");
    Err(PaymentError::Acquirer { name: "acme-pay", source: cause })
}

#[derive(Debug)]
enum PaymentError {
    Acquirer { name: &'static str, source: io::Error },
}

impl fmt::Display for PaymentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Acquirer { name, .. } = self;
        write!(f, "{name} did not take the payment")
    }
}

impl Error for PaymentError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let Self::Acquirer { source, .. } = self;
        Some(source)
    }
}

/// One that logs a stack trace: many lines, and one record.
async fn import() -> StatusCode {
    let trace = Backtrace::force_capture().to_string();
    let trace: Vec<&str> = trace.lines().take(6).collect();
    warn!(rows = 1200, "import stopped at row 1201\n{}", trace.join("\n"));
    StatusCode::INTERNAL_SERVER_ERROR
}

/// One with a defect. `CatchPanicLayer` logs the panic and answers 500; the service goes on.
async fn report() -> String {
    let days: Vec<u32> = Vec::new();
    format!("mean {}\n", days.iter().sum::<u32>() / days.len() as u32)
}

// ── Its users ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// Sends that many requests, four at a time, and returns how many went to each route. Every eighth is one that fails.
async fn send_requests(address: SocketAddr, count: usize) -> Result<BTreeMap<&'static str, usize>, Box<dyn Error>> {
    let mut sent = BTreeMap::new();
    let mut running = JoinSet::new();
    for number in 0..count {
        let route = match number % 40 {
            7 | 23 => &ROUTES[1],
            15 => &ROUTES[2],
            31 => &ROUTES[3],
            other if other % 8 == 0 => &ROUTES[4],
            _ => &ROUTES[0],
        };
        *sent.entry(route.path).or_default() += 1;
        if running.len() == 4 {
            finish(running.join_next().await)?;
        }
        running.spawn(async move { (route, request(address, route, number).await) });
    }
    while !running.is_empty() {
        finish(running.join_next().await)?;
    }
    Ok(sent)
}

type Finished = Option<Result<(&'static Route, io::Result<u16>), tokio::task::JoinError>>;

fn finish(finished: Finished) -> Result<(), Box<dyn Error>> {
    let Some(finished) = finished else { return Ok(()) };
    let (route, status) = finished?;
    let status = status?;
    if status == route.status {
        Ok(())
    } else {
        Err(format!("{} answered {status} instead of {}", route.path, route.status).into())
    }
}

/// One request over a connection of its own; returns the status.
async fn request(address: SocketAddr, route: &Route, number: usize) -> io::Result<u16> {
    let mut connection = TcpStream::connect(address).await?;
    let head = format!(
        "{} {} HTTP/1.1\r\nhost: {address}\r\nx-request-id: r-{number:05}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        route.method, route.request
    );
    connection.write_all(head.as_bytes()).await?;
    let mut reply = String::new();
    connection.read_to_string(&mut reply).await?;
    reply.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| io::Error::other("no status"))
}

// ── What arrived ──────────────────────────────────────────────────────────────────────────────────────────────────

fn by_route(sent: &BTreeMap<&str, usize>, store: &Store, report: &Report) -> Result<(), Box<dyn Error>> {
    let records = store.records();
    println!("\n{:<20} {:>8} {:>8} {:>8}", "route", "requests", "logged", "stored");
    let mut as_told = report.ledger().balances();
    for route in &ROUTES {
        let requests = sent.get(route.path).copied().unwrap_or(0);
        let of_route = records.iter().filter(|record| record.get("route").is_some_and(|value| value == route.path));
        let stored = of_route.clone().count();
        println!("{:<20} {requests:>8} {:>8} {stored:>8}", route.path, requests * route.records);
        as_told &= stored == requests * route.records;
    }
    println!("\nThe first of each kind:\n");
    for route in &ROUTES {
        let of_route = records.iter().filter(|record| record.get("route").is_some_and(|value| value == route.path));
        for record in of_route.take(route.records) {
            // A backtrace among the fields would fill the screen.
            println!("{}", record.to_string().chars().take(400).collect::<String>());
        }
    }
    println!("\n{report}");
    if as_told { Ok(()) } else { Err("the store does not have what the routes logged".into()) }
}

fn by_ledger(sent: &BTreeMap<&str, usize>, report: &Report) -> Result<(), Box<dyn Error>> {
    println!("\n{:<20} {:>8} {:>8}", "route", "requests", "logged");
    let mut logged = 0;
    for route in &ROUTES {
        let requests = sent.get(route.path).copied().unwrap_or(0);
        logged += (requests * route.records) as u64;
        println!("{:<20} {requests:>8} {:>8}", route.path, requests * route.records);
    }
    println!("{:<20} {:>8} {logged:>8}\n\n{report}", "", "");

    let ledger = report.ledger();
    let everywhere = |to: &logchute::DestinationLedger| to.delivered == ledger.emitted && to.rejected == 0;
    if ledger.emitted - ledger.own == logged && ledger.destinations.iter().all(everywhere) && ledger.balances() {
        Ok(())
    } else {
        Err("the ledger does not say what the routes logged".into())
    }
}
