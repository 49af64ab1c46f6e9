//! Access tokens for programs: short JWTs (RFC 9068, HS256) that stand for a session.
//!
//! No key is kept for them. Each is signed with a key that follows from the hash of its session's own token, and its
//! `jti` is a secret of which the session holds the hash: with a copy of the database nobody makes a token, with a token
//! nobody makes a longer one, and the end of the session is the end of its tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::token::{Token, TokenHash};
use crate::domain::time::Ms;
use crate::store::session::SessionRow;

/// How long an access token is good, seconds.
pub const ACCESS_FOR_S: i64 = 15 * 60;
/// A longer text is no token.
const MAX_BYTES: usize = 1_024;
/// The one header that is taken: an `alg` of another's choice never is.
const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;
const ISSUER: &str = "andon";

/// What a token says, before anybody has looked whether it is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// Header and claims as they are signed.
    signed: String,
    signature: Vec<u8>,
    claims: Claims,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    iss: String,
    /// The user's number.
    sub: String,
    /// The session's.
    sid: i64,
    /// Text of a [`Token`].
    jti: String,
    iat: i64,
    exp: i64,
}

fn key(session: &[u8; 32]) -> hmac::Key {
    let mut digest = Sha256::new();
    digest.update(b"andon access key");
    digest.update(session);
    hmac::Key::new(hmac::HMAC_SHA256, &digest.finalize())
}

/// A token for a session, good from `now` on.
pub fn issue(row: &SessionRow, id: &Token, now: Ms) -> String {
    let iat = now.div_euclid(1_000);
    let (sub, jti) = (row.user.id.to_string(), id.text());
    let claims = Claims { iss: ISSUER.to_owned(), sub, sid: row.id, jti, iat, exp: iat + ACCESS_FOR_S };
    // A struct of texts and numbers always has a JSON form.
    let claims = serde_json::to_vec(&claims).unwrap_or_default();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&key(&row.token_hash), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

// === impl AccessToken ===

impl AccessToken {
    /// Reads a token's form; whether it is good, [`AccessToken::is_of`] says.
    pub fn parse(text: &str) -> Option<AccessToken> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        if URL_SAFE_NO_PAD.decode(header).ok()? != HEADER.as_bytes() {
            return None;
        }
        let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        Some(AccessToken { signed: signed.to_owned(), signature: URL_SAFE_NO_PAD.decode(signature).ok()?, claims })
    }

    /// The session that it says to be of.
    pub fn session_id(&self) -> i64 {
        self.claims.sid
    }

    /// Whether it is the session's current token, and still good.
    pub fn is_of(&self, row: &SessionRow, now: Ms) -> bool {
        let claims = &self.claims;
        let is_signed = hmac::verify(&key(&row.token_hash), self.signed.as_bytes(), &self.signature).is_ok();
        let id = Token::parse(&claims.jti).map(|id| id.hash());
        is_signed
            && claims.iss == ISSUER
            && claims.sid == row.id
            && claims.sub == row.user.id.to_string()
            && now.div_euclid(1_000) < claims.exp
            && id.is_some()
            && id == row.access_hash.map(TokenHash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::account::User;

    const NOW: Ms = 1_800_000_000_000;

    fn row(id: i64, session: &Token, access: &Token) -> SessionRow {
        let user = User {
            id: 7,
            username: "ana".into(),
            password: String::new(),
            role: "VIEWER".into(),
            tenant: None,
            permissions: None,
            locale: None,
        };
        let (token_hash, access_hash) = (session.hash().0, Some(access.hash().0));
        SessionRow { id, user, last_seen_at: NOW, token_hash, access_hash }
    }

    #[test]
    fn a_token_is_good_for_its_session_and_its_time() {
        let (session, access) = (Token::new(), Token::new());
        let row = row(3, &session, &access);
        let text = issue(&row, &access, NOW);
        let token = AccessToken::parse(&text).unwrap();
        assert_eq!(token.session_id(), 3);
        assert!(token.is_of(&row, NOW));
        assert!(token.is_of(&row, NOW + ACCESS_FOR_S * 1_000 - 1));
        assert!(!token.is_of(&row, NOW + ACCESS_FOR_S * 1_000), "expired");
    }

    #[test]
    fn a_forged_token_is_none() {
        let (session, access) = (Token::new(), Token::new());
        let good = row(3, &session, &access);
        let text = issue(&good, &access, NOW);
        let forged = |text: &str| AccessToken::parse(text).is_none_or(|token| !token.is_of(&good, NOW));
        assert!(!forged(&text));
        // Whoever has a copy of the database has both hashes, and still not the id.
        assert!(forged(&issue(&good, &Token::new(), NOW)));
        // Whoever has a token has not the session's own: a later end cannot be signed.
        assert!(forged(&issue(&row(3, &access, &access), &access, NOW + 1_000_000)));
        assert!(forged(&issue(&row(4, &session, &access), &access, NOW)), "of another session");
        let parts: Vec<&str> = text.split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
        for text in [
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}.{}.{}x", parts[0], parts[1], parts[2]),
            "x".repeat(100_000),
            "..".to_owned(),
        ] {
            assert!(forged(&text), "{text}");
        }
    }
}
