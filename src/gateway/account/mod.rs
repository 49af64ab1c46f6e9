//! Users, sessions and API keys: who a request is from.
//!
//! A session or a key is a row of the global database, found by the hash of a token. Each gateway knows those that hold:
//! it reads all of them when it starts and every few seconds ([`follow`]), so that an end elsewhere is noticed, a short
//! absence of the database is not, and a thousand sockets that come back at once cost the database nothing. Only
//! whom it does not know yet is asked for, once however many requests bring the same token.

pub mod access;
pub mod follow;
pub mod limit;
pub mod password;
pub mod token;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::access::{ACCESS_FOR_S, AccessToken};
use self::token::{Credential, Token, TokenHash};
use super::clock::now;
use super::problem::Problem;
use super::rights::{Identity, KeyPermissions, Permissions, Principal, UserRole};
use crate::domain::time::{MINUTE_MS, Ms};
use crate::store::account::{Origin, User};
use crate::store::session::{Rotated, SessionBy, SessionRow, SessionTokens};
use crate::store::users::KeyRow;
use crate::store::{Store, StoreError};

/// How long a session that could not be asked for again is believed.
const BELIEVED: Duration = Duration::from_secs(300);
/// Its use is noted at most this often, or four times within the time after which it ends without.
const TOUCH_MS: Ms = MINUTE_MS;
/// Questions to the database about tokens that are not known, at a time: the same token is asked for once.
const QUESTIONS: usize = 64;
/// Sessions remembered; beyond that those that were not used lately are forgotten.
const MAX_REMEMBERED: usize = 100_000;

/// The sessions and keys that this gateway has seen.
#[derive(Debug)]
pub struct Accounts {
    idle_ms: Ms,
    remembered: DashMap<Principal, Remembered>,
    /// Whose hashes these are.
    hashes: DashMap<TokenHash, Principal>,
    /// The count of changes of rights that is known of here; below zero: none yet.
    epoch: AtomicI64,
    /// Counts what changed here while everything may be being read.
    changes: AtomicU64,
    /// When everything was read last.
    read_at: parking_lot::Mutex<Option<Instant>>,
    questions: Vec<Mutex<()>>,
}

#[derive(Debug)]
struct Remembered {
    identity: Identity,
    /// As read: anything else than the same rights again ends the identity.
    row: Row,
    /// None: has to be asked for before it is believed again.
    checked: Option<Instant>,
    /// When it was used here last; 0: not yet.
    used_at: AtomicI64,
}

#[derive(Clone, Debug)]
enum Row {
    Session(SessionRow),
    Key(KeyRow),
}

/// What a login gives.
#[derive(Debug)]
pub struct Opened {
    pub identity: Identity,
    /// The session's own, for the cookie; none when it has one already.
    pub session: Option<Token>,
    /// A JWT.
    pub access: String,
    /// Good once, for new tokens.
    pub refresh: Token,
}

/// Why a refresh token brought nothing.
#[derive(Debug)]
pub enum NoRefresh {
    Refused(Problem),
    /// It was used twice; whose it was, where that is known here.
    Reused(Option<Identity>),
}

/// What somebody is looked up by.
#[derive(Clone, Copy, Debug)]
enum By {
    Session(TokenHash),
    Key(TokenHash),
    Principal(Principal),
}

// === impl By ===

impl By {
    /// The same for the same.
    fn place(self) -> usize {
        match self {
            By::Session(TokenHash(hash)) | By::Key(TokenHash(hash)) => usize::from(hash[0]),
            By::Principal(Principal::Session(id)) => id as usize,
            By::Principal(Principal::Key(id)) => id as usize,
        }
    }
}

// === impl Remembered ===

impl Remembered {
    /// Here or elsewhere, as far as it is known.
    fn last_used(&self) -> Ms {
        self.row.used_at().unwrap_or(0).max(self.used_at.load(Ordering::Relaxed))
    }
}

// === impl Row ===

impl Row {
    fn principal(&self) -> Principal {
        match self {
            Row::Session(row) => Principal::Session(row.id),
            Row::Key(row) => Principal::Key(row.id),
        }
    }

    fn has_rights_of(&self, other: &Row) -> bool {
        match (self, other) {
            (Row::Session(one), Row::Session(two)) => one.user == two.user,
            (Row::Key(one), Row::Key(two)) => (&one.tenant, &one.permissions) == (&two.tenant, &two.permissions),
            _ => false,
        }
    }

    fn used_at(&self) -> Option<Ms> {
        match self {
            Row::Session(row) => Some(row.last_seen_at),
            Row::Key(row) => row.last_used_at,
        }
    }
}

// === impl Accounts ===

impl Accounts {
    /// Sessions end after `idle` without use.
    pub fn new(idle: Duration) -> Accounts {
        Accounts {
            idle_ms: idle.as_millis() as Ms,
            remembered: DashMap::new(),
            hashes: DashMap::new(),
            epoch: AtomicI64::new(-1),
            changes: AtomicU64::new(0),
            read_at: parking_lot::Mutex::default(),
            questions: std::iter::repeat_with(Mutex::default).take(QUESTIONS).collect(),
        }
    }

    /// Sessions that were last used before this have ended.
    pub fn idle_since(&self) -> Ms {
        now() - self.idle_ms
    }

    /// How long an access token is good, seconds.
    pub fn expires_in_s(&self) -> i64 {
        ACCESS_FOR_S
    }

    /// Begins a session for a user whose password was right.
    pub async fn open(&self, store: &Store, user: User, login_id: i64, from: Origin<'_>) -> Result<Opened, StoreError> {
        let (session, access, refresh) = (Token::new(), Token::new(), Token::new());
        let hash = session.hash();
        let tokens = SessionTokens { session: hash.0, access: access.hash().0, refresh: refresh.hash().0 };
        let at = now();
        let (id, ended) = store.open_session(user.id, &tokens, login_id, at, from).await?;
        self.ended(&ended);
        let access_hash = Some(tokens.access);
        let row = SessionRow { id, user, last_seen_at: at, token_hash: hash.0, access_hash };
        let text = access::issue(&row, &access, at);
        Ok(Opened { identity: self.remember(Row::Session(row)), session: Some(session), access: text, refresh })
    }

    /// Whose credential it is.
    ///
    /// # Errors
    /// 401 for what is nobody's; 503 when that cannot be told.
    pub async fn identify(&self, store: Option<&Arc<Store>>, credential: &Credential) -> Result<Identity, Problem> {
        match credential {
            Credential::Session(token) => self.look_up(store, By::Session(token.hash())).await,
            Credential::Key(token) => self.look_up(store, By::Key(token.hash())).await,
            Credential::Access(token) => self.by_access(store, token).await,
        }
    }

    async fn by_access(&self, store: Option<&Arc<Store>>, token: &AccessToken) -> Result<Identity, Problem> {
        let principal = Principal::Session(token.session_id());
        let identity = self.look_up(store, By::Principal(principal)).await?;
        if self.is_current(principal, token) {
            return Ok(identity);
        }
        // It may have been renewed at another gateway.
        self.doubt(principal);
        let identity = self.look_up(store, By::Principal(principal)).await?;
        if self.is_current(principal, token) { Ok(identity) } else { Err(Problem::unauthorised()) }
    }

    fn is_current(&self, principal: Principal, token: &AccessToken) -> bool {
        let known = self.remembered.get(&principal);
        known.is_some_and(|one| matches!(&one.row, Row::Session(row) if token.is_of(row, now())))
    }

    /// Has a session asked for before it is believed again.
    fn doubt(&self, principal: Principal) {
        if let Some(mut one) = self.remembered.get_mut(&principal) {
            one.checked = None;
        }
    }

    async fn look_up(&self, store: Option<&Arc<Store>>, by: By) -> Result<Identity, Problem> {
        let at = now();
        if let Some(identity) = self.known(by, at) {
            return Ok(identity);
        }
        // Whoever waits here finds what the first has asked.
        let _turn = self.questions[by.place() % QUESTIONS].lock().await;
        if let Some(identity) = self.known(by, at) {
            return Ok(identity);
        }
        let found = match store {
            Some(store) => read(store, by, at - self.idle_ms).await,
            None => Err(StoreError::Transient("not connected yet".to_owned())),
        };
        match found {
            Ok(Some(row)) => {
                if let By::Key(hash) = by {
                    self.hashes.insert(hash, row.principal());
                }
                self.note_use(store, &row, at).await;
                Ok(self.remember(row))
            }
            Ok(None) => {
                if let Some(principal) = self.principal(by) {
                    self.forget(principal);
                }
                Err(Problem::unauthorised())
            }
            Err(error) => Err(Problem::database(error)),
        }
    }

    fn principal(&self, by: By) -> Option<Principal> {
        match by {
            By::Principal(principal) => Some(principal),
            By::Session(hash) | By::Key(hash) => self.hashes.get(&hash).map(|principal| *principal),
        }
    }

    /// Who it is, where that is known without asking; it counts as use.
    fn known(&self, by: By, at: Ms) -> Option<Identity> {
        let one = self.remembered.get(&self.principal(by)?)?;
        let is_believed = one.checked.is_some_and(|checked| checked.elapsed() < BELIEVED);
        // One that is idle for too long has ended, though that has not been read yet.
        let is_idle = matches!(one.row, Row::Session(_)) && one.last_used() < at - self.idle_ms;
        if !is_believed || is_idle {
            return None;
        }
        one.used_at.store(at, Ordering::Relaxed);
        Some(one.identity.clone())
    }

    async fn note_use(&self, store: Option<&Arc<Store>>, row: &Row, at: Ms) {
        let is_due = row.used_at().is_none_or(|used_at| at - used_at >= self.touch_ms());
        let Some(store) = store.filter(|_| is_due) else { return };
        let noted = match row.principal() {
            Principal::Session(id) => store.touch_sessions(&[id], at).await,
            Principal::Key(id) => store.touch_keys(&[id], at).await,
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "use of a session or key could not be noted");
        }
    }

    fn touch_ms(&self) -> Ms {
        TOUCH_MS.min(self.idle_ms / 4)
    }

    /// A session as if it had been read just now.
    #[cfg(test)]
    pub fn plant(&self, token: &Token, user: User) -> Identity {
        let known = self.hashes.get(&token.hash()).map(|principal| *principal);
        let id = match known {
            Some(Principal::Session(id)) => id,
            _ => self.remembered.len() as i64 + 1,
        };
        let (token_hash, access_hash) = (token.hash().0, None);
        self.remember(Row::Session(SessionRow { id, user, last_seen_at: now(), token_hash, access_hash }))
    }

    /// A key as if it had been read just now.
    #[cfg(test)]
    pub fn plant_key(&self, token: &Token, row: KeyRow) -> Identity {
        self.hashes.insert(token.hash(), Principal::Key(row.id));
        self.remember(Row::Key(row))
    }

    /// Keeps the identity that others hold already while its rights are the same.
    fn remember(&self, row: Row) -> Identity {
        if self.remembered.len() > MAX_REMEMBERED {
            let is_late = |one: &Remembered| one.checked.is_some_and(|checked| checked.elapsed() < BELIEVED);
            self.remembered.retain(|_, one| is_late(one));
            self.hashes.retain(|_, principal| self.remembered.contains_key(principal));
        }
        if let Row::Session(row) = &row {
            self.hashes.insert(TokenHash(row.token_hash), Principal::Session(row.id));
        }
        let checked = Some(Instant::now());
        match self.remembered.entry(row.principal()) {
            dashmap::Entry::Occupied(mut known) => {
                let one = known.get_mut();
                if !one.row.has_rights_of(&row) {
                    one.identity.ended.cancel();
                    one.identity = identity(&row);
                }
                one.row = row;
                one.checked = checked;
                one.identity.clone()
            }
            dashmap::Entry::Vacant(place) => {
                let identity = identity(&row);
                place.insert(Remembered { identity: identity.clone(), row, checked, used_at: AtomicI64::new(0) });
                identity
            }
        }
    }

    fn forget(&self, principal: Principal) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let Some((_, one)) = self.remembered.remove(&principal) else { return };
        one.identity.ended.cancel();
        match one.row {
            Row::Session(row) => drop(self.hashes.remove(&TokenHash(row.token_hash))),
            // There are few, and they are revoked by hand.
            Row::Key(_) => self.hashes.retain(|_, of| *of != principal),
        }
    }

    /// Sessions that were ended in the database: their live connections close.
    pub fn ended(&self, sessions: &[i64]) {
        sessions.iter().for_each(|id| self.forget(Principal::Session(*id)));
    }

    /// A key that was revoked: its live connections close.
    pub fn revoked(&self, key: i32) {
        self.forget(Principal::Key(key));
    }

    /// A user whose rights were changed: its sessions are asked for now, and those live connections that have lost
    /// rights close.
    pub async fn changed(&self, store: &Arc<Store>, user_id: i32) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let meant = self.remembered.iter().filter(|one| one.identity.user_id == user_id);
        let principals: Vec<Principal> = meant.map(|one| *one.key()).collect();
        for principal in principals {
            self.doubt(principal);
            // Whoever is not there any more is forgotten by that; whoever cannot be asked for is not believed.
            let _ = self.look_up(Some(store), By::Principal(principal)).await;
        }
    }

    /// Whether what a live connection was opened with goes on. It counts as use of the session.
    pub async fn still_holds(&self, store: Option<&Arc<Store>>, identity: &Identity) -> bool {
        if identity.ended.is_cancelled() {
            return false;
        }
        match self.look_up(store, By::Principal(identity.principal)).await {
            Ok(_) => !identity.ended.is_cancelled(),
            Err(problem) => problem.temporary,
        }
    }

    /// Whether there still is a session or key, be it with other rights.
    pub async fn has_session(&self, store: Option<&Arc<Store>>, identity: &Identity) -> bool {
        self.look_up(store, By::Principal(identity.principal)).await.is_ok()
    }

    /// New tokens for a session, for its refresh token; the access token before is good no more.
    ///
    /// # Errors
    /// What is no session's refresh token, or was used before: then its session has ended.
    pub async fn rotate(&self, store: &Arc<Store>, refresh: &Token) -> Result<Opened, NoRefresh> {
        let (access, next, at) = (Token::new(), Token::new(), now());
        let hashes = (refresh.hash().0, access.hash().0, next.hash().0);
        let rotated = store.rotate_session(&hashes.0, &hashes.1, &hashes.2, at, at - self.idle_ms).await;
        match rotated.map_err(|error| NoRefresh::Refused(Problem::database(error)))? {
            Rotated::Done(row) => {
                let text = access::issue(&row, &access, at);
                let identity = self.remember(Row::Session(*row));
                Ok(Opened { identity, session: None, access: text, refresh: next })
            }
            Rotated::Reused { session_id } => {
                let known = self.remembered.get(&Principal::Session(session_id)).map(|one| one.identity.clone());
                self.ended(&[session_id]);
                Err(NoRefresh::Reused(known))
            }
            Rotated::Unknown => Err(NoRefresh::Refused(Problem::unauthorised())),
        }
    }
}

async fn read(store: &Store, by: By, since: Ms) -> Result<Option<Row>, StoreError> {
    Ok(match by {
        By::Session(hash) => store.session(SessionBy::Token(hash.0), since).await?.map(Row::Session),
        By::Principal(Principal::Session(id)) => store.session(SessionBy::Id(id), since).await?.map(Row::Session),
        By::Key(hash) => store.key(Some(&hash.0), None).await?.map(Row::Key),
        By::Principal(Principal::Key(id)) => store.key(None, Some(id)).await?.map(Row::Key),
    })
}

/// What a row says; a role, scopes or permissions that this version does not know give no right at all.
fn identity(row: &Row) -> Identity {
    let nothing = || Permissions { lines: Some(BTreeSet::new()) };
    let ended = CancellationToken::new();
    match row {
        Row::Session(row) => {
            let known = UserRole::parse(&row.user.role);
            let permissions = match &row.user.permissions {
                None => Permissions::default(),
                Some(json) => serde_json::from_str(json).unwrap_or_else(|_| nothing()),
            };
            Identity {
                principal: Principal::Session(row.id),
                user_id: row.user.id,
                username: row.user.username.clone(),
                role: known.unwrap_or(UserRole::Viewer),
                scopes: None,
                tenant: row.user.tenant.clone(),
                permissions: if known.is_some() { permissions } else { nothing() },
                locale: row.user.locale.clone(),
                address: None,
                ended,
            }
        }
        Row::Key(row) => {
            let read = row.permissions.as_deref().and_then(|json| serde_json::from_str(json).ok());
            let KeyPermissions { scopes, lines } = read.unwrap_or_default();
            Identity {
                principal: Principal::Key(row.id),
                user_id: -row.id,
                username: row.name.clone(),
                role: UserRole::Viewer,
                scopes: Some(scopes),
                tenant: Some(row.tenant.clone()),
                permissions: Permissions { lines },
                locale: None,
                address: None,
                ended,
            }
        }
    }
}
