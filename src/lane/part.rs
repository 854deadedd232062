//! The parts into which a batch falls: which of its records go in one request, and how parts are divided.

use crate::batch::{Mode, Places};

/// Some records of the batch that are sent in one request.
pub(super) enum Part {
    Range(usize, usize),
    List(Vec<usize>),
}

impl Part {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Range(from, to) => to - from,
            Self::List(list) => list.len(),
        }
    }

    /// Where in the batch the record at this place of the part stands.
    pub(super) fn place(&self, at: usize) -> usize {
        match self {
            Self::Range(from, _) => from + at,
            Self::List(list) => list[at],
        }
    }

    pub(super) fn places(&self) -> Places<'_> {
        match self {
            Self::Range(from, to) => Places::Range(*from, *to),
            Self::List(list) => Places::List(list),
        }
    }

    /// What comes behind that place of the part.
    pub(super) fn behind(self, at: usize) -> Self {
        match self {
            Self::Range(from, to) => Self::Range(to.min(from + at + 1), to),
            Self::List(mut list) => Self::List(list.split_off(list.len().min(at + 1))),
        }
    }

    /// The smaller half first: when it is refused two requests follow, when it is not only one.
    pub(super) fn halves(self) -> (Self, Self) {
        match self {
            Self::Range(from, to) => {
                let middle = from + (to - from) / 2;
                (Self::Range(from, middle), Self::Range(middle, to))
            }
            Self::List(mut list) => {
                let second = list.split_off(list.len() / 2);
                (Self::List(list), Self::List(second))
            }
        }
    }
}

pub(super) struct Step {
    pub(super) part: Part,
    /// Half of a part that was refused; the other half lies below it on the stack.
    pub(super) is_first_half: bool,
    /// Certain to hold a record at fault, as the other half was fine: halved without being sent whole.
    pub(super) known_bad: bool,
    pub(super) mode: Mode,
}

impl Step {
    pub(super) fn new(part: Part, mode: Mode) -> Self {
        Self { part, is_first_half: false, known_bad: false, mode }
    }
}
