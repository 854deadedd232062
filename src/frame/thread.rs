//! The name of the current thread, looked up once.

use std::cell::Cell;

use super::limits::CharBoundary as _;

/// Longer names are cut to this many bytes; Linux itself keeps 15.
const NAME_MAX: usize = 31;

/// The length of a name, and the name.
type Name = [u8; 1 + NAME_MAX];

thread_local! {
    // Without a destructor, so that it can be read while the thread is going down.
    static NAME: Cell<Name> = const { Cell::new([0; 1 + NAME_MAX]) };
}

/// The name of the current thread after its length; `ThreadId(N)` where it has none.
#[inline]
pub(super) fn name() -> Name {
    let name = NAME.get();
    if name[0] == 0 { look_up() } else { name }
}

#[cold]
#[inline(never)]
fn look_up() -> Name {
    let thread = std::thread::current();
    let text = match thread.name() {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => format!("{:?}", thread.id()),
    };
    let text = &text[..text.floor_char_boundary_at(NAME_MAX)];
    let mut name = [0; 1 + NAME_MAX];
    name[0] = text.len() as u8;
    name[1..=text.len()].copy_from_slice(text.as_bytes());
    NAME.set(name);
    name
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_long_name_is_cut_at_a_character() {
        let name = "ä".repeat(40);
        let seen = std::thread::Builder::new()
            .name(name)
            .spawn(|| {
                let name = super::name();
                String::from_utf8(name[1..=usize::from(name[0])].to_vec()).unwrap()
            })
            .unwrap()
            .join()
            .unwrap();
        assert_eq!(seen, "ä".repeat(15));
    }
}
