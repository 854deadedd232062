//! Code of the application that is called from ours: its panics end here.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs it; gives what the panic carried where it panicked, to be [let go](let_go).
#[inline(always)]
pub(crate) fn contained<T>(run: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(run))
}

/// Drops what a panic carried. Its own `drop` may panic in turn: what that one carries is never dropped.
#[cold]
pub(crate) fn let_go(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(again);
    }
}

/// Runs it; a panic leaves nothing.
#[inline(always)]
pub(crate) fn quietly(run: impl FnOnce()) {
    if let Err(panic) = contained(run) {
        let_go(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2_a_panic_whose_payload_panics_ends_here() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                std::panic::panic_any(Bomb);
            }
        }
        quietly(|| std::panic::panic_any(Bomb));
        assert!(contained(|| 1).is_ok_and(|one| one == 1));
    }
}
