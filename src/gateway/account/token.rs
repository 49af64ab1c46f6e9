//! Secrets that stand for a session: 256 random bits, kept nowhere but at the client; tables hold a hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

/// SHA-256 of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

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

    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0).into())
    }

    /// The access token of a refresh token. There is no way back.
    pub fn access(&self) -> Token {
        let mut digest = Sha256::new();
        digest.update(b"andon access");
        digest.update(self.0);
        Token(digest.finalize().into())
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
        assert_ne!(token.hash(), token.access().hash());
        for text in ["", "x", "a b", &"a".repeat(100)] {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }
}
