//! Marks on the current thread: whether it is one of ours, and how deep it is inside a capture.
//!
//! Both are plain cells without a destructor, so they can be read at any moment of a thread's life:
//! in the destructors of other thread-locals, in the panic hook and in the exit hook.

use std::cell::Cell;

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
    static DEPTH: Cell<u8> = const { Cell::new(0) };
}

/// How often a record may begin while another one is being captured on the same thread: a `Debug`
/// that logs while it is formatted is kept, a recursion without end is not.
const DEEPEST: u8 = 4;

/// Marks this thread as one of ours: nothing that it logs is captured. Without it, each send would log
/// lines of the HTTP client, and these lines would cause the next send.
pub(crate) fn this_thread() {
    OURS.with(|ours| ours.set(true));
}

/// Whether this thread is one of ours.
#[inline]
pub(crate) fn is_ours() -> bool {
    OURS.with(Cell::get)
}

/// Whether this thread is inside a capture right now.
#[inline]
pub(crate) fn is_capturing() -> bool {
    DEPTH.with(Cell::get) > 0
}

/// Held while a record is captured on this thread.
pub(crate) struct Capturing(());

impl Capturing {
    /// Enters a capture, or says no where captures are nested too deep.
    #[inline]
    pub(crate) fn enter() -> Option<Self> {
        DEPTH.with(|depth| {
            let now = depth.get();
            (now < DEEPEST).then(|| {
                depth.set(now + 1);
                Self(())
            })
        })
    }
}

impl Drop for Capturing {
    #[inline]
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}
