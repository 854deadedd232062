//! Code that is not ours runs in here: a panic in it ends here, whatever it carries.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::frame::panic_message;

/// Runs it; where it panics, gives the panic's message.
pub(crate) fn contained<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        let message = panic_message(panic.as_ref()).to_owned();
        discard(panic);
        message
    })
}

/// Dropping what a panic carried may panic in turn; what that carries is not dropped.
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
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
    }
}
