//! stub
mod direct;
mod on_worker;
use crate::backend::{RecordRef, Resource};
pub(crate) use direct::Direct;
pub(crate) use on_worker::WorkerTee;
/// Where the tee goes and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeeTo;
pub(crate) struct Tee;
impl Tee {
    pub(crate) fn new(_: TeeTo) -> Self {
        Self
    }
    pub(crate) fn format(&self, out: &mut Vec<u8>, r: &RecordRef<'_>, _: &Resource) {
        out.extend_from_slice(r.message().as_bytes());
        out.push(b'\n');
    }
    pub(crate) fn write(&self, b: &[u8]) -> std::io::Result<()> {
        use std::io::Write;
        std::io::stderr().write_all(b)
    }
}
