//! Files whose locks tell others that this process lives. A forked child has copies of them, which would keep the locks
//! after the parent's death: nobody could take over what the parent owed until the child ends as well. So a child lets go of
//! them when it builds its own pipeline.

use std::fs::File;
use std::io;
use std::process;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

type Slot = ArcSwapOption<File>;

/// Those that hold a lock, with the process that took it.
static LOCKED: ArcSwapOption<Vec<(u32, Weak<Slot>)>> = ArcSwapOption::const_empty();

/// A file that may hold a lock. Where it was let go of, all that is done with it fails.
pub(crate) struct OwnFile(Arc<Slot>);

impl OwnFile {
    pub(crate) fn new(file: File) -> Self {
        Self(Arc::new(ArcSwapOption::from_pointee(file)))
    }

    pub(crate) fn get(&self) -> io::Result<Arc<File>> {
        self.0.load_full().ok_or_else(|| io::Error::other("it is the parent's"))
    }

    /// It holds a lock now.
    pub(crate) fn is_locked(&self) {
        LOCKED.rcu(|locked| {
            let others = locked.iter().flat_map(|locked| locked.iter());
            let others = others.filter(|(_, slot)| slot.strong_count() > 0).cloned();
            Some(Arc::new(others.chain([(process::id(), Arc::downgrade(&self.0))]).collect::<Vec<_>>()))
        });
    }
}

/// Closes the copies of files that the parent holds locks of. The locks stay the parent's.
pub(crate) fn let_go() {
    let pid = process::id();
    let of_parent = LOCKED.load_full().into_iter().flat_map(|locked| Vec::clone(&locked)).filter(|(of, _)| *of != pid);
    of_parent.filter_map(|(_, slot)| slot.upgrade()).for_each(|slot| slot.store(None));
}
