//! Frames that leave the process: what they refer to goes with them.
//!
//! A frame of a `tracing` event names its fields by their place in a callsite, which only its own process has. Whoever keeps
//! frames elsewhere keeps each callsite once, as [`write_site`] writes it; [`inline`] then makes of both a frame that needs
//! neither, as the records of `log` are. All that [`RecordRef`](super::RecordRef) tells of it is the same as before.
//!
//! ```text
//! site   whether a name occurs twice u8
//!        target, module, file (length u16, text), line u32      as in an inline frame
//!        names u8, each: 255, length u8, name                   as the keys of an inline frame
//! ```
//!
//! An inlined frame may be longer than any that a program writes. What does not add up reads as far as it can.

use tracing::Metadata;

use super::callsite::repeats_a_name;
use super::limits::{CharBoundary as _, cut_key};
use super::{
    ABSENT, FIELDS_MAX, FLAG_INLINE_CALLSITE, FLAG_MESSAGE_CUT, FLAG_NAMED_KEYS, HEAD, KEY_INLINE, KEY_MAX, tag,
};

/// Writes what frames of that callsite need of it elsewhere.
pub(crate) fn write_site(callsite: &'static Metadata<'static>, out: &mut Vec<u8>) {
    out.push(u8::from(repeats_a_name(callsite)));
    for text in [Some(callsite.target()), callsite.module_path(), callsite.file()] {
        let Some(text) = text else {
            out.extend_from_slice(&ABSENT.to_le_bytes());
            continue;
        };
        let text = &text[..text.floor_char_boundary_at(usize::from(ABSENT) - 1)];
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&callsite.line().unwrap_or(0).to_le_bytes());
    // Those behind have no index that a frame could hold.
    let names = callsite.fields().len().min(usize::from(KEY_INLINE));
    out.push(names as u8);
    let mut shorter = String::new();
    for field in callsite.fields().iter().take(names) {
        let name = match field.name() {
            name if name.len() <= usize::from(u8::MAX) => name,
            name => {
                cut_key(name, KEY_MAX, &mut shorter);
                &shorter
            }
        };
        out.extend_from_slice(&[KEY_INLINE, name.len() as u8]);
        out.extend_from_slice(name.as_bytes());
    }
}

/// A callsite as [`write_site`] wrote it.
pub(crate) struct Site<'a> {
    repeats_a_name: bool,
    /// Target, module, file and line.
    origin: &'a [u8],
    /// Each as it stands in a frame.
    keys: Vec<&'a [u8]>,
}

impl<'a> Site<'a> {
    /// Reads all of these bytes; `None` where they are nothing that [`write_site`] wrote.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&repeats, rest) = bytes.split_first()?;
        let mut at = 0;
        for _ in 0..3 {
            let len = u16::from_le_bytes(*rest.get(at..)?.first_chunk()?);
            at += 2 + if len == ABSENT { 0 } else { usize::from(len) };
        }
        at += 4;
        let origin = rest.get(..at)?;
        let (&names, mut rest) = rest[at..].split_first()?;
        let mut keys = Vec::with_capacity(usize::from(names));
        for _ in 0..names {
            let &[mark, len] = rest.first_chunk()?;
            let (key, behind) = rest.split_at_checked(2 + usize::from(len))?;
            if mark != KEY_INLINE {
                return None;
            }
            keys.push(key);
            rest = behind;
        }
        rest.is_empty().then_some(Self { repeats_a_name: repeats != 0, origin, keys })
    }
}

/// Appends the frame as one that needs no callsite; one that needs none stays as it is.
pub(crate) fn inline(frame: &[u8], site: &Site<'_>, out: &mut Vec<u8>) {
    let mut head = [0; HEAD];
    let known = frame.len().min(HEAD);
    head[..known].copy_from_slice(&frame[..known]);
    if head[9] & FLAG_INLINE_CALLSITE != 0 {
        return out.extend_from_slice(frame);
    }
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
    let (message_at, message_len, spans_at) = (number(12), number(16), number(20));

    out.reserve(frame.len() + site.origin.len() + 16 * site.keys.len());
    let start = out.len();
    out.extend_from_slice(&head);
    let thread_len = frame.get(HEAD).map_or(0, |&len| usize::from(len));
    let thread = frame.get(HEAD + 1..HEAD + 1 + thread_len).unwrap_or_default();
    out.push(thread.len() as u8);
    out.extend_from_slice(thread);
    out.extend_from_slice(site.origin);

    let cut = head[9] & FLAG_MESSAGE_CUT != 0;
    let message = Message { frame, at: message_at, len: message_len, cut };
    let own = &frame[..spans_at.min(frame.len())];
    let mut message_now = put_fields(own, HEAD + 1 + thread_len, &message, site, out, start);
    if message_now.is_none() && (message_at, message_len) != (0, 0) {
        // No frame of ours; the text is there all the same.
        message_now = Some(message.put(out, start));
    }
    let spans_now = out.len() - start;
    out.extend_from_slice(frame.get(spans_at..).unwrap_or_default());

    let flags = if site.repeats_a_name { FLAG_INLINE_CALLSITE | FLAG_NAMED_KEYS } else { FLAG_INLINE_CALLSITE };
    let (message_at, message_len) = message_now.unwrap_or((0, 0));
    let head = &mut out[start..start + HEAD];
    head[9] |= flags;
    head[12..16].copy_from_slice(&(message_at as u32).to_le_bytes());
    head[16..20].copy_from_slice(&(message_len as u32).to_le_bytes());
    head[20..24].copy_from_slice(&(spans_now as u32).to_le_bytes());
}

/// Appends the fields that stand in `own` from `at` on, and the message if it is among them: returns where that is now.
fn put_fields(
    own: &[u8],
    mut at: usize,
    message: &Message<'_>,
    site: &Site<'_>,
    out: &mut Vec<u8>,
    start: usize,
) -> Option<(usize, usize)> {
    let mut message_now = None;
    // Nobody reads more, and bytes that only look like fields shall not grow without bound.
    let mut left = FIELDS_MAX;
    loop {
        if at == message.at && message_now.is_none() && (message.at, message.len) != (0, 0) {
            message_now = Some(message.put(out, start));
            at = at.saturating_add(message.len).saturating_add(if message.cut { size_of::<u64>() } else { 0 });
        }
        let Some(&first) = own.get(at).filter(|_| left > 0) else { return message_now };
        let inline_key = first == KEY_INLINE;
        let tag_at = match own.get(at + 1) {
            Some(&len) if inline_key => at + 2 + usize::from(len),
            _ => at + 1,
        };
        let Some(end) = value_end(own, tag_at) else { return message_now };
        if inline_key {
            out.extend_from_slice(&own[at..end]);
        } else {
            let Some(key) = site.keys.get(usize::from(first)) else { return message_now };
            out.extend_from_slice(key);
            out.extend_from_slice(&own[tag_at..end]);
        }
        (at, left) = (end, left - 1);
    }
}

/// Where the value ends whose tag stands there.
#[inline]
fn value_end(bytes: &[u8], tag_at: usize) -> Option<usize> {
    let tag = *bytes.get(tag_at)?;
    let at = tag_at + 1;
    let end = match tag & !tag::CUT {
        tag::FALSE | tag::TRUE => at,
        tag::I64 | tag::U64 | tag::F64 => at + 8,
        tag::I128 | tag::U128 => at + 16,
        tag::STR | tag::BYTES | tag::JSON | tag::ERROR => {
            let len = u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
            at.checked_add(4)?.checked_add(len as usize)?
        }
        _ => return None,
    };
    let end = end.checked_add(if tag & tag::CUT == 0 { 0 } else { size_of::<u64>() })?;
    (end <= bytes.len()).then_some(end)
}

/// Where the message stands.
struct Message<'a> {
    frame: &'a [u8],
    at: usize,
    len: usize,
    /// Its original length follows it.
    cut: bool,
}

impl Message<'_> {
    /// Appends it; returns its place counted from `start`, and its length.
    fn put(&self, out: &mut Vec<u8>, start: usize) -> (usize, usize) {
        let at = out.len() - start;
        let end = self.at.saturating_add(self.len);
        let text = self.frame.get(self.at..end).unwrap_or_default();
        out.extend_from_slice(text);
        if self.cut {
            let original = self.frame.get(end..).and_then(|rest| rest.first_chunk::<8>());
            out.extend_from_slice(original.unwrap_or(&[0; 8]));
        }
        (at, text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::properties::{random_frame, sites};
    use super::super::tests::read;
    use super::super::{Frame, RecordId, RecordRef};
    use super::*;

    fn site_of(frame: &Frame) -> Vec<u8> {
        let mut site = Vec::new();
        frame.callsite().into_iter().for_each(|callsite| write_site(callsite, &mut site));
        site
    }

    fn inlined(frame: &Frame) -> Vec<u8> {
        let site = site_of(frame);
        let mut out = vec![0xAA; 3];
        inline(frame.bytes(), &Site::read(&site).unwrap(), &mut out);
        out.split_off(3)
    }

    /// All that a record tells.
    fn told(record: &RecordRef<'_>) -> String {
        let mut weighed = Vec::new();
        record.weigh_fields(|key, _| weighed.push(key.to_vec()));
        let (target, module, file, line) = (record.target(), record.module(), record.file(), record.line());
        format!(
            "{target:?} {module:?} {file:?} {line:?} {:?} {:?} {:?} {:?} {} {} {:?} {:?} {weighed:?}",
            record.message(),
            record.message_original_len(),
            record.thread(),
            record.severity(),
            record.fields_left_out(),
            record.is_own(),
            record.spans().collect::<Vec<_>>(),
            record.fields().chain(record.all_fields()).collect::<Vec<_>>(),
        )
    }

    fn alone(bytes: &[u8]) -> RecordRef<'_> {
        RecordRef::new(None, bytes, 7, RecordId { incarnation: 1, sequence: 2 })
    }

    #[test]
    fn an_inlined_frame_tells_the_same() {
        for seed in 0..if cfg!(miri) { 20 } else { 3_000 } {
            let frame = random_frame(&mut fastrand::Rng::with_seed(seed));
            assert!(frame.callsite().is_some());
            let inlined = inlined(&frame);
            assert_eq!(told(&alone(&inlined)), told(&read(&frame)), "seed {seed}");
            assert_eq!(inlined[..9], frame.bytes()[..9], "time and severity");
        }
    }

    #[test]
    fn the_longest_frames_lose_nothing() {
        let long = "é".repeat(super::super::VALUE_MAX);
        for callsite in sites() {
            let frame = Frame::of(super::super::Callsite::Static(callsite), super::super::Severity::Warn, 7, |w| {
                for at in 0..200_usize {
                    w.fields
                        .str(super::super::Key::indexed(at % callsite.fields().len(), || "unused"), &long[..16_000]);
                }
                w.fields.message_str(&long);
                w.span("span", 0, &[]);
            });
            let inlined = inlined(&frame);
            let record = alone(&inlined);
            assert!(record.message_original_len().is_some() && record.fields_left_out() > 0);
            assert_eq!(told(&record), told(&read(&frame)));
        }
    }

    #[test]
    fn an_inline_frame_stays_as_it_is() {
        let callsite = super::super::Callsite::Inline { target: "t", module: None, file: None, line: None };
        let frame = Frame::of(callsite, super::super::Severity::Info, 7, |w| {
            w.fields.message_str("m");
            w.fields.u64(super::super::Key::named("k"), 1);
        });
        let mut site = Vec::new();
        write_site(sites()[0], &mut site);
        let mut out = Vec::new();
        inline(frame.bytes(), &Site::read(&site).unwrap(), &mut out);
        assert_eq!(out, frame.bytes());
    }

    #[test]
    fn a_spoilt_frame_gives_one_that_reads_as_far() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..if cfg!(miri) { 20 } else { 20_000 } {
            let frame = random_frame(&mut random);
            let site = site_of(&frame);
            let mut spoilt = frame.bytes().to_vec();
            for _ in 0..random.u8(1..4) {
                let end = if random.bool() { HEAD + 8 } else { spoilt.len() };
                let at = random.usize(..end);
                spoilt[at] = random.u8(..);
            }
            let kept = random.usize(..=spoilt.len() * 2);
            spoilt.truncate(kept);
            let mut out = Vec::new();
            inline(&spoilt, &Site::read(&site).unwrap(), &mut out);
            assert!(out.len() <= 2 * spoilt.len() + 2 * site.len() * FIELDS_MAX + 2 * HEAD);
            let was = RecordRef::new(frame.callsite(), &spoilt, 7, RecordId { incarnation: 1, sequence: 2 });
            if was.is_own() == alone(&out).is_own() && spoilt.get(9).is_some_and(|f| f & FLAG_INLINE_CALLSITE == 0) {
                assert_eq!(alone(&out).target(), was.target());
                assert_eq!(alone(&out).message(), was.message());
                assert_eq!(alone(&out).thread(), was.thread());
            }
            let _ = told(&alone(&out));
        }
    }

    #[test]
    fn a_site_that_is_cut_or_longer_is_none() {
        for callsite in sites() {
            let mut site = Vec::new();
            write_site(callsite, &mut site);
            assert!((0..site.len()).all(|len| Site::read(&site[..len]).is_none()));
            site.push(0);
            assert!(Site::read(&site).is_none());
        }
    }

    /// `cargo test --release inlining -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn inlining_is_quick() {
        let frames: Vec<_> = (0..2_000)
            .map(|seed| random_frame(&mut fastrand::Rng::with_seed(seed)))
            .map(|f| (site_of(&f), f))
            .collect();
        let sites: Vec<_> = frames.iter().map(|(site, _)| Site::read(site).unwrap()).collect();
        let bytes: usize = frames.iter().map(|(_, frame)| frame.bytes().len()).sum();
        let mut out = Vec::new();
        let begun = std::time::Instant::now();
        for _ in 0..100 {
            out.clear();
            frames.iter().zip(&sites).for_each(|((_, frame), site)| inline(frame.bytes(), site, &mut out));
        }
        let took = begun.elapsed().as_secs_f64();
        eprintln!("{} bytes a frame, {:.0} MB/s", bytes / frames.len(), 100.0 * bytes as f64 / took / 1e6);
    }
}
