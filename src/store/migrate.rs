//! Numbered SQL files, applied in order, each once.
//!
//! MySQL commits every change of a table by itself, so a migration that is cut short stays half done: every statement
//! of one can be run again, and it is recorded only when the whole of it is through; a change of an existing table is a
//! migration of its own, and the server's word that it is so already means that it is through. `schema_migration` holds what was
//! applied per scope: the database itself (empty), or one line's own tables (`line:<name>`).

use sha2::{Digest, Sha256};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use super::address::{Address, SESSION};
use super::error::{Result, StoreError, server_code};
use super::name::LineName;

/// How long one migrator waits for another.
const LOCK_SECONDS: u32 = 120;

/// Column exists, key exists, column or key is gone.
const IS_SO_ALREADY: [u16; 3] = [1060, 1061, 1091];

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
    scope      VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version    INT UNSIGNED NOT NULL,
    name       VARCHAR(100) NOT NULL,
    checksum   CHAR(64)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    applied_at DATETIME(3)  NOT NULL,
    PRIMARY KEY (scope, version)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin";

/// One file of `migrations/`; its version is its place in the list, from 1.
struct Migration {
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($path:literal),* $(,)?) => {
        &[$(Migration { name: $path, sql: include_str!(concat!("../../migrations/", $path, ".sql")) }),*]
    };
}

const GLOBAL: &[Migration] = migrations![
    "global/0001_identity",
    "global/0002_dashboards",
    "global/0003_access",
    "global/0004_session_access",
    "global/0005_user_revision",
    "global/0006_login_name",
    "global/0007_audit_outcome",
];
const TENANT: &[Migration] = migrations![
    "tenant/0001_plant",
    "tenant/0002_pipeline",
    "tenant/0003_input_kinds",
    "tenant/0004_chain",
    "tenant/0005_publisher"
];
const LINE: &[Migration] =
    migrations!["tenant/line/0001_tables", "tenant/line/0002_hours", "tenant/line/0003_unfinished_hour"];

/// Brings the global database up to date, making it when it is missing.
pub(super) async fn global(address: &Address) -> Result<Vec<String>> {
    migrate(address, GLOBAL, "", |sql| sql.to_owned()).await
}

/// Brings a tenant's database up to date, making it when it is missing.
pub(super) async fn tenant(address: &Address) -> Result<Vec<String>> {
    migrate(address, TENANT, "", |sql| sql.to_owned()).await
}

/// Brings a line's own tables up to date.
pub(super) async fn line(address: &Address, line: &LineName) -> Result<Vec<String>> {
    migrate(address, LINE, &format!("line:{line}"), |sql| sql.replace("{line}", line.as_str())).await
}

/// Whether the line's own tables are there and up to date.
pub(super) async fn line_is_current(connection: &mut MySqlConnection, line: &LineName) -> Result<bool> {
    let row = sqlx::query("SELECT CAST(COUNT(*) AS SIGNED) FROM schema_migration WHERE scope = ?")
        .bind(format!("line:{line}"))
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<i64, _>(0)? == LINE.len() as i64)
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Applies what is missing; answers the names of what it applied.
async fn migrate(
    address: &Address,
    migrations: &[Migration],
    scope: &str,
    render: impl Fn(&str) -> String,
) -> Result<Vec<String>> {
    let database = address.database()?;
    let mut connection = MySqlConnection::connect_with(&address.sqlx(None)).await?;
    for statement in SESSION {
        connection.execute(statement).await?;
    }
    // The lock is the connection's: it goes with a migrator that dies.
    let lock = format!("andon.migrate.{}", &checksum(database)[..32]);
    let got: Option<i64> = sqlx::query_scalar("SELECT CAST(GET_LOCK(?, ?) AS SIGNED)")
        .bind(&lock)
        .bind(LOCK_SECONDS)
        .fetch_one(&mut connection)
        .await?;
    if got != Some(1) {
        return Err(StoreError::Locked { database: database.to_owned(), seconds: LOCK_SECONDS });
    }
    let applied = run(&mut connection, database, migrations, scope, render).await;
    // Closing releases the lock, also when the work failed.
    connection.close().await?;
    applied
}

async fn run(
    connection: &mut MySqlConnection,
    database: &str,
    migrations: &[Migration],
    scope: &str,
    render: impl Fn(&str) -> String,
) -> Result<Vec<String>> {
    let quoted = format!("`{}`", database.replace('`', "``"));
    let exists: Option<i64> =
        sqlx::query_scalar("SELECT CAST(1 AS SIGNED) FROM information_schema.schemata WHERE schema_name = ?")
            .bind(database)
            .fetch_optional(&mut *connection)
            .await?;
    if exists.is_none() {
        // Not always: a user of one database need not have the right to make others.
        let create = format!("CREATE DATABASE IF NOT EXISTS {quoted} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await?;
    }
    sqlx::raw_sql(AssertSqlSafe(format!("USE {quoted}"))).execute(&mut *connection).await?;
    sqlx::raw_sql(TABLE).execute(&mut *connection).await?;

    let known = migrations.len() as u32;
    let rows = sqlx::query("SELECT version, checksum FROM schema_migration WHERE scope = ? ORDER BY version")
        .bind(scope)
        .fetch_all(&mut *connection)
        .await?;
    let mut done = 0;
    let shown_scope = if scope.is_empty() { String::new() } else { format!(" of {scope}") };
    for row in rows {
        let version: u32 = row.try_get(0)?;
        let stored: String = row.try_get(1)?;
        let Some(migration) = migrations.get(version as usize - 1) else {
            let database = database.to_owned();
            return Err(StoreError::Newer { database, scope: shown_scope, found: version, known });
        };
        if stored != checksum(migration.sql) {
            return Err(StoreError::Checksum { database: database.to_owned(), scope: shown_scope, version });
        }
        done = version;
    }

    let mut applied = Vec::new();
    for (version, migration) in (1..).zip(migrations).skip(done as usize) {
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(render(migration.sql))).execute(&mut *connection).await
            && !server_code(&error).is_some_and(|code| IS_SO_ALREADY.contains(&code))
        {
            return Err(error.into());
        }
        sqlx::query(
            "INSERT INTO schema_migration (scope, version, name, checksum, applied_at)
             VALUES (?, ?, ?, ?, UTC_TIMESTAMP(3))",
        )
        .bind(scope)
        .bind(version)
        .bind(migration.name)
        .bind(checksum(migration.sql))
        .execute(&mut *connection)
        .await?;
        applied.push(format!("{database}: {}{shown_scope}", migration.name));
    }
    Ok(applied)
}
