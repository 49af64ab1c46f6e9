//! The compact form of a minute's six slices: for each slice a mask of its non-zero fields, then the fields.
//!
//! Numbers are zigzag varints (as in Avro). The first byte is the form's version.

use crate::domain::production::sums::{FIELDS, Sums};

const FORM: u8 = 1;

/// A minute's slices could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the slices of a minute: the bytes are not of form {FORM}; was the table written by a newer Andon?")]
pub struct BadSlices;

fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn take(input: &mut &[u8]) -> Result<i64, BadSlices> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first().ok_or(BadSlices)?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(BadSlices)
}

/// The bytes of six slices.
pub fn encode(slices: &[Sums; 6]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.push(FORM);
    for sums in slices {
        let values = sums.to_fields();
        let mask = values.iter().enumerate().filter(|(_, v)| **v != 0).fold(0u32, |mask, (i, _)| mask | 1 << i);
        put(&mut out, i64::from(mask));
        for value in values.into_iter().filter(|v| *v != 0) {
            put(&mut out, value);
        }
    }
    out
}

/// The six slices of bytes that [`encode`] made.
pub fn decode(bytes: &[u8]) -> Result<[Sums; 6], BadSlices> {
    let (form, mut rest) = bytes.split_first().ok_or(BadSlices)?;
    if *form != FORM {
        return Err(BadSlices);
    }
    let mut slices = [Sums::default(); 6];
    for sums in &mut slices {
        let mask = take(&mut rest)?;
        let mut values = [0i64; FIELDS];
        for (index, value) in values.iter_mut().enumerate() {
            if mask & (1 << index) != 0 {
                *value = take(&mut rest)?;
            }
        }
        *sums = Sums::from_fields(values);
    }
    if rest.is_empty() { Ok(slices) } else { Err(BadSlices) }
}
