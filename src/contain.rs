//! Code that is not ours runs in here: a panic in it ends here, whatever it carries.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::frame::panic_message;

/// Runs it; where it panics, gives the panic's message.
#[inline(always)]
pub(crate) fn contained<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(message)
}

/// Runs it; a panic leaves nothing.
#[inline(always)]
pub(crate) fn quietly(code: impl FnOnce()) {
    let _ = contained(code);
}

/// Takes the message, and drops what the panic carried. That may panic in turn; what that carries is not dropped.
#[cold]
fn message(panic: Box<dyn Any + Send>) -> String {
    let message = panic_message(panic.as_ref()).to_owned();
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2_a_panic_ends_here_also_when_it_carries_another() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                std::panic::panic_any(Bomb);
            }
        }
        assert_eq!(contained(|| 7), Ok(7));
        assert_eq!(contained(|| panic!("no {}", 7)), Err::<(), _>("no 7".into()));
        assert_eq!(contained(|| std::panic::panic_any(Bomb)), Err::<(), _>("no message".into()));
        quietly(|| std::panic::panic_any(Bomb));
    }
}
