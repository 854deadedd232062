//! Cases that take turns: each in a process of its own, where its subscriber is the global one, as in a program, and
//! each burst of one followed by a burst of the next, so that noise hits all alike.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::alloc::allocations;
use super::figures::{median, quantile};

/// Calls that are not timed, in each turn: after a switch of processes the first ones find cold caches, whoever they are
/// made to, and with 64 that are timed the first one alone would be the 99th percentile.
const FIRST: u64 = 8;

/// Calls that are timed one by one, then calls that are timed together, in each turn.
const SINGLE: u64 = 64;
const TOGETHER: u64 = 256;

/// Between two turns: a worker empties its queue, and what it does for one case ends before the next is timed.
const PAUSE: Duration = Duration::from_millis(1);

/// What a case took, in nanoseconds; quantiles hold the cost of reading the clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// Of bursts that are timed as a whole, the median: no clock in it.
    pub mean: f64,
    pub allocations: f64,
}

impl Figures {
    /// Without what an empty call takes by the same clock.
    pub fn without(self, timer: Self) -> Self {
        let less = |nanos: f64| (nanos - timer.p50).max(0.0);
        Self { p50: less(self.p50), p99: less(self.p99), p999: less(self.p999), ..self }
    }
}

/// Lets each case have its turn, `rounds` times, after some that do not count.
pub fn race(cases: &[&str], rounds: usize, environment: &[(&str, String)]) -> Vec<Figures> {
    let mut contenders: Vec<_> = cases.iter().map(|case| Contender::start(case, environment)).collect();
    for round in 0..rounds + rounds / 10 + 1 {
        for contender in &mut contenders {
            contender.turn(round > rounds / 10);
            thread::sleep(PAUSE);
        }
    }
    contenders.into_iter().map(Contender::figures).collect()
}

struct Contender {
    child: Child,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Contender {
    fn start(case: &str, environment: &[(&str, String)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(super::CASE, case)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, replies) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut contender = Self { child, orders, replies };
        assert_eq!(contender.reply(), "ready", "{case} did not start");
        contender
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.replies.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn turn(&mut self, counts: bool) {
        writeln!(self.orders, "{}", if counts { "turn" } else { "warm" }).unwrap();
        assert_eq!(self.reply(), "done");
    }

    fn figures(mut self) -> Figures {
        writeln!(self.orders, "end").unwrap();
        let line = self.reply();
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        let figures = Figures { p50: next(), p99: next(), p999: next(), mean: next(), allocations: next() };
        drop(self.orders);
        let _ = self.child.wait();
        figures
    }
}

/// What one thread found out in one turn.
#[derive(Default)]
struct Turn {
    single: Vec<u64>,
    mean: f64,
    allocations: f64,
}

fn turn(call: impl Fn(u64), go: Instant) -> Turn {
    while Instant::now() < go {
        std::hint::spin_loop();
    }
    (0..FIRST).for_each(&call);
    let mut single = Vec::with_capacity(SINGLE as usize);
    for i in 0..SINGLE {
        let begun = Instant::now();
        call(i);
        single.push(begun.elapsed().as_nanos() as u64);
    }
    let before = allocations();
    let begun = Instant::now();
    for i in 0..TOGETHER {
        call(i);
    }
    let mean = begun.elapsed().as_nanos() as f64 / TOGETHER as f64;
    Turn { single, mean, allocations: (allocations() - before) as f64 / TOGETHER as f64 }
}

/// The child's side: waits for its turns, and reports in the end. With one thread it is the main one that calls.
pub fn take_turns(threads: usize, call: impl Fn(u64) + Copy + Send + 'static) {
    let (ended, turns) = channel();
    let others: Vec<Sender<Instant>> = (1..threads)
        .map(|_| {
            let (order, orders): (_, Receiver<Instant>) = channel();
            let ended = Sender::clone(&ended);
            thread::spawn(move || orders.iter().try_for_each(|go| ended.send(turn(call, go))));
            order
        })
        .collect();
    let mut counted = Vec::new();
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        if line == "end" {
            break;
        }
        // Threads that must begin together need time to wake up.
        let go = Instant::now() + Duration::from_micros(if threads > 1 { 200 } else { 0 });
        others.iter().for_each(|other| other.send(go).unwrap());
        let mut all = vec![turn(call, go)];
        all.extend(others.iter().map(|_| turns.recv().unwrap()));
        if line == "turn" {
            counted.append(&mut all);
        }
        println!("done");
    }
    let mut single: Vec<_> = counted.iter().flat_map(|turn| &turn.single).copied().collect();
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| quantile(&mut single, q));
    let mean = median(&mut counted.iter().map(|turn| turn.mean).collect::<Vec<_>>());
    let allocations = counted.iter().map(|turn| turn.allocations).sum::<f64>() / counted.len().max(1) as f64;
    println!("{p50} {p99} {p999} {mean} {allocations}");
}
