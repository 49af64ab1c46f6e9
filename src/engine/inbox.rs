//! Records on their way from the consumer's thread to the shard that owns their line, undecoded and in bulk.

use crate::domain::time::Ms;

/// Records of one topic in log order. Keys and payloads stand one after another in `bytes`, so that a record costs
/// no allocation and a refused one can still be passed on unchanged.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    records: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    offset: i64,
    appended_at: Ms,
    start: u32,
    key: Option<u32>,
    payload: Option<u32>,
}

/// A record of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecord<'a> {
    pub offset: i64,
    /// The broker's timestamp.
    pub appended_at: Ms,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
}

impl Chunk {
    pub fn push(&mut self, record: RawRecord<'_>) {
        let start = self.bytes.len() as u32;
        let mut put = |part: Option<&[u8]>| {
            part.map(|part| {
                self.bytes.extend_from_slice(part);
                part.len() as u32
            })
        };
        let (key, payload) = (put(record.key), put(record.payload));
        self.records.push(Place { offset: record.offset, appended_at: record.appended_at, start, key, payload });
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The records from this index on, as a chunk of their own.
    pub fn rest(&self, from: usize) -> Chunk {
        let mut rest = Chunk::default();
        self.records().skip(from).for_each(|record| rest.push(record));
        rest
    }

    pub fn records(&self) -> impl Iterator<Item = RawRecord<'_>> {
        self.records.iter().map(|place| {
            let key_end = place.start + place.key.unwrap_or(0);
            let end = key_end + place.payload.unwrap_or(0);
            RawRecord {
                offset: place.offset,
                appended_at: place.appended_at,
                key: place.key.map(|_| &self.bytes[place.start as usize..key_end as usize]),
                payload: place.payload.map(|_| &self.bytes[key_end as usize..end as usize]),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_gives_back_what_was_put_in() {
        let given = [
            RawRecord { offset: 3, appended_at: 10, key: None, payload: Some(b"abc") },
            RawRecord { offset: 4, appended_at: 11, key: Some(b"k"), payload: None },
            RawRecord { offset: 7, appended_at: 12, key: Some(b""), payload: Some(b"") },
        ];
        let mut chunk = Chunk::default();
        given.iter().for_each(|record| chunk.push(*record));
        assert_eq!(chunk.records().collect::<Vec<_>>(), given);
        assert_eq!(chunk.rest(1).records().collect::<Vec<_>>(), given[1..]);
    }
}
