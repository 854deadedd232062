//! JSON text to MessagePack, in one pass: a nested value comes as text in its frame.

use super::{float, signed, text, unsigned};

/// Frames have 16 levels at most.
const DEEPEST: usize = 64;

/// Writes what the text says; what is no JSON is written as the text that it is.
pub(super) fn json(out: &mut Vec<u8>, json: &str) {
    let start = out.len();
    let mut reader = Reader { json, at: 0 };
    let is_whole = reader.value(out, 0).is_some() && {
        reader.skip_blanks();
        reader.at == json.len()
    };
    if !is_whole {
        out.truncate(start);
        if json.is_empty() { out.push(0xc0) } else { text(out, json) }
    }
}

struct Reader<'j> {
    json: &'j str,
    at: usize,
}

impl<'j> Reader<'j> {
    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        self.skip_blanks();
        match self.peek()? {
            b'{' => self.members(out, 0xdf, b'}', |reader, out| {
                reader.string(out)?;
                reader.skip_blanks();
                reader.expect(b':')?;
                reader.value(out, depth + 1)
            }),
            b'[' => self.members(out, 0xdd, b']', |reader, out| reader.value(out, depth + 1)),
            b'"' => self.string(out),
            b't' => self.word("true", 0xc3, out),
            b'f' => self.word("false", 0xc2, out),
            b'n' => self.word("null", 0xc0, out),
            _ => self.number(out),
        }
    }

    /// What stands between two brackets; `head` is the type that has its count in 32 bits.
    fn members(
        &mut self,
        out: &mut Vec<u8>,
        head: u8,
        end: u8,
        mut member: impl FnMut(&mut Self, &mut Vec<u8>) -> Option<()>,
    ) -> Option<()> {
        self.at += 1;
        out.extend_from_slice(&[head, 0, 0, 0, 0]);
        let start = out.len();
        let mut count = 0_u32;
        self.skip_blanks();
        if self.peek()? == end {
            self.at += 1;
        } else {
            loop {
                self.skip_blanks();
                member(self, out)?;
                count += 1;
                self.skip_blanks();
                match self.next()? {
                    b',' => {}
                    byte if byte == end => break,
                    _ => return None,
                }
            }
        }
        out[start - 4..start].copy_from_slice(&count.to_be_bytes());
        Some(())
    }

    fn string(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let start = self.at;
        self.expect(b'"')?;
        let mut is_plain = true;
        loop {
            match self.next()? {
                b'"' => break,
                b'\\' => {
                    is_plain = false;
                    self.next()?;
                }
                _ => {}
            }
        }
        if is_plain {
            text(out, self.json.get(start + 1..self.at - 1)?);
        } else {
            text(out, &serde_json::from_str::<String>(self.json.get(start..self.at)?).ok()?);
        }
        Some(())
    }

    fn number(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
            self.at += 1;
        }
        let digits = self.json.get(start..self.at).filter(|digits| !digits.is_empty())?;
        if let Ok(value) = digits.parse::<u64>() {
            unsigned(out, value);
        } else if let Ok(value) = digits.parse::<i64>()
            && value != 0
        {
            signed(out, value);
        } else {
            let value: f64 = digits.parse().ok()?;
            // More digits than a number holds are kept as they are.
            let is_integer = !digits.contains(['.', 'e', 'E']) && digits != "-0";
            if value.is_finite() && !is_integer { float(out, value) } else { text(out, digits) }
        }
        Some(())
    }

    fn word(&mut self, word: &str, code: u8, out: &mut Vec<u8>) -> Option<()> {
        self.json[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            out.push(code);
        })
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }
}
