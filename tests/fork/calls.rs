//! The system calls that the victims need, which no safe crate has: a fork copies one thread of several, so what may run
//! in the child is for its caller to know. That is what is tested here.

#![allow(unsafe_code)]

use std::time::{Duration, Instant};

/// The child's number in the parent, 0 in the child.
pub(crate) fn fork() -> i32 {
    // SAFETY: the children here run code of the test and of the library under test, and that this works is the test.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    pid
}

/// Ends the process without exit handlers.
pub(crate) fn end_now(status: i32) -> ! {
    // SAFETY: takes no pointer and does not return.
    unsafe { libc::_exit(status) }
}

pub(crate) fn kill(pid: i32, signal: i32) {
    // SAFETY: takes no pointer; `pid` is a child of this process that was not waited for yet.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// Waits for a child, at most for `limit`; then it is killed. The exit status, or minus the signal that ended it.
pub(crate) fn wait(pid: i32, limit: Duration) -> Result<i32, String> {
    let deadline = Instant::now() + limit;
    loop {
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        match unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } {
            0 if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            0 => {
                kill(pid, libc::SIGKILL);
                // SAFETY: as above.
                unsafe { libc::waitpid(pid, &raw mut status, 0) };
                return Err(format!("child {pid} hung for {limit:?}"));
            }
            _ if libc::WIFEXITED(status) => return Ok(libc::WEXITSTATUS(status)),
            _ => return Ok(-libc::WTERMSIG(status)),
        }
    }
}

/// Writes a line to stdout, without the lock of the standard library: in a child another thread may hold it for good.
pub(crate) fn say(line: &str) {
    let line = format!("{line}\n");
    // SAFETY: the pointer and the length are those of `line`, which outlives the call.
    let wrote = unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
    assert_eq!(wrote, line.len() as isize);
}
