//! Marks on the current thread: whether it is one of ours, and how deep it is inside a capture.
//!
//! Both are plain cells without a destructor, so they can be read at any moment of a thread's life:
//! in the destructors of other thread-locals, in the panic hook and in the exit hook.

use std::cell::Cell;

thread_local! {
    /// How deep captures are nested, or [`OURS`].
    static STATE: Cell<u8> = const { Cell::new(0) };
}

const OURS: u8 = u8::MAX;

/// How often a record may begin while another one is being captured on the same thread: a `Debug`
/// that logs while it is formatted is kept, a recursion without end is not.
const DEEPEST: u8 = 4;

/// Marks this thread as one of ours: nothing that it logs is captured. Without it, each send would log
/// lines of the HTTP client, and these lines would cause the next send.
pub(crate) fn this_thread() {
    STATE.set(OURS);
}

/// Does our own work on a thread of the application, as one of ours.
pub(crate) fn during<T>(work: impl FnOnce() -> T) -> T {
    struct Before(u8);
    impl Drop for Before {
        fn drop(&mut self) {
            STATE.set(self.0);
        }
    }
    let _before = Before(STATE.replace(OURS));
    work()
}

/// Whether this thread is one of ours.
pub(crate) fn is_ours() -> bool {
    STATE.get() == OURS
}

/// Whether this thread is inside a capture right now.
pub(crate) fn is_capturing() -> bool {
    (1..OURS).contains(&STATE.get())
}

/// Why nothing may be captured.
pub(crate) enum Refused {
    Ours,
    TooDeep,
}

/// Held while a record is captured on this thread.
pub(crate) struct Capturing {
    before: u8,
}

impl Capturing {
    #[inline]
    pub(crate) fn enter() -> Result<Self, Refused> {
        let before = STATE.get();
        if before >= DEEPEST {
            return Err(if before == OURS { Refused::Ours } else { Refused::TooDeep });
        }
        STATE.set(before + 1);
        Ok(Self { before })
    }
}

impl Drop for Capturing {
    #[inline]
    fn drop(&mut self) {
        STATE.set(self.before);
    }
}
