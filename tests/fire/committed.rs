//! What the database has committed to be told, kept by a trigger inside the very transactions that commit it.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Row};

use super::plant::Tenant;
use super::tail::{LineName, Place, hash_of, number};

/// See the module.
pub struct Committed {
    url: String,
}

/// Records that a commit promised.
pub type Promised = HashMap<Place, u64>;

// === impl Committed ===

impl Committed {
    /// `url` names the server. Every outbox row of these tenants is copied to a database of the storm's own.
    pub async fn keep(url: &str, tenants: &[Tenant]) -> Committed {
        let committed = Committed { url: url.to_owned() };
        committed.run("CREATE DATABASE fire").await;
        committed
            .run(
                "CREATE TABLE fire.committed (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant VARCHAR(48) NOT NULL,
                 line VARCHAR(48) NOT NULL, commit_seq BIGINT NOT NULL, payload LONGBLOB NOT NULL) ENGINE = InnoDB",
            )
            .await;
        for tenant in tenants {
            committed.trigger(&tenant.name).await;
        }
        committed
    }

    pub async fn trigger(&self, tenant: &str) {
        self.run(&format!(
            "CREATE TRIGGER andon_t_{tenant}.fire_committed AFTER INSERT ON andon_t_{tenant}.outbox FOR EACH ROW
             INSERT INTO fire.committed (tenant, line, commit_seq, payload)
             VALUES ('{tenant}', NEW.line, NEW.commit_seq, NEW.payload)"
        ))
        .await;
    }

    pub async fn connect(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.url).await.expect("the database is up")
    }

    pub async fn run(&self, statement: &str) {
        let mut connection = self.connect().await;
        let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await;
        done.unwrap_or_else(|why| panic!("{statement}: {why}"));
    }

    /// The records that commits of a line promised, and the number of commits; complains of places promised twice.
    pub async fn of(&self, (tenant, line): &LineName, complaints: &mut Vec<String>) -> (Promised, usize) {
        let mut connection = self.connect().await;
        let (mut promised, mut commits, mut after) = (Promised::new(), 0, 0i64);
        loop {
            let rows = sqlx::query(
                "SELECT id, commit_seq, payload FROM fire.committed WHERE tenant = ? AND line = ? AND id > ?
                 ORDER BY id LIMIT 500",
            )
            .bind(tenant)
            .bind(line)
            .bind(after)
            .fetch_all(&mut connection)
            .await
            .expect("read");
            let Some(last) = rows.last() else { return (promised, commits) };
            after = last.get(0);
            for row in &rows {
                commits += 1;
                let (seq, payload): (i64, Vec<u8>) = (row.get(1), row.get(2));
                for (place, hash) in records(&payload) {
                    if place.seq != seq as u64 {
                        complaints.push(format!("{tenant}.{line}: commit {seq} has a record of {place:?}"));
                    }
                    if promised.insert(place.clone(), hash).is_some() {
                        complaints.push(format!("{tenant}.{line}: {place:?} was committed twice"));
                    }
                }
            }
        }
    }
}

/// The records of an outbox row, read without Andon's help.
fn records(mut row: &[u8]) -> Vec<(Place, u64)> {
    fn split<'a>(row: &mut &'a [u8], at: usize) -> &'a [u8] {
        let (head, tail) = row.split_at(at);
        *row = tail;
        head
    }
    fn field<'a>(row: &mut &'a [u8]) -> &'a [u8] {
        let length = u32::from_le_bytes(split(row, 4).try_into().expect("four bytes"));
        split(row, length as usize)
    }
    assert_eq!(split(&mut row, 1), [1], "the form of an outbox row");
    split(&mut row, 8);
    let mut records = Vec::new();
    while !row.is_empty() {
        let topic = String::from_utf8_lossy(field(&mut row)).into_owned();
        let key = field(&mut row);
        let is_there = split(&mut row, 1) == [1];
        let payload = field(&mut row);
        let mut headers: HashMap<String, &[u8]> = HashMap::new();
        for _ in 0..split(&mut row, 1)[0] {
            let name = String::from_utf8_lossy(field(&mut row)).into_owned();
            headers.insert(name, field(&mut row));
        }
        let header = |name: &str| headers.get(name).copied();
        let place = Place {
            incarnation: number(header("incarnation")).expect("an incarnation"),
            seq: number(header("commit_seq")).expect("a commit"),
            index: number(header("index")).expect("an index"),
        };
        records.push((place, hash_of(&topic, key, is_there.then_some(payload))));
    }
    records
}
