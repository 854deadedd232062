//! Death: processes that are killed at any moment, and a count from outside of what became of their records.
//!
//! A *victim* (this binary again, `victim.rs`) logs from four threads and notes in a file how many records were accepted.
//! It dies: killed at a time of chance (`kills.rs`), at a named point in the library (`points.rs`), for want of memory
//! (`oom.rs`), in a crowd (`crowd.rs`), or asked to (`term.rs`). Others take over what it left, and may die over that. One
//! store, in the test's own process, lives through all of it, and the *auditor* (`auditor.rs`) holds what it has
//! against the counts: what may be lost, in which order the rest is, with which ids, how often, and what the ledger says.
//!
//! Beside these: ten thousand old segments (`segments.rs`), a disk without room (`full.rs`), files that somebody planted
//! (`planted.rs`), an outage of ten minutes (`outage.rs`), a ring that is too small (`outgrown.rs`), and the auditor's own eyes (`proof.rs`). Names of cases begin with
//! the rows that they prove.
//!
//! The long runs are ignored; CONTRIBUTING.md has the commands. What fails says how to repeat it.

use std::error::Error;
use std::process::ExitCode;

#[path = "../support/mod.rs"]
mod support;

mod auditor;
mod counts;
mod crowd;
mod ends;
mod full;
mod kills;
mod oom;
mod outage;
mod outgrown;
mod planted;
mod points;
mod process;
mod proof;
mod record;
mod scene;
mod segments;
mod term;
mod victim;

use auditor::Tally;
use ends::Way;
use kills::{Weather, chain, quiet, stories};
use scene::Keeps;
use support::{Case, case};

/// Deaths in a row, each while taking over from those before.
const CHAIN: &[Way] = &[const { Way::Kill }; 5];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Some(role) = support::role() {
        victim::victim(&role)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut cases = Vec::new();
    random(&mut cases);
    points(&mut cases);
    ways(&mut cases);
    for keeps in [Keeps::Ring, Keeps::RingAndSpool] {
        both(&mut cases, format!("d7::oom::{keeps:?}"), 2, 25, move |seed| oom::story(seed, keeps));
        both(&mut cases, format!("s8::crowd::{keeps:?}"), 2, 100, move |seed| crowd::story(seed, keeps));
    }
    both(&mut cases, "s8::crowd::Spool".into(), 2, 100, |seed| crowd::story(seed, Keeps::Spool));
    for what in term::STORES {
        both(&mut cases, format!("d5::term::{what}"), 2, 50, move |seed| term::story(seed, what, Keeps::Spool));
    }
    cases.extend(proof::cases());
    cases.extend(segments::cases());
    cases.extend(full::cases());
    cases.extend(planted::cases());
    cases.extend(outage::cases());
    // The ring is a feature.
    cases.retain(|case| cfg!(feature = "crash-proof") || !case.name().contains("Ring"));
    support::run(cases);
    Ok(ExitCode::SUCCESS)
}

/// A case of `few` stories, and one of `many` that only `--ignored` runs.
fn both(
    cases: &mut Vec<Case>,
    name: String,
    few: usize,
    many: usize,
    story: impl Fn(u64) -> Tally + Send + Sync + Copy + 'static,
) {
    let long = format!("long::{name}");
    let named = long.clone();
    cases.push(case(name.clone(), move || stories(&name, few, story)));
    cases.push(case(long, move || stories(&named, many, story)).ignored("takes long"));
}

/// D1: 200 kills of a process with a ring, 60 with a spool, 40 with memory alone; in the long run 5,000 with a ring.
fn random(cases: &mut Vec<Case>) {
    for weather in [Weather::Up, Weather::Slow, Weather::Flaky, Weather::Away] {
        for keeps in [Keeps::Ring, Keeps::RingAndSpool] {
            let name = format!("d1::{keeps:?}::{weather:?}");
            both(cases, name, 5, 125, move |seed| chain(seed, keeps, weather, CHAIN));
        }
        if matches!(weather, Weather::Slow | Weather::Away) {
            let name = format!("d1::Ring::{weather:?}::");
            both(cases, format!("{name}outgrown"), 2, 50, move |seed| outgrown::story(seed, weather));
            both(cases, format!("{name}waits"), 2, 50, move |seed| outgrown::waits(seed, weather));
        }
        both(cases, format!("d1::Spool::{weather:?}"), 3, 50, move |seed| chain(seed, Keeps::Spool, weather, CHAIN));
        // One at a time: what is told of it is told by the next.
        let name = format!("d1::Memory::{weather:?}");
        both(cases, name, 10, 100, move |seed| chain(seed, Keeps::Memory, weather, &CHAIN[..1]));
    }
    for keeps in [Keeps::Memory, Keeps::Spool, Keeps::Ring] {
        both(cases, format!("d1::{keeps:?}::quiet"), 2, 20, move |seed| quiet(seed, keeps));
    }
}

/// D2: each point five times, twenty in the long run.
fn points(cases: &mut Vec<Case>) {
    if !cfg!(debug_assertions) {
        println!("skipped: d2, as this build has no named points; they are in builds with debug assertions");
        return;
    }
    for (name, point, keeps) in points::cases() {
        both(cases, name.clone(), 5, 20, move |seed| points::story(seed, point, keeps));
        both(cases, format!("{name}::twice"), 1, 10, move |seed| points::twice(seed, point, keeps));
    }
}

/// D4: whatever ends it.
fn ways(cases: &mut Vec<Case>) {
    const WAYS: &[Way] = &[Way::Segv, Way::Abort, Way::UnderscoreExit, Way::StackOverflow, Way::Exec];
    for keeps in [Keeps::Ring, Keeps::RingAndSpool, Keeps::Spool, Keeps::Memory] {
        for way in WAYS.chunks(1) {
            let name = format!("d4::{keeps:?}::{}", way[0].word());
            both(cases, name, 2, 150, move |seed| chain(seed, keeps, Weather::Slow, way));
        }
        let name = format!("d4::{keeps:?}::ExecAgain");
        both(cases, name, 2, 150, move |seed| kills::next_life(seed, keeps));
    }
}
