//! What the tables say of a line at one commit: what its topics have to say too.

use sqlx::{AssertSqlSafe, Row};

use super::checkpoint::{self, Checkpoint};
use super::commit::hours_apart;
use super::error::Result;
use super::read::{shift_columns, shift_record, stop, stop_columns};
use super::stamp::ms_of;
use super::tenant::TenantDb;
use crate::domain::production::changes::ShiftRecord;
use crate::domain::production::stop::Stop;
use crate::domain::time::Ms;

/// The results of a line as of its checkpoint, read in one snapshot.
#[derive(Clone, Debug)]
pub struct Told {
    pub checkpoint: Checkpoint,
    /// Retracted ones included; by start.
    pub stops: Vec<Stop>,
    /// Every revision; by time.
    pub shift_records: Vec<ShiftRecord>,
    /// Commits whose records the outbox still holds, in order.
    pub outbox: Vec<u64>,
    /// Hours whose rows are not the sums of their minutes.
    pub hours_apart: Vec<Ms>,
}

impl TenantDb {
    /// The line's results and the commit that they belong to; none before its first owner.
    pub async fn told(&self, line: &str) -> Result<Option<Told>> {
        let line = self.line(line).await?;
        let mut connection = self.pool.acquire().await?;
        // Of the next transaction only.
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(&mut *connection).await?;
        let mut snapshot =
            sqlx::Connection::begin_with(&mut *connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                .await?;
        let sql = format!("SELECT {} FROM checkpoint WHERE line = ?", checkpoint::COLUMNS);
        let row = sqlx::query(AssertSqlSafe(sql)).bind(line.as_str()).fetch_optional(&mut *snapshot).await?;
        let Some(row) = row else { return Ok(None) };
        let sql = format!("SELECT {} FROM `{}` ORDER BY start_time", stop_columns(), line.stops());
        let stops = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *snapshot).await?;
        let sql = format!("SELECT {} FROM shift_record WHERE line = ? ORDER BY from_time, revision", shift_columns());
        let records = sqlx::query(AssertSqlSafe(sql)).bind(line.as_str()).fetch_all(&mut *snapshot).await?;
        let outbox = sqlx::query("SELECT commit_seq FROM outbox WHERE line = ? ORDER BY commit_seq")
            .bind(line.as_str())
            .fetch_all(&mut *snapshot)
            .await?;
        let sql = format!("SELECT {} FROM ({}) AS apart ORDER BY hour", ms_of("hour"), hours_apart(&line));
        let hours_apart = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *snapshot).await?;
        snapshot.commit().await?;
        Ok(Some(Told {
            checkpoint: checkpoint::read(&row)?,
            stops: stops.iter().map(|row| stop(&line, row)).collect::<Result<_>>()?,
            shift_records: records.iter().map(|row| shift_record(&line, row)).collect::<Result<_>>()?,
            outbox: outbox.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_>>()?,
            hours_apart,
        }))
    }
}
