//! What a text format says of a callsite, escaped once a batch and copied from there on.

use std::ops::Range;

use super::RecordRef;

/// Where in the body the callsites of the last records stand, so that they need not be escaped again.
///
/// It belongs to one body, of which nothing is taken back behind it.
#[derive(Default)]
pub(super) struct Sites([(usize, Range<usize>); 16]);

impl Sites {
    /// Writes what `write` makes of the record's callsite, or the same as before.
    #[inline]
    pub(super) fn write(&mut self, out: &mut Vec<u8>, record: &RecordRef<'_>, write: fn(&mut Vec<u8>, &RecordRef<'_>)) {
        let site = record.callsite().map_or(0, |site| std::ptr::from_ref(site) as usize);
        // Callsites are statics of a hundred bytes or more.
        let (known, place) = &mut self.0[site / 64 % 16];
        if site != 0 && *known == site {
            return out.extend_from_within(place.clone());
        }
        let start = out.len();
        write(out, record);
        (*known, *place) = (site, start..out.len());
    }
}
