//! Named points at which a test may end the process, to see what the next one finds.
//!
//! [`at`] stands where a death matters most: between two writes that belong together. A test arms one point in its own
//! process, `testing::arm_crash`; nothing else can, and no variable does. Without feature `testing`, and in every build
//! without debug assertions, `at` is empty and compiles to nothing.
//!
//! | point | stands |
//! |---|---|
//! | `spool.append` | before a batch is written, and after, before it counts |
//! | `spool.cursor` | before a cursor is written, and after |
//! | `spool.delete` | after the last cursor of a segment is written, before the segment is deleted, and after |
//! | `spool.rotate` | after a new segment has its name, before its head is written, and after |
//! | `spool.adopt` | after an orphan's lock is taken, and after its note of what is lost with it is removed |
//! | `ring.claim` | after room is claimed, before the frame begins |
//! | `ring.write` | after the head of a frame is written, before its bytes are |
//! | `ring.commit` | after a frame is whole, before it counts |
//! | `ring.release` | before what is settled is no more, before its room is empty, and before it is given back |
//! | `lane.settle` | after the store's answer was read, before anything is settled by it |

#[cfg(all(feature = "testing", debug_assertions))]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Armed {
        point: String,
        /// How many times it is still passed.
        left: AtomicU64,
        then: fn(),
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();

    /// The thread that comes by that point for the `nth` time (from 1) calls `then`, which is to end the process.
    ///
    /// Once in a process; what comes later is passed over. Which points there are stands in the source, at `crash::at`.
    pub fn arm_crash(point: &str, nth: u64, then: fn()) {
        let _ = ARMED.set(Armed { point: point.to_owned(), left: AtomicU64::new(nth), then });
    }

    pub(crate) fn at(point: &str) {
        let Some(armed) = ARMED.get().filter(|armed| armed.point == point) else { return };
        // Far below zero before it would come by again.
        if armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            (armed.then)();
        }
    }
}

#[cfg(all(feature = "testing", debug_assertions))]
pub use armed::arm_crash;
#[cfg(all(feature = "testing", debug_assertions))]
pub(crate) use armed::at;

/// Empty in this build.
#[cfg(not(all(feature = "testing", debug_assertions)))]
#[inline(always)]
pub(crate) const fn at(_point: &str) {}

/// Nothing happens: the points are in builds with debug assertions alone.
#[cfg(all(feature = "testing", not(debug_assertions)))]
pub fn arm_crash(_point: &str, _nth: u64, _then: fn()) {}
