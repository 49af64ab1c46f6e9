//! Users and sessions: who a request is from.
//!
//! A session is a row of the global database, found by its token's hash. Each gateway remembers those it has seen and
//! asks for them again every few seconds, so that an end elsewhere is noticed, and a short absence of the database
//! is not.

pub mod limit;
pub mod password;
pub mod token;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio_util::sync::CancellationToken;

use self::token::{Token, TokenHash};
use super::clock::now;
use super::problem::Problem;
use super::rights::{Identity, Permissions, UserRole};
use crate::domain::time::{MINUTE_MS, Ms};
use crate::store::account::{Origin, SessionRow, User};
use crate::store::{Store, StoreError};

/// A session is asked for again after this long.
const RECHECK: Duration = Duration::from_secs(10);
/// How long a session that cannot be asked for is believed.
const BELIEVED: Duration = Duration::from_secs(300);
/// Its use is noted at most this often.
const TOUCH_MS: Ms = MINUTE_MS;
/// Sessions remembered; beyond that those that were not used lately are forgotten.
const MAX_REMEMBERED: usize = 100_000;

/// The sessions that this gateway has seen.
#[derive(Debug)]
pub struct Accounts {
    idle_ms: Ms,
    remembered: DashMap<TokenHash, Remembered>,
}

#[derive(Debug)]
struct Remembered {
    identity: Identity,
    /// The row as read: anything else than the same row again is a change of rights.
    row: SessionRow,
    checked: Instant,
}

/// What a login gives.
#[derive(Debug)]
pub struct Opened {
    pub identity: Identity,
    /// Good for new tokens.
    pub refresh: Token,
}

// === impl Accounts ===

impl Accounts {
    /// Sessions end after `idle` without use.
    pub fn new(idle: Duration) -> Accounts {
        Accounts { idle_ms: idle.as_millis() as Ms, remembered: DashMap::new() }
    }

    /// How long an unused session lasts, seconds.
    pub fn expires_in_s(&self) -> i64 {
        self.idle_ms / 1000
    }

    /// Begins a session for a user whose password was right.
    pub async fn open(&self, store: &Store, user: User, login_id: i64, from: Origin<'_>) -> Result<Opened, StoreError> {
        let refresh = Token::new();
        let hash = refresh.access().hash();
        let at = now();
        let (id, ended) = store.open_session(user.id, &hash.0, login_id, at, from).await?;
        for one in self.remembered.iter().filter(|one| ended.contains(&one.row.id)) {
            one.identity.ended.cancel();
        }
        self.remembered.retain(|_, one| !ended.contains(&one.row.id));
        let row = SessionRow { id, user, last_seen_at: at };
        Ok(Opened { identity: self.remember(hash, row), refresh })
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// 401 for what is no session's token; 503 when that cannot be told.
    pub async fn identify(&self, store: Option<&Arc<Store>>, token: &Token) -> Result<Identity, Problem> {
        self.look_up(store, token.hash()).await
    }

    async fn look_up(&self, store: Option<&Arc<Store>>, hash: TokenHash) -> Result<Identity, Problem> {
        let at = now();
        let known = self.remembered.get(&hash).map(|one| (one.identity.clone(), one.checked));
        if let Some((identity, checked)) = &known
            && checked.elapsed() < RECHECK
        {
            return Ok(identity.clone());
        }
        let found = match store {
            Some(store) => store.session(&hash.0, at - self.idle_ms).await,
            None => Err(StoreError::Transient("not connected yet".to_owned())),
        };
        match found {
            Ok(Some(row)) => {
                let touched_at = row.last_seen_at;
                let id = row.id;
                let identity = self.remember(hash, row);
                if at - touched_at >= TOUCH_MS
                    && let Some(store) = store
                    && let Err(error) = store.touch_session(id, at).await
                {
                    tracing::warn!(%error, "use of a session could not be noted");
                }
                Ok(identity)
            }
            Ok(None) => {
                self.forget(&hash);
                Err(Problem::unauthorised())
            }
            Err(error) => match known {
                Some((identity, checked)) if checked.elapsed() < BELIEVED => Ok(identity),
                _ => Err(Problem::database(error)),
            },
        }
    }

    /// A session as if it had been read just now.
    #[cfg(test)]
    pub fn plant(&self, token: &Token, user: User) -> Identity {
        self.remember(token.hash(), SessionRow { id: 1, user, last_seen_at: now() })
    }

    /// Keeps the identity that others hold already while the user's rights are the same.
    fn remember(&self, hash: TokenHash, row: SessionRow) -> Identity {
        if self.remembered.len() > MAX_REMEMBERED {
            self.remembered.retain(|_, one| one.checked.elapsed() < BELIEVED);
        }
        match self.remembered.entry(hash) {
            dashmap::Entry::Occupied(mut known) => {
                let one = known.get_mut();
                if one.row.user != row.user {
                    one.identity.ended.cancel();
                    one.identity = identity(hash, &row);
                }
                one.row = row;
                one.checked = Instant::now();
                one.identity.clone()
            }
            dashmap::Entry::Vacant(place) => {
                let identity = identity(hash, &row);
                place.insert(Remembered { identity: identity.clone(), row, checked: Instant::now() });
                identity
            }
        }
    }

    fn forget(&self, hash: &TokenHash) {
        if let Some((_, one)) = self.remembered.remove(hash) {
            one.identity.ended.cancel();
        }
    }

    /// Whether a session that a live connection was opened with goes on. It counts as use of the session.
    pub async fn still_holds(&self, store: Option<&Arc<Store>>, identity: &Identity) -> bool {
        if identity.ended.is_cancelled() {
            return false;
        }
        match self.look_up(store, identity.token).await {
            Ok(now) => !identity.ended.is_cancelled() && now.session_id == identity.session_id,
            Err(problem) => problem.temporary,
        }
    }

    /// Whether there still is a session, be it with other rights.
    pub async fn has_session(&self, store: Option<&Arc<Store>>, identity: &Identity) -> bool {
        self.look_up(store, identity.token).await.is_ok()
    }

    /// Ends a session; its live connections close.
    pub async fn close(&self, store: &Store, identity: &Identity) -> Result<(), StoreError> {
        store.end_session(identity.session_id, now()).await?;
        self.forget(&identity.token);
        identity.ended.cancel();
        Ok(())
    }

    /// New tokens for a session, for its refresh token; live connections of the old ones close and come again.
    ///
    /// # Errors
    /// 401 for what is no session's refresh token.
    pub async fn rotate(&self, store: &Arc<Store>, refresh: &Token) -> Result<Opened, Problem> {
        let before = refresh.access().hash();
        let identity = self.look_up(Some(store), before).await?;
        let next = Token::new();
        let hash = next.access().hash();
        let rotated = store.rotate_session(identity.session_id, &before.0, &hash.0, now()).await;
        if !rotated.map_err(Problem::database)? {
            return Err(Problem::unauthorised());
        }
        self.forget(&before);
        let identity = self.look_up(Some(store), hash).await?;
        Ok(Opened { identity, refresh: next })
    }
}

/// What a row says; a role or permissions that this version does not know give no right at all.
fn identity(token: TokenHash, row: &SessionRow) -> Identity {
    let nothing = || Permissions { lines: Some(BTreeSet::new()) };
    let known = UserRole::parse(&row.user.role);
    let permissions = match &row.user.permissions {
        None => Permissions::default(),
        Some(json) => serde_json::from_str(json).unwrap_or_else(|_| nothing()),
    };
    Identity {
        session_id: row.id,
        user_id: row.user.id,
        username: row.user.username.clone(),
        role: known.unwrap_or(UserRole::Viewer),
        tenant: row.user.tenant.clone(),
        permissions: if known.is_some() { permissions } else { nothing() },
        locale: row.user.locale.clone(),
        token,
        ended: CancellationToken::new(),
    }
}
