//! What can go wrong with a database, told apart by what the caller can do about it.

use std::fmt::Display;

/// Server errors after which the same work may succeed: the server rolled back, is busy, out of room, starting or
/// leaving.
const TRANSIENT: [u16; 27] = [
    3,    // error writing a file: mostly for want of room
    1021, // disk full
    1026, // error writing a file
    1037, // out of memory
    1040, // too many connections
    1041, // out of resources
    1042, // no host name
    1043, // bad handshake
    1047, // unknown command: a Galera node that is not ready
    1053, // shutdown in progress
    1077, // normal shutdown
    1079, // shutdown complete
    1080, // forcing close
    1114, // the table is full: mostly the disk is
    1152, // aborted connection
    1158, 1159, 1160, 1161, // network
    1184, // aborted connection, new
    1203, // too many connections of this user
    1205, // lock wait timeout
    1206, // lock table full
    1213, // deadlock
    1290, // read-only while the primary moves
    1317, // query interrupted
    1927, // connection was killed
];

/// Why the store could not do something. Follows "failed to …: ".
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server is away, busy or rolled the work back: the same call may succeed later.
    #[error("the database is unavailable: {0}")]
    Transient(String),
    /// The server refused the work and will again.
    #[error("the database refused: {0}")]
    Refused(String),
    #[error("{url}: {problem}: write mysql://user:password@host:port/database")]
    Address { url: String, problem: String },
    #[error("tenant {0:?} does not exist: create it with `andon tenant create` or `andon tenant apply`")]
    UnknownTenant(String),
    #[error("tenant {0:?} is deactivated: activate it with `andon tenant activate`")]
    InactiveTenant(String),
    #[error("{0:?} is no name: use 1 to 48 of a-z, 0-9 and _")]
    Name(String),
    /// The database was upgraded by a newer binary.
    #[error(
        "{database} has migration {found}{scope}, this binary knows up to {known}: use a binary at least as new as the \
         one that upgraded it"
    )]
    Newer { database: String, scope: String, found: u32, known: u32 },
    /// An applied migration is not the one that this binary has under its number.
    #[error("{database} has another migration {version}{scope} than this binary: it was made by a different build")]
    Checksum { database: String, scope: String, version: u32 },
    #[error("{database} is being upgraded by another process for longer than {seconds} s: wait for it or stop it")]
    Locked { database: String, seconds: u32 },
    /// Nothing that a caller gave can be wrong here: a row says what no version of Andon wrote.
    #[error("{table} holds a row that cannot be read: {problem}")]
    Corrupt { table: String, problem: String },
    /// What is asked for contradicts what is stored.
    #[error("{0}")]
    Conflict(String),
    /// Another version of the tenant's file was saved at the same moment.
    #[error("another version of the file was saved at the same moment: do it again")]
    Overtaken,
    #[error("the tenant's file is refused: {0}")]
    Spec(#[from] crate::config::tenant::SpecError),
}

/// `Result` of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

// === impl StoreError ===

impl StoreError {
    /// Whether the same call may succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        matches!(self, StoreError::Transient(_) | StoreError::Locked { .. })
    }

    pub(super) fn corrupt(table: impl Into<String>, problem: impl Display) -> Self {
        StoreError::Corrupt { table: table.into(), problem: problem.to_string() }
    }
}

/// Whether a server's error code says that the same work may succeed later.
pub(super) fn is_transient_code(code: u16) -> bool {
    TRANSIENT.contains(&code)
}

/// Number of a server's error; none for what did not come from a server.
pub(super) fn server_code(error: &sqlx::Error) -> Option<u16> {
    let database = error.as_database_error()?;
    database.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(|error| error.number())
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(code) = server_code(&error) {
            let text = error.to_string();
            return if is_transient_code(code) { StoreError::Transient(text) } else { StoreError::Refused(text) };
        }
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                StoreError::Transient(error.to_string())
            }
            // A connection that breaks in the middle of an answer shows as a broken protocol.
            sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) => StoreError::Transient(error.to_string()),
            _ => StoreError::Refused(error.to_string()),
        }
    }
}

impl From<mysql_async::Error> for StoreError {
    fn from(error: mysql_async::Error) -> Self {
        match &error {
            mysql_async::Error::Server(server) if !is_transient_code(server.code) => {
                StoreError::Refused(error.to_string())
            }
            mysql_async::Error::Url(_) => StoreError::Refused(error.to_string()),
            _ => StoreError::Transient(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_passes_a_wrong_row_does_not() {
        assert!([3, 1021, 1026, 1114].into_iter().all(is_transient_code));
        assert!(![1062, 1146, 1264, 1406].into_iter().any(is_transient_code));
    }
}
