//! Statements made of integers and hex literals.

use super::super::stamp::{self, StampWriter};
use super::CommitError;
use super::connection::{Expected, Session};
use crate::domain::time::Ms;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Text of a statement in the making.
#[derive(Debug)]
pub(super) struct Sql {
    pub text: Vec<u8>,
    stamps: StampWriter,
}

// === impl Sql ===

impl Sql {
    pub fn new(head: &str) -> Self {
        Self { text: head.as_bytes().to_vec(), stamps: StampWriter::new() }
    }

    /// Words of the statement itself; never a value.
    pub fn words(&mut self, words: &str) -> &mut Self {
        self.text.extend_from_slice(words.as_bytes());
        self
    }

    pub fn int(&mut self, value: impl itoa::Integer) -> &mut Self {
        self.text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        self
    }

    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.text.reserve(value.len() * 2 + 3);
        self.text.extend_from_slice(b"x'");
        self.text.extend(value.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]));
        self.text.push(b'\'');
        self
    }

    pub fn string(&mut self, value: &str) -> &mut Self {
        self.words("_utf8mb4 ").bytes(value.as_bytes())
    }

    pub fn optional_string(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.string(value),
            None => self.words("NULL"),
        }
    }

    /// A time, clamped to what a column holds.
    pub fn time(&mut self, at: Ms) -> &mut Self {
        self.text.push(b'\'');
        self.stamps.write(at.clamp(stamp::FIRST_STORABLE, stamp::LAST_STORABLE - 1), &mut self.text);
        self.text.push(b'\'');
        self
    }
}

/// An `INSERT` of many rows, cut into statements that the server takes.
pub(super) struct Rows<'a> {
    sql: Sql,
    head_len: usize,
    tail: &'a str,
    count: u64,
}

/// No statement is made longer than this where a row allows it: beyond, a longer one is not faster.
const GOOD_LENGTH: usize = 1 << 20;

// === impl Rows ===

impl<'a> Rows<'a> {
    /// `head` up to `VALUES`, `tail` what follows the rows.
    pub fn new(head: &str, tail: &'a str) -> Self {
        Self { sql: Sql::new(head), head_len: head.len(), tail, count: 0 }
    }

    /// Begins a row: write its values, then call [`Rows::end`].
    pub fn begin(&mut self) -> &mut Sql {
        self.sql.words(if self.count == 0 { " (" } else { ", (" })
    }

    /// Puts in line what is there when a row with `bytes` of binary value would make the statement too long for the server.
    pub async fn make_room(&mut self, session: &mut Session, bytes: usize) -> Result<(), CommitError> {
        let too_long = self.sql.text.len() + bytes * 2 + 1024 >= session.max_packet;
        if too_long && self.count > 0 { self.send(session).await } else { Ok(()) }
    }

    /// Ends a row and puts in line what is long enough.
    pub async fn end(&mut self, session: &mut Session) -> Result<(), CommitError> {
        self.sql.words(")");
        self.count += 1;
        if self.sql.text.len() >= GOOD_LENGTH.min(session.max_packet / 4) { self.send(session).await } else { Ok(()) }
    }

    /// Puts the rest in line.
    pub async fn finish(mut self, session: &mut Session) -> Result<(), CommitError> {
        if self.count > 0 { self.send(session).await } else { Ok(()) }
    }

    async fn send(&mut self, session: &mut Session) -> Result<(), CommitError> {
        self.sql.words(self.tail);
        session.later(&self.sql.text, Expected::Success).await?;
        self.sql.text.truncate(self.head_len);
        self.count = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_can_leave_its_literal() {
        let mut sql = Sql::new("SELECT ");
        sql.string("'); DROP TABLE x; -- \\'").words(", ").int(-5).words(", ").time(0);
        let text = String::from_utf8(sql.text).unwrap();
        assert_eq!(
            text,
            "SELECT _utf8mb4 x'27293b2044524f50205441424c4520783b202d2d205c27', -5, '1970-01-01 00:00:00.000'"
        );
    }
}
