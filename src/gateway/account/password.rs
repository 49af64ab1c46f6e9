//! Passwords: Argon2id, checked off the async threads, a few at a time.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// Shortest password taken, characters.
pub const MIN_CHARACTERS: usize = 8;
/// A longer one is refused unseen.
pub const MAX_BYTES: usize = 1_024;

/// Each check takes 19 MiB and a core for some tens of milliseconds.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Why a password is refused. Follows "failed to set the password: ".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("it is shorter than {MIN_CHARACTERS} characters: choose a longer one")]
    TooShort,
    #[error("it is longer than {MAX_BYTES} bytes: choose a shorter one")]
    TooLong,
    #[error("it could not be hashed: {0}")]
    Hash(String),
}

/// The PHC form of a new password, with a salt of its own. Takes some tens of milliseconds.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    if password.chars().count() < MIN_CHARACTERS {
        return Err(PasswordError::TooShort);
    }
    if password.len() > MAX_BYTES {
        return Err(PasswordError::TooLong);
    }
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(hash.to_string())
}

/// As [`hash`], off the async threads.
pub async fn hashed(password: String) -> Result<String, PasswordError> {
    // Closed never.
    let Ok(_permit) = AT_ONCE.acquire().await else { return Err(PasswordError::Hash("the server ends".to_owned())) };
    let done = tokio::task::spawn_blocking(move || hash(&password)).await;
    done.unwrap_or_else(|error| Err(PasswordError::Hash(error.to_string())))
}

/// Whether the password is the one that `hash` is of. Without a hash (no such user) it takes as long and is wrong.
pub async fn matches(password: String, hash: Option<String>) -> bool {
    // Closed never.
    let Ok(_permit) = AT_ONCE.acquire().await else { return false };
    tokio::task::spawn_blocking(move || check(&password, hash.as_deref())).await.unwrap_or(false)
}

fn check(password: &str, hash: Option<&str>) -> bool {
    let argon2 = Argon2::default();
    let right = |hash: &PasswordHash| argon2.verify_password(password.as_bytes(), hash).is_ok();
    match hash.map(PasswordHash::new) {
        Some(Ok(hash)) => right(&hash),
        _ => {
            let mut out = [0; 32];
            // Only for the time that it takes.
            let _ = argon2.hash_password_into(password.as_bytes(), b"nobody's salt", std::hint::black_box(&mut out));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_matches() {
        let hashed = hash("correct horse").unwrap();
        assert!(hashed.starts_with("$argon2id$"), "{hashed}");
        assert!(matches("correct horse".into(), Some(hashed.clone())).await);
        assert!(!matches("correct horse ".into(), Some(hashed)).await);
        assert!(!matches("correct horse".into(), None).await);
        assert!(!matches("x".into(), Some("not a hash".into())).await);
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert_eq!(hash("sieben7"), Err(PasswordError::TooShort));
        assert_eq!(hash(&"x".repeat(2_000)), Err(PasswordError::TooLong));
    }
}
