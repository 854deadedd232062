//! The name of the current thread, looked up once.

use std::cell::Cell;
use std::fmt::Write as _;

/// Longer names are cut to this many bytes; Linux itself keeps 15.
const NAME_MAX: usize = 31;

#[derive(Clone, Copy)]
struct Name {
    len: u8,
    bytes: [u8; NAME_MAX],
}

thread_local! {
    // Without a destructor, so that it can be read while the thread is going down.
    static NAME: Cell<Name> = const { Cell::new(Name { len: 0, bytes: [0; NAME_MAX] }) };
}

/// Calls `use_it` with the name of the current thread, or `ThreadId(N)` where it has none.
#[inline]
pub(super) fn with_name<R>(use_it: impl FnOnce(&[u8]) -> R) -> R {
    NAME.with(|cell| {
        let mut name = cell.get();
        if name.len == 0 {
            name = look_up();
            cell.set(name);
        }
        use_it(&name.bytes[..usize::from(name.len)])
    })
}

#[cold]
fn look_up() -> Name {
    let mut name = Name { len: 0, bytes: [0; NAME_MAX] };
    let thread = std::thread::current();
    let _ = match thread.name() {
        Some(text) if !text.is_empty() => name.write_str(text),
        _ => write!(name, "{:?}", thread.id()),
    };
    name
}

impl std::fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let start = usize::from(self.len);
        let text = &text[..text.floor_char_boundary_at(NAME_MAX - start)];
        self.bytes[start..start + text.len()].copy_from_slice(text.as_bytes());
        self.len += u8::try_from(text.len()).unwrap_or(0);
        Ok(())
    }
}

use super::limits::CharBoundary as _;

#[cfg(test)]
mod tests {
    #[test]
    fn a_long_name_is_cut_at_a_character() {
        let name = "ä".repeat(40);
        let seen = std::thread::Builder::new()
            .name(name)
            .spawn(|| super::with_name(|name| String::from_utf8(name.to_vec()).unwrap()))
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(seen, "ä".repeat(15));
    }
}
