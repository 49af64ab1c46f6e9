//! Addresses that may carry a password, shown without it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What stands where a secret would.
pub const MASK: &str = "***";

/// A URL whose password no log line, error or print-out shows. Serialised as it is: it has to survive a file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

// === impl SecretUrl ===

impl SecretUrl {
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole URL, for the driver that connects with it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL with its password, or a user name that stands alone as a token, masked.
    pub fn masked(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            // Not a URL: it could be anything, a bare password too.
            return MASK.to_owned();
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let path = path.split_once('?').map_or_else(|| path.to_owned(), |(path, _)| format!("{path}?{MASK}"));
        // A password may hold an unescaped '/': then the last '@' is the one before the host.
        if !authority.contains('@') && rest.contains('@') {
            let host = rest.rsplit_once('@').map_or("", |(_, host)| host);
            return format!("{scheme}://{MASK}@{host}");
        }
        match authority.rsplit_once('@') {
            None => format!("{scheme}://{authority}{path}"),
            Some((user, host)) => match user.split_once(':') {
                Some((user, _)) => format!("{scheme}://{user}:{MASK}@{host}{path}"),
                None => format!("{scheme}://{user}@{host}{path}"),
            },
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("mysql://root@127.0.0.1:3306/andon_global", "mysql://root@127.0.0.1:3306/andon_global"),
            ("mysql://andon:s3cret@db/andon_global", "mysql://andon:***@db/andon_global"),
            ("mysql://andon:s3:c@ret@db:3306/x", "mysql://andon:***@db:3306/x"),
            ("mysql://andon:s3/cret@db/x", "mysql://***@db/x"),
            ("mysql://andon@db/x?password=s3cret", "mysql://andon@db/x?***"),
            ("http://registry:8081", "http://registry:8081"),
            ("s3cret", "***"),
        ] {
            let url = SecretUrl::new(url);
            assert_eq!(url.masked(), shown);
            assert_eq!(format!("{url:?} {url}"), format!("{shown} {shown}"));
        }
    }
}
