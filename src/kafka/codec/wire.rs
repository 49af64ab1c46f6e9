//! The bytes below the records: the Confluent envelope and Avro's primitives.

use super::Undecodable;

/// First byte of the envelope.
const MAGIC: u8 = 0;
/// Magic byte and schema id.
const ENVELOPE: usize = 5;

/// Takes schema id and body apart.
pub fn open(bytes: &[u8]) -> Result<(u32, &[u8]), Undecodable> {
    let Some((envelope, body)) = bytes.split_first_chunk::<ENVELOPE>() else {
        return Err(Undecodable::NoEnvelope);
    };
    let [magic, id @ ..] = *envelope;
    if magic != MAGIC {
        return Err(Undecodable::NoEnvelope);
    }
    Ok((u32::from_be_bytes(id), body))
}

/// Writes magic byte and schema id.
pub fn seal(id: u32, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Reads Avro's primitives off a body, strictly: one way to write a value, nothing left over.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// A zigzag varint of up to ten bytes; a longer way to write the same number is refused.
    #[inline]
    pub fn long(&mut self) -> Result<i64, Undecodable> {
        let mut value = 0u64;
        for (at, &byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte has room for one bit.
            if at == 9 && byte > 1 {
                return Err(Undecodable::BadNumber);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                if byte == 0 && at > 0 {
                    return Err(Undecodable::BadNumber);
                }
                self.rest = &self.rest[at + 1..];
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Undecodable::Truncated)
    }

    /// A long that fits 32 bits.
    #[inline]
    pub fn int(&mut self) -> Result<i32, Undecodable> {
        i32::try_from(self.long()?).map_err(|_| Undecodable::BadNumber)
    }

    /// A long that fits 32 bits and is not negative.
    pub fn unsigned(&mut self) -> Result<u32, Undecodable> {
        u32::try_from(self.long()?).map_err(|_| Undecodable::BadNumber)
    }

    #[inline]
    pub fn float(&mut self) -> Result<f32, Undecodable> {
        self.chunk().map(f32::from_le_bytes)
    }

    pub fn double(&mut self) -> Result<f64, Undecodable> {
        self.chunk().map(f64::from_le_bytes)
    }

    pub fn boolean(&mut self) -> Result<bool, Undecodable> {
        match self.chunk::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Undecodable::BadNumber),
        }
    }

    pub fn text(&mut self) -> Result<&'a str, Undecodable> {
        let length = usize::try_from(self.long()?).map_err(|_| Undecodable::BadNumber)?;
        let Some((text, rest)) = self.rest.split_at_checked(length) else {
            return Err(Undecodable::Truncated);
        };
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| Undecodable::BadText)
    }

    /// A union of null and something, null first.
    #[inline]
    pub fn option<T>(
        &mut self,
        some: impl FnOnce(&mut Self) -> Result<T, Undecodable>,
    ) -> Result<Option<T>, Undecodable> {
        match self.long()? {
            0 => Ok(None),
            1 => some(self).map(Some),
            _ => Err(Undecodable::BadChoice),
        }
    }

    /// An enum: the symbol's place among `symbols`.
    #[inline]
    pub fn symbol<T: Copy>(&mut self, symbols: &[T]) -> Result<T, Undecodable> {
        let place = usize::try_from(self.long()?).map_err(|_| Undecodable::BadChoice)?;
        symbols.get(place).copied().ok_or(Undecodable::BadChoice)
    }

    /// An array: blocks of items, the last one empty. A block's size in bytes, written by some, is of no use here.
    pub fn array<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Undecodable>,
    ) -> Result<Vec<T>, Undecodable> {
        let mut items = Vec::new();
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(items);
            }
            if count < 0 {
                self.long()?;
            }
            for _ in 0..count.unsigned_abs() {
                // Every item of ours is at least a byte, so a count that lies ends here and costs nothing.
                if self.rest.is_empty() {
                    return Err(Undecodable::Truncated);
                }
                items.push(item(self)?);
            }
        }
    }

    /// Nothing may be left.
    #[inline]
    pub fn end(self) -> Result<(), Undecodable> {
        if self.rest.is_empty() { Ok(()) } else { Err(Undecodable::Trailing(self.rest.len())) }
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Undecodable> {
        let (chunk, rest) = self.rest.split_first_chunk::<N>().ok_or(Undecodable::Truncated)?;
        self.rest = rest;
        Ok(*chunk)
    }
}

/// Writes Avro's primitives behind what `out` has.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    #[inline]
    pub fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            self.out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }

    #[inline]
    pub fn int(&mut self, value: i32) {
        self.long(i64::from(value));
    }

    #[inline]
    pub fn float(&mut self, value: f32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub fn double(&mut self, value: f64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub fn boolean(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    pub fn text(&mut self, text: &str) {
        self.long(text.len() as i64);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// A union of null and something, null first.
    #[inline]
    pub fn option<T>(&mut self, value: Option<T>, some: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.long(0),
            Some(value) => {
                self.long(1);
                some(self, value);
            }
        }
    }

    /// An enum: the place of `value` among `symbols`, which has all of them.
    #[inline]
    pub fn symbol<T: PartialEq>(&mut self, symbols: &[T], value: &T) {
        let place = symbols.iter().position(|symbol| symbol == value);
        debug_assert!(place.is_some(), "a symbol is missing from its table");
        self.long(place.unwrap_or(0) as i64);
    }

    /// An array as one block.
    pub fn array<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        if !items.is_empty() {
            self.long(items.len() as i64);
            for one in items {
                item(self, one);
            }
        }
        self.long(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn overlong_and_overflowing_numbers_are_refused() {
        for bytes in
            [&[0x80, 0x00][..], &[0xff, 0x80, 0x00], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]]
        {
            assert_eq!(Reader::new(bytes).long(), Err(Undecodable::BadNumber), "{bytes:?}");
        }
        assert_eq!(Reader::new(&[0x80; 12]).long(), Err(Undecodable::BadNumber));
        assert_eq!(Reader::new(&[0x80; 9]).long(), Err(Undecodable::Truncated));
    }

    #[test]
    fn a_count_that_lies_costs_nothing() {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).long(i64::MAX);
        assert_eq!(Reader::new(&bytes).array(|r| r.long()), Err(Undecodable::Truncated));
        assert_eq!(Reader::new(&bytes).text(), Err(Undecodable::Truncated));
    }

    #[test]
    fn blocks_with_a_size_are_read() {
        // Two blocks: (-2, 2 bytes: 1, 2), (1: 3), end.
        let mut bytes = Vec::new();
        let mut out = Writer::new(&mut bytes);
        for number in [-2, 2, 1, 2, 1, 3, 0] {
            out.long(number);
        }
        assert_eq!(Reader::new(&bytes).array(|r| r.long()), Ok(vec![1, 2, 3]));
    }

    proptest! {
        #[test]
        fn numbers_are_read_back(value in any::<i64>()) {
            let mut bytes = Vec::new();
            Writer::new(&mut bytes).long(value);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.long(), Ok(value));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }
}
