//! The doctor: is the set-up that the environment describes right, and if not, what is wrong and which setting changes it?
//!
//! ```text
//! LOGCHUTE_URL=loki+http://loki:3100 cargo run --example doctor
//! ```
//!
//! Sends one marked record to each destination. Exit code 0 if every store took it, else 1. A service that has the crate
//! already needs no second program: `LOGCHUTE_DOCTOR=1` makes `logchute::init` say the same on stderr.

use std::process::ExitCode;

fn main() -> ExitCode {
    let diagnosis = logchute::diagnose();
    println!("{diagnosis}");
    if diagnosis.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
