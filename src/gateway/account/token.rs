//! Secrets that stand for a session or a key: 256 random bits, kept nowhere but at the client; tables hold a hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::access::AccessToken;

/// A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

/// What an API key begins with, so that one that got into a log or a repository is found there.
const KEY_PREFIX: &str = "andon_";

/// What a request brings to say whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A session's own token, of its cookie.
    Session(Token),
    Access(AccessToken),
    Key(Token),
}

/// SHA-256 of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

// === impl Credential ===

impl Credential {
    /// Reads what follows `Bearer`.
    pub fn parse(text: &str) -> Option<Credential> {
        if let Some(key) = text.strip_prefix(KEY_PREFIX) {
            return Token::parse(key).map(Credential::Key);
        }
        match AccessToken::parse(text) {
            Some(access) => Some(Credential::Access(access)),
            None => Token::parse(text).map(Credential::Session),
        }
    }
}

// === impl Token ===

impl Token {
    #[expect(clippy::new_without_default, reason = "a default that is random would surprise")]
    pub fn new() -> Token {
        Token(rand::random())
    }

    /// Reads what [`Token::text`] wrote.
    pub fn parse(text: &str) -> Option<Token> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Token(bytes.try_into().ok()?))
    }

    /// For a header, a cookie or a query.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// As the text of an API key.
    pub fn key_text(&self) -> String {
        format!("{KEY_PREFIX}{}", self.text())
    }

    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back_and_not_shown() {
        let token = Token::new();
        assert_eq!(Token::parse(&token.text()), Some(token.clone()));
        assert_eq!(token.text().len(), 43);
        assert!(!format!("{token:?}").contains(&token.text()));
        for text in ["", "x", "a b", &"a".repeat(100)] {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }
}
