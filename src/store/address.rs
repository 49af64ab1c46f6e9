//! Where a database is: one form of URL for both drivers.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use super::error::{Result, StoreError};
use crate::config::SecretUrl;

/// What every connection is set to: instants are UTC, a value that does not fit is an error, and nobody waits long
/// for a lock. READ COMMITTED: see [`super::commit`].
pub(super) const SESSION: [&str; 5] = [
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'",
    "SET SESSION innodb_lock_wait_timeout = 10",
    "SET SESSION lock_wait_timeout = 20",
];

/// The address of a database.
#[derive(Clone, Debug)]
pub struct Address {
    /// Without the part after `?`.
    base: SecretUrl,
    base_opts: mysql_async::Opts,
    encryption: Encryption,
    /// Name of the database; none: only the server is named.
    database: Option<String>,
}

/// `?ssl-mode=`: how the way to the server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    Disabled,
    /// Encrypted, whoever the server is.
    Required,
    /// Encrypted, and the server's certificate is for its name.
    Verified,
}

// === impl Address ===

impl Address {
    /// Reads `mysql://user:password@host:port/database?ssl-mode=disabled|required|verify_identity`.
    ///
    /// # Errors
    /// What is not of that form, with the password masked.
    pub fn parse(url: &str) -> Result<Self> {
        let refused = |problem: String| StoreError::Address { url: SecretUrl::new(url).masked(), problem };
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let base_opts = mysql_async::Opts::from_url(base).map_err(|error| refused(error.to_string()))?;
        let mut encryption = Encryption::Disabled;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            encryption = match pair {
                "ssl-mode=disabled" => Encryption::Disabled,
                "ssl-mode=required" => Encryption::Required,
                "ssl-mode=verify_identity" => Encryption::Verified,
                _ => return Err(refused(format!("{pair:?} is not known, only ssl-mode is"))),
            };
        }
        let database = base_opts.db_name().filter(|name| !name.is_empty()).map(str::to_owned);
        Ok(Self { base: SecretUrl::new(base), base_opts, encryption, database })
    }

    /// The same server, another database.
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: Some(database.to_owned()), ..self.clone() }
    }

    /// Name of the database.
    ///
    /// # Errors
    /// When the address names only a server.
    pub fn database(&self) -> Result<&str> {
        let missing = || StoreError::Address { url: self.base.masked(), problem: "it names no database".to_owned() };
        self.database.as_deref().ok_or_else(missing)
    }

    /// For sqlx, without a database where `database` is none.
    pub(super) fn sqlx(&self, database: Option<&str>) -> MySqlConnectOptions {
        let mode = match self.encryption {
            Encryption::Disabled => MySqlSslMode::Disabled,
            Encryption::Required => MySqlSslMode::Required,
            Encryption::Verified => MySqlSslMode::VerifyIdentity,
        };
        let mut options = MySqlConnectOptions::new()
            .host(self.base_opts.ip_or_hostname())
            .port(self.base_opts.tcp_port())
            .ssl_mode(mode);
        if let Some(user) = self.base_opts.user() {
            options = options.username(user);
        }
        if let Some(password) = self.base_opts.pass() {
            options = options.password(password);
        }
        match database {
            Some(database) => options.database(database),
            None => options,
        }
    }

    /// For the hot path's driver.
    pub(super) fn mysql_async(&self) -> mysql_async::Opts {
        let ssl = match self.encryption {
            Encryption::Disabled => None,
            Encryption::Required => Some(mysql_async::SslOpts::default().with_danger_accept_invalid_certs(true)),
            Encryption::Verified => Some(mysql_async::SslOpts::default()),
        };
        mysql_async::OptsBuilder::from_opts(self.base_opts.clone())
            .db_name(self.database.clone())
            .ssl_opts(ssl)
            .prefer_socket(Some(false))
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(30)))
            // Matched rows are counted: a row that is set to what it already holds is no miss.
            .client_found_rows(true)
            .setup(SESSION.to_vec())
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_server_and_a_database() {
        let address = Address::parse("mysql://andon:s%40cret@db.example:3307/andon_global?ssl-mode=required").unwrap();
        assert_eq!(address.database().unwrap(), "andon_global");
        assert_eq!(address.encryption, Encryption::Required);
        let other = address.with_database("andon_t_demo");
        assert_eq!(other.mysql_async().db_name(), Some("andon_t_demo"));
        assert_eq!(other.mysql_async().pass(), Some("s@cret"));
        assert_eq!(other.sqlx(None).get_port(), 3307);
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for url in ["postgres://a:hush@db/x", "mysql://a:hush@db/x?ssl=maybe", "hush"] {
            let text = Address::parse(url).unwrap_err().to_string();
            assert!(!text.contains("hush"), "{text}");
        }
        assert!(Address::parse("mysql://root@127.0.0.1:3306").unwrap().database().is_err());
    }
}
