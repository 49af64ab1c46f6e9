//! Records of `downtime.*` and `oee.*` become changes of boards.

use crate::domain::production::figure::Window;
use crate::domain::time::Ms;
use crate::gateway::hub::{Hub, Told};
use crate::kafka::codec::{Undecodable, decode_figure, decode_stop};
use crate::kafka::schemas::SchemaIds;
use crate::kafka::topics::{self, TopicName};

/// What topics are read: those of all tenants.
pub const PATTERN: &str = r"^(downtime|oee)\.[a-z0-9_]{1,48}\.[a-z0-9_]{1,48}$";

/// A record as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    pub topic: &'a str,
    /// When the broker took it.
    pub timestamp: Ms,
    pub key: Option<&'a [u8]>,
    /// None: a tombstone.
    pub payload: Option<&'a [u8]>,
    pub headers: &'a [(String, Vec<u8>)],
}

/// Why a record changes nothing. Follows "failed to take a record: ".
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Undecodable(#[from] Undecodable),
    #[error("its key is not the name of what it tells")]
    Key,
}

// === impl Incoming ===

impl Incoming<'_> {
    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// When the owner told it; `commit_seq` of the payload where the header is missing.
    fn told(&self, commit_seq: u64) -> Told {
        Told {
            incarnation: self.number("incarnation").unwrap_or(0),
            commit_seq: self.number("commit_seq").unwrap_or(commit_seq),
        }
    }

    fn key(&self) -> Result<&str, Refused> {
        self.key.and_then(|key| std::str::from_utf8(key).ok()).ok_or(Refused::Key)
    }
}

impl Hub {
    /// Takes a record in; [`super::board::Board::wake`] follows once a batch is done.
    ///
    /// # Errors
    /// What is none of ours changes nothing.
    pub fn take(&self, record: &Incoming<'_>, ids: &SchemaIds) -> Result<(), Refused> {
        match topics::parse(record.topic) {
            Some(TopicName::Oee { tenant, line }) => {
                let window = Window::parse(record.key()?).ok_or(Refused::Key)?;
                let Some(payload) = record.payload else {
                    self.board(&tenant).figure_gone(record.told(u64::MAX), &line, window, record.timestamp);
                    return Ok(());
                };
                let told = decode_figure(payload, ids)?;
                if told.figure.line.as_deref() != Some(line.as_str()) || told.figure.window != window {
                    return Err(Refused::Key);
                }
                let when = record.told(told.commit_seq);
                self.board(&tenant).figure(when, &told.figure, told.state, told.watermark, record.timestamp);
            }
            Some(TopicName::Downtime { tenant, line }) => {
                let id = record.key()?;
                let Some(payload) = record.payload else {
                    self.board(&tenant).stop_gone(record.told(u64::MAX), &line, id, record.timestamp);
                    return Ok(());
                };
                let told = decode_stop(payload, ids)?;
                if told.stop.line != line || told.stop.downtime_id != id {
                    return Err(Refused::Key);
                }
                self.board(&tenant).stop(record.told(told.commit_seq), &told.stop, record.timestamp);
            }
            _ => {}
        }
        Ok(())
    }
}
