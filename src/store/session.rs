//! Sessions and the tokens that stand for them, in the global database. Tables hold hashes only.

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Row};

use super::Store;
use super::account::{Origin, USER_COLUMNS, User, cut, user};
use super::error::{Result, StoreError};
use super::stamp::{ms_of, stamp};
use crate::domain::time::{HOUR_MS, Ms};

/// Sessions that a user has at most: with one more, the one that was used longest ago ends.
const SESSIONS_PER_USER: usize = 3;
/// Used refresh tokens are told from invented ones for this long.
const REUSE_KNOWN_MS: Ms = 24 * HOUR_MS;
/// Sessions or keys whose use is noted by one statement.
pub(super) const TOUCHED_AT_ONCE: usize = 1_000;

/// SHA-256 of a token.
pub type Hash = [u8; 32];

/// Hashes of the tokens that a session begins or goes on with.
#[derive(Clone, Copy, Debug)]
pub struct SessionTokens {
    /// Of the cookie's.
    pub session: Hash,
    /// Of the id within the access token.
    pub access: Hash,
    /// Of the refresh token.
    pub refresh: Hash,
}

/// A session that goes on, with its user as of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: i64,
    pub user: User,
    pub last_seen_at: Ms,
    pub token_hash: Hash,
    /// None: of a version that gave no access tokens.
    pub access_hash: Option<Hash>,
}

/// A session as its user may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    pub id: i64,
    pub created_at: Ms,
    pub last_seen_at: Ms,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// It was good; the session has the new tokens.
    Done(Box<SessionRow>),
    /// It had been used before: somebody else has it too. The session has ended.
    Reused {
        session_id: i64,
    },
    Unknown,
}

/// Which session.
#[derive(Clone, Copy, Debug)]
pub enum SessionBy {
    Token(Hash),
    Id(i64),
}

pub(super) fn hash(bytes: Vec<u8>) -> Result<Hash> {
    let problem =
        || StoreError::Corrupt { table: "session".to_owned(), problem: "a hash is not of 32 bytes".to_owned() };
    bytes.try_into().map_err(|_| problem())
}

fn session(row: &MySqlRow) -> Result<SessionRow> {
    let access: Option<Vec<u8>> = row.try_get(10)?;
    Ok(SessionRow {
        user: user(row)?,
        id: row.try_get(7)?,
        last_seen_at: row.try_get(8)?,
        token_hash: hash(row.try_get(9)?)?,
        access_hash: access.map(hash).transpose()?,
    })
}

/// Up to its conditions.
fn select_live() -> String {
    format!(
        "SELECT {USER_COLUMNS}, s.session_id, {}, s.token_hash, s.access_hash
         FROM session s JOIN user u ON u.user_id = s.user_id LEFT JOIN tenant t ON t.tenant_id = u.tenant_id
         WHERE s.revoked_at IS NULL AND u.is_active AND (t.is_active OR u.tenant_id IS NULL)",
        ms_of("s.last_seen_at")
    )
}

/// `?, ?, …`: one for each of `count` values to bind.
pub(super) fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

async fn find(connection: &mut MySqlConnection, by: SessionBy, since: Ms) -> Result<Option<SessionRow>> {
    let condition = match by {
        SessionBy::Token(_) => "s.token_hash = ?",
        SessionBy::Id(_) => "s.session_id = ?",
    };
    let sql = format!("{} AND {condition} AND s.last_seen_at >= ?", select_live());
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = match by {
        SessionBy::Token(hash) => query.bind(hash.to_vec()),
        SessionBy::Id(id) => query.bind(id),
    };
    let row = query.bind(stamp(since)).fetch_optional(connection).await?;
    row.as_ref().map(session).transpose()
}

async fn end(connection: &mut MySqlConnection, id: i64, at: &str) -> Result<()> {
    sqlx::query(
        "UPDATE session s LEFT JOIN user_login l ON l.login_id = s.login_id
         SET s.revoked_at = ?, l.logout_at = ? WHERE s.session_id = ? AND s.revoked_at IS NULL",
    )
    .bind(at)
    .bind(at)
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    /// Begins a session and ends the user's oldest ones beyond the limit; answers its number and those of the ended.
    pub async fn open_session(
        &self,
        user_id: i32,
        tokens: &SessionTokens,
        login_id: i64,
        now: Ms,
        from: Origin<'_>,
    ) -> Result<(i64, Vec<i64>)> {
        let at = stamp(now);
        let mut transaction = self.pool.begin().await?;
        // The user's row is the lock: two logins at once must not both find room.
        sqlx::query("UPDATE user SET last_login_at = ? WHERE user_id = ?")
            .bind(&at)
            .bind(user_id)
            .execute(&mut *transaction)
            .await?;
        let done = sqlx::query(
            "INSERT INTO session (token_hash, access_hash, user_id, login_id, created_at, last_seen_at, ip_address,
                 user_agent)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(tokens.session.as_slice())
        .bind(tokens.access.as_slice())
        .bind(user_id)
        .bind(login_id)
        .bind(&at)
        .bind(&at)
        .bind(cut(from.ip_address, 45))
        .bind(cut(from.user_agent, 255))
        .execute(&mut *transaction)
        .await?;
        let opened = done.last_insert_id() as i64;
        insert_refresh(&mut transaction, &tokens.refresh, opened, &at).await?;
        let others: Vec<i64> = sqlx::query_scalar(
            "SELECT session_id FROM session WHERE user_id = ? AND revoked_at IS NULL AND session_id <> ?
             ORDER BY last_seen_at DESC, session_id DESC",
        )
        .bind(user_id)
        .bind(opened)
        .fetch_all(&mut *transaction)
        .await?;
        let ended: Vec<i64> = others.into_iter().skip(SESSIONS_PER_USER - 1).collect();
        for session in &ended {
            sqlx::query("UPDATE session SET revoked_at = ? WHERE session_id = ?")
                .bind(&at)
                .bind(session)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query(
            "DELETE r FROM refresh_token r JOIN session s ON s.session_id = r.session_id
             WHERE s.user_id = ? AND (s.revoked_at < ? OR s.last_seen_at < ?)",
        )
        .bind(user_id)
        .bind(stamp(now - REUSE_KNOWN_MS))
        .bind(stamp(now - REUSE_KNOWN_MS))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok((opened, ended))
    }

    /// A session that was used at or after `since`, with its user if that is still active.
    pub async fn session(&self, by: SessionBy, since: Ms) -> Result<Option<SessionRow>> {
        find(&mut *self.pool.acquire().await?, by, since).await
    }

    /// The sessions that were used at or after `since`, with their users if those are still active: `limit` of them,
    /// the latest used first.
    pub async fn live_sessions(&self, since: Ms, limit: u32) -> Result<Vec<SessionRow>> {
        let sql = format!("{} AND s.last_seen_at >= ? ORDER BY s.last_seen_at DESC LIMIT ?", select_live());
        let query = sqlx::query(AssertSqlSafe(sql)).bind(stamp(since)).bind(limit);
        query.fetch_all(&self.pool).await?.iter().map(session).collect()
    }

    /// Notes that sessions were used.
    pub async fn touch_sessions(&self, ids: &[i64], now: Ms) -> Result<()> {
        for ids in ids.chunks(TOUCHED_AT_ONCE) {
            let sql = format!(
                "UPDATE session SET last_seen_at = ? WHERE last_seen_at < ? AND session_id IN ({})",
                marks(ids.len())
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(stamp(now)).bind(stamp(now));
            ids.iter().fold(query, |query, id| query.bind(*id)).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Takes a refresh token for new ones. One that was used before ends its session: of the two that have it, one
    /// has stolen it.
    pub async fn rotate_session(
        &self,
        refresh: &Hash,
        access: &Hash,
        next: &Hash,
        now: Ms,
        since: Ms,
    ) -> Result<Rotated> {
        let at = stamp(now);
        let mut transaction = self.pool.begin().await?;
        let known: Option<(i64, bool)> =
            sqlx::query_as("SELECT session_id, used_at IS NOT NULL FROM refresh_token WHERE token_hash = ? FOR UPDATE")
                .bind(refresh.as_slice())
                .fetch_optional(&mut *transaction)
                .await?;
        let Some((session_id, is_used)) = known else { return Ok(Rotated::Unknown) };
        if is_used {
            end(&mut transaction, session_id, &at).await?;
            changed(&mut transaction).await?;
            transaction.commit().await?;
            return Ok(Rotated::Reused { session_id });
        }
        if find(&mut transaction, SessionBy::Id(session_id), since).await?.is_none() {
            return Ok(Rotated::Unknown);
        }
        sqlx::query("UPDATE refresh_token SET used_at = ? WHERE token_hash = ?")
            .bind(&at)
            .bind(refresh.as_slice())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM refresh_token WHERE session_id = ? AND used_at < ?")
            .bind(session_id)
            .bind(stamp(now - REUSE_KNOWN_MS))
            .execute(&mut *transaction)
            .await?;
        insert_refresh(&mut transaction, next, session_id, &at).await?;
        sqlx::query("UPDATE session SET access_hash = ?, last_seen_at = ? WHERE session_id = ?")
            .bind(access.as_slice())
            .bind(&at)
            .bind(session_id)
            .execute(&mut *transaction)
            .await?;
        let row = find(&mut transaction, SessionBy::Id(session_id), since).await?;
        transaction.commit().await?;
        Ok(row.map_or(Rotated::Unknown, |row| Rotated::Done(Box::new(row))))
    }

    /// A user's sessions that were used at or after `since`, the latest used first.
    pub async fn sessions(&self, user_id: i32, since: Ms) -> Result<Vec<SessionInfo>> {
        let sql = format!(
            "SELECT session_id, {}, {}, ip_address, user_agent FROM session
             WHERE user_id = ? AND revoked_at IS NULL AND last_seen_at >= ?
             ORDER BY last_seen_at DESC, session_id DESC",
            ms_of("created_at"),
            ms_of("last_seen_at")
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(user_id).bind(stamp(since));
        let rows = query.fetch_all(&self.pool).await?;
        let info = |row: &MySqlRow| {
            Ok(SessionInfo {
                id: row.try_get(0)?,
                created_at: row.try_get(1)?,
                last_seen_at: row.try_get(2)?,
                ip_address: row.try_get(3)?,
                user_agent: row.try_get(4)?,
            })
        };
        rows.iter().map(info).collect()
    }

    /// Ends a user's sessions: the one of that number, or all but `spared`; answers which ended. Each is noted at the
    /// login that began it.
    pub async fn end_sessions(
        &self,
        user_id: i32,
        only: Option<i64>,
        spared: Option<i64>,
        now: Ms,
    ) -> Result<Vec<i64>> {
        let at = stamp(now);
        let mut transaction = self.pool.begin().await?;
        let ended = end_all(&mut transaction, user_id, only, spared, &at).await?;
        changed(&mut transaction).await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// Counts changes of rights and ends of sessions: another number than before means that something changed.
    pub async fn rights_epoch(&self) -> Result<i64> {
        let epoch: Option<i64> =
            sqlx::query_scalar("SELECT epoch FROM rights_epoch WHERE id = 1").fetch_optional(&self.pool).await?;
        Ok(epoch.unwrap_or(0))
    }
}

async fn insert_refresh(connection: &mut MySqlConnection, refresh: &Hash, session_id: i64, at: &str) -> Result<()> {
    sqlx::query("INSERT INTO refresh_token (token_hash, session_id, created_at) VALUES (?, ?, ?)")
        .bind(refresh.as_slice())
        .bind(session_id)
        .bind(at)
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends sessions of a user within a transaction; see [`Store::end_sessions`].
pub(super) async fn end_all(
    connection: &mut MySqlConnection,
    user_id: i32,
    only: Option<i64>,
    spared: Option<i64>,
    at: &str,
) -> Result<Vec<i64>> {
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT session_id FROM session WHERE user_id = ? AND revoked_at IS NULL FOR UPDATE")
            .bind(user_id)
            .fetch_all(&mut *connection)
            .await?;
    let is_meant = |id: &i64| only.is_none_or(|only| only == *id) && spared != Some(*id);
    let ended: Vec<i64> = ids.into_iter().filter(is_meant).collect();
    for id in &ended {
        end(connection, *id, at).await?;
    }
    Ok(ended)
}

/// Lets every gateway know that rights have changed.
pub(super) async fn changed(connection: &mut MySqlConnection) -> Result<()> {
    sqlx::query("UPDATE rights_epoch SET epoch = epoch + 1 WHERE id = 1").execute(connection).await?;
    Ok(())
}
