//! Stands for the [ring](crate::Builder::ring_dir) where there is none: without the feature `crash-proof`, or outside Linux.
//! No value of it exists, so none of its functions is ever called.

use std::path::Path;

use super::heir::{Heir, Inheritance, Lost, Owed};
use crate::frame::{Frame, Severity};
use crate::resource::Resource;

pub(crate) enum Ring {}

#[allow(dead_code, reason = "nothing is ever refused by it")]
pub(crate) enum Shut {
    Full,
    Closed,
}

pub(super) struct Found {
    pub(super) position: u64,
    pub(super) next: u64,
}

impl Ring {
    pub(crate) const IS_THERE: bool = false;

    pub(crate) fn make(_: &Path, _: u128, _: &Resource, _: usize) -> Result<(Self, Option<String>), String> {
        Err("this build has none".into())
    }

    pub(super) fn is_foreign(&self) -> bool {
        match *self {}
    }

    pub(super) fn push(&self, _: &Frame, _: Severity) -> Result<u64, Shut> {
        match *self {}
    }

    pub(super) fn size(&self) -> u64 {
        match *self {}
    }

    pub(super) fn accepted_since(&self, _: u32) -> u32 {
        match *self {}
    }

    pub(super) fn queued(&self) -> u32 {
        match *self {}
    }

    pub(super) fn tail(&self) -> u64 {
        match *self {}
    }

    pub(super) fn drained(&self) -> u64 {
        match *self {}
    }

    pub(super) fn consumed(&self) -> u64 {
        match *self {}
    }

    pub(super) fn last_time(&self) -> i64 {
        match *self {}
    }

    pub(super) fn next(&self, _: u64, _: u64) -> Option<(Found, Frame)> {
        match *self {}
    }

    pub(super) fn number(&self, _: u64, _: i64) {
        match *self {}
    }

    pub(super) fn drained_to(&self, _: u64, _: u32, _: i64) {
        match *self {}
    }

    pub(super) fn release(&self, _: &[Owed], _: u64) {
        match *self {}
    }

    pub(super) fn none_in_memory(&self, _: usize) {
        match *self {}
    }

    pub(super) fn is_in_memory(&self) -> bool {
        match *self {}
    }

    pub(super) fn dir(&self) -> &Path {
        match *self {}
    }

    pub(super) fn close(&self) {
        match *self {}
    }

    pub(super) fn end(&self) {
        match *self {}
    }
}

/// Finds none.
pub(crate) struct Orphans;

impl Orphans {
    pub(crate) fn new(_: &Path) -> Self {
        Self
    }

    pub(crate) fn look(&mut self, _: &[Heir], _: &mut dyn FnMut(Lost)) -> Inheritance {
        Inheritance::default()
    }
}
