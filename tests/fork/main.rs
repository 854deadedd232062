//! Processes that fork, each way in which the child may end, while other threads are in the middle of it.
//!
//! The store counts connections, requests and records; what parent and child say of themselves is on their stdout, a line
//! for each process that ends well. A victim that hangs is killed by a watchdog, and fails.

#[cfg(unix)]
mod calls;
#[cfg(unix)]
mod parents;
#[cfg(unix)]
#[path = "../support/mod.rs"]
mod support;

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    if let Some(role) = support::role() {
        return parents::victim(&role);
    }
    support::run(cases::all());
    std::process::ExitCode::SUCCESS
}

#[cfg(unix)]
mod cases;
