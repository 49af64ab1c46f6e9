//! The records that a commit publishes, as one blob of its outbox row: written with the commit, read again by
//! whoever takes the line over before they are on the topics.

use crate::kafka::publisher::OutRecord;

const FORM: u8 = 1;

/// An outbox row that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read an outbox row: its bytes are not of form {FORM}; was it written by a newer Andon?")]
pub struct BadOutbox;

/// What one commit publishes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parcel {
    /// Offset of the line's input up to which this commit had read, exclusive; −1: nothing yet.
    pub next_offset: i64,
    pub records: Vec<OutRecord>,
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn take<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], BadOutbox> {
    let length = u32::from_le_bytes(split(input, 4)?.try_into().map_err(|_| BadOutbox)?);
    split(input, length as usize)
}

fn split<'a>(input: &mut &'a [u8], at: usize) -> Result<&'a [u8], BadOutbox> {
    let (head, tail) = input.split_at_checked(at).ok_or(BadOutbox)?;
    *input = tail;
    Ok(head)
}

fn text(bytes: &[u8]) -> Result<String, BadOutbox> {
    String::from_utf8(bytes.to_vec()).map_err(|_| BadOutbox)
}

impl Parcel {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        out.extend_from_slice(&self.next_offset.to_le_bytes());
        for record in &self.records {
            put(&mut out, record.topic.as_bytes());
            put(&mut out, &record.key);
            out.push(u8::from(record.payload.is_some()));
            put(&mut out, record.payload.as_deref().unwrap_or_default());
            out.push(record.headers.len() as u8);
            for (name, value) in &record.headers {
                put(&mut out, name.as_bytes());
                put(&mut out, value);
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Parcel, BadOutbox> {
        let mut rest = bytes;
        if split(&mut rest, 1)? != [FORM] {
            return Err(BadOutbox);
        }
        let next_offset = i64::from_le_bytes(split(&mut rest, 8)?.try_into().map_err(|_| BadOutbox)?);
        let mut records = Vec::new();
        while !rest.is_empty() {
            let topic = text(take(&mut rest)?)?;
            let key = take(&mut rest)?.to_vec();
            let there = split(&mut rest, 1)? == [1];
            let payload = take(&mut rest)?.to_vec();
            let count = split(&mut rest, 1)?[0];
            let mut headers = Vec::with_capacity(count.into());
            for _ in 0..count {
                let name = text(take(&mut rest)?)?;
                headers.push((name, take(&mut rest)?.to_vec()));
            }
            records.push(OutRecord { topic, key, payload: there.then_some(payload), headers });
        }
        Ok(Parcel { next_offset, records })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_survives_the_table() {
        let record = |payload: Option<&[u8]>| OutRecord {
            topic: "downtime.t.l1".into(),
            key: b"l1:0".to_vec(),
            payload: payload.map(<[u8]>::to_vec),
            headers: vec![("commit_seq".into(), b"7".to_vec()), ("line".into(), b"l1".to_vec())],
        };
        let parcel = Parcel { next_offset: 42, records: vec![record(Some(b"x")), record(Some(b"")), record(None)] };
        assert_eq!(Parcel::decode(&parcel.encode()), Ok(parcel));
    }

    #[test]
    fn cut_bytes_are_refused() {
        let record = OutRecord { topic: "t".into(), key: vec![1], payload: Some(vec![2]), headers: vec![] };
        let bytes = Parcel { next_offset: 0, records: vec![record] }.encode();
        for end in (0..bytes.len()).filter(|end| *end != 9) {
            assert_eq!(Parcel::decode(&bytes[..end]), Err(BadOutbox), "cut at {end}");
        }
    }
}
