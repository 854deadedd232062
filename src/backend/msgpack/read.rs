//! Reads what a store says, item by item, whatever it says.

/// One item; of a map or an array its size, the members follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Item<'s> {
    Nil,
    Bool(bool),
    /// A text or bytes: some servers send bytes as texts.
    Text(&'s [u8]),
    Map(u32),
    Array(u32),
    /// A number, or of a type of its own.
    Other,
}

/// Why there is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Lack {
    /// It goes on.
    More,
    /// The byte that no item begins with.
    Invalid,
}

/// Takes an item from the front.
pub(in super::super) fn item<'s>(said: &mut &'s [u8]) -> Result<Item<'s>, Lack> {
    let [code] = *take(said, 1)? else { return Err(Lack::More) };
    Ok(match code {
        0x80..=0x8f => Item::Map(u32::from(code & 15)),
        0x90..=0x9f => Item::Array(u32::from(code & 15)),
        0xa0..=0xbf => Item::Text(take(said, usize::from(code & 31))?),
        0xc0 => Item::Nil,
        0xc1 => return Err(Lack::Invalid),
        0xc2 | 0xc3 => Item::Bool(code == 0xc3),
        0xc4..=0xc6 => Item::Text(counted(said, code - 0xc4)?),
        0xc7..=0xc9 => {
            let len = number(said, code - 0xc7)?;
            skipped(said, (len as usize).saturating_add(1))?
        }
        0xca => skipped(said, 4)?,
        0xcb => skipped(said, 8)?,
        0xcc..=0xcf => skipped(said, 1 << (code - 0xcc))?,
        0xd0..=0xd3 => skipped(said, 1 << (code - 0xd0))?,
        0xd4..=0xd8 => skipped(said, 1 + (1 << (code - 0xd4)))?,
        0xd9..=0xdb => Item::Text(counted(said, code - 0xd9)?),
        0xdc | 0xdd => Item::Array(number(said, code - 0xdb)?),
        0xde | 0xdf => Item::Map(number(said, code - 0xdd)?),
        0x00..=0x7f | 0xe0..=0xff => Item::Other,
    })
}

/// Takes an item with all that is in it.
pub(in super::super) fn skip(said: &mut &[u8]) -> Result<(), Lack> {
    let mut left = 1_u64;
    while left > 0 {
        left += match item(said)? {
            Item::Map(members) => 2 * u64::from(members),
            Item::Array(members) => u64::from(members),
            _ => 0,
        };
        left -= 1;
    }
    Ok(())
}

fn take<'s>(said: &mut &'s [u8], len: usize) -> Result<&'s [u8], Lack> {
    let (taken, rest) = said.split_at_checked(len).ok_or(Lack::More)?;
    *said = rest;
    Ok(taken)
}

/// A number of 1, 2 or 4 bytes, as `size` is 0, 1 or 2.
fn number(said: &mut &[u8], size: u8) -> Result<u32, Lack> {
    Ok(take(said, 1 << size)?.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)))
}

fn counted<'s>(said: &mut &'s [u8], size: u8) -> Result<&'s [u8], Lack> {
    let len = number(said, size)?;
    take(said, len as usize)
}

fn skipped<'s>(said: &mut &[u8], len: usize) -> Result<Item<'s>, Lack> {
    take(said, len).map(|_| Item::Other)
}
