//! What nothing can bring back: a log that retention cut before it was read, and a database restored from an older
//! backup. Both stop their lines loudly, and one command goes on.

use std::time::{Duration, Instant};

use andon::kafka::topics;
use andon::store::Store;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use sqlx::{AssertSqlSafe, Row};

use super::field::Field;
use super::members::Member;
use super::tail::{LineName, wall};

/// How long somebody at a console tries again, and how long a line may take to say why it stands.
const PATIENCE: Duration = Duration::from_secs(60);
/// The tenant whose database is restored; the logs of the others are cut: what a log had lost before a backup's
/// checkpoint is read again would be lost for good, which is true but not to be counted.
const RESTORED: usize = 0;
/// Records nobody has read that a cut takes at least.
const CUT: i64 = 30;

/// Offsets of a line that were cut before they were read.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Index of the book's lines.
    pub line: usize,
    pub from: i64,
    pub to: i64,
}

impl Field {
    async fn store(&self) -> Store {
        let direct = format!("mysql://root@{}/andon_global", self.servers.database());
        Store::connect(&direct).await.expect("the database is up")
    }

    /// Retention takes the beginning of what nobody has read; then the operator's command.
    pub async fn cut_log(&mut self) -> i64 {
        let restored = self.tenants[RESTORED].name.clone();
        let lines: Vec<_> = self.lines().into_iter().enumerate().filter(|(_, (of, _))| *of != restored).collect();
        let (at, (tenant, line)) = self.chance.pick(&lines).clone();
        self.members.iter_mut().for_each(Member::kill);
        let db = self.store().await.tenant(&tenant).await.expect("the tenant");
        let next = db.checkpoint(&line).await.expect("read").map_or(0, |checkpoint| checkpoint.next_offset.max(0));
        let begun = Instant::now();
        self.feed.mood.is_chatty.store(true, std::sync::atomic::Ordering::Relaxed);
        while self.feed.book.end(at) < next + 2 * CUT && begun.elapsed() < PATIENCE {
            self.pause(Duration::from_millis(50)).await;
        }
        let end = self.feed.book.end(at);
        let to = next + self.chance.between(CUT as u64, (end - next).max(CUT + 1) as u64) as i64;
        if end < next + CUT || !self.delete_before(&topics::detections(&tenant, &line), to.min(end)).await {
            self.report.complain(format!("the log of {tenant}.{line} could not be cut at {to}: it ends at {end}"));
        }
        self.cuts.push(Cut { line: at, from: next, to: to.min(end) });
        self.regulars().iter_mut().for_each(Member::start);
        self.until_said(&format!("{tenant}:{line}:accept-hole"), &line, "andon line accept-hole").await;
        self.take_on("accept-hole", &tenant, &line).await;
        wall()
    }

    /// Deletes a topic's records before an offset; `false`: the brokers did not.
    async fn delete_before(&mut self, topic: &str, offset: i64) -> bool {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.servers.brokers()).create().expect("a client");
        let mut cut = TopicPartitionList::new();
        cut.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("an offset");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
            match admin.delete_records(&cut, &options).await {
                Ok(done) if done.elements().iter().all(|element| element.error().is_ok()) => return true,
                _ => self.pause(Duration::from_millis(500)).await,
            }
        }
        false
    }

    /// Waits until a member has said why the line stands.
    async fn until_said(&mut self, what: &str, line: &str, words: &str) {
        let begun = Instant::now();
        let mark = format!("line=\"{line}\"");
        while begun.elapsed() < PATIENCE {
            let logs = self.members.iter().map(|member| std::fs::read_to_string(&member.log).unwrap_or_default());
            let mut lines = logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>());
            if lines.any(|said| said.contains("line stopped") && said.contains(&mark) && said.contains(words)) {
                return;
            }
            self.pause(Duration::from_millis(200)).await;
        }
        self.report.complain(format!("nobody said in {PATIENCE:?} why the line stands: {what}"));
    }

    /// What somebody at a console does: the command, and again when it failed.
    async fn take_on(&mut self, command: &str, tenant: &str, line: &str) {
        let begun = Instant::now();
        let arguments = ["line", command, "--tenant", tenant, "--line", line, "--yes"];
        loop {
            match tokio::task::block_in_place(|| self.console.run(&arguments, None)) {
                Ok(_) => return,
                Err(why) if begun.elapsed() > PATIENCE => return self.report.complain(why),
                Err(_) => self.pause(Duration::from_secs(1)).await,
            }
        }
    }

    /// Copies a tenant's database; nobody writes what must agree meanwhile.
    pub async fn back_up(&mut self) {
        let tenant = self.tenants[RESTORED].name.clone();
        for member in 0..self.plan.members {
            self.end(member).await;
        }
        self.copy(&format!("andon_t_{tenant}"), "fire_backup").await;
        self.regulars().iter_mut().for_each(Member::start);
    }

    /// A database as another is; one of that name before is no more.
    async fn copy(&self, from: &str, to: &str) {
        let mut connection = self.committed.connect().await;
        let tables = sqlx::query(
            "SELECT CAST(table_name AS CHAR) FROM information_schema.tables
             WHERE table_schema = ? AND table_type = 'BASE TABLE'",
        )
        .bind(from)
        .fetch_all(&mut connection)
        .await
        .expect("read");
        let sort: (String, String) = sqlx::query_as(
            "SELECT CAST(default_character_set_name AS CHAR), CAST(default_collation_name AS CHAR)
             FROM information_schema.schemata WHERE schema_name = ?",
        )
        .bind(from)
        .fetch_one(&mut connection)
        .await
        .expect("read");
        let (set, collation) = sort;
        let mut statements = vec![
            "SET foreign_key_checks = 0".to_owned(),
            format!("DROP DATABASE IF EXISTS {to}"),
            format!("CREATE DATABASE {to} CHARACTER SET {set} COLLATE {collation}"),
        ];
        for table in tables.iter().map(|row| row.get::<String, _>(0)) {
            statements.push(format!("CREATE TABLE {to}.`{table}` LIKE {from}.`{table}`"));
            statements.push(format!("INSERT INTO {to}.`{table}` SELECT * FROM {from}.`{table}`"));
        }
        for statement in statements {
            let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut connection).await;
            done.unwrap_or_else(|why| panic!("{statement}: {why}"));
        }
    }

    /// After the verdict: the database goes back to before the storm, one command for each line takes it forward, and
    /// the log is told again from there. All that was acknowledged has to be there again, once.
    pub async fn restore(&mut self) {
        let begun = Instant::now();
        let tenant = self.tenants[RESTORED].name.clone();
        self.gateway.kill();
        self.copy("fire_backup", &format!("andon_t_{tenant}")).await;
        // Lines that are younger than the backup.
        if let Err(why) = self.tenants[RESTORED].apply(&self.console) {
            self.report.complain(why);
        }
        self.regulars().iter_mut().for_each(Member::start);
        for line in self.tenants[RESTORED].lines.clone() {
            self.until_said(&format!("{tenant}:{line}:forward"), &line, "andon line forward").await;
            self.take_on("forward", &tenant, &line).await;
        }
        let store = self.store().await;
        if !self.settle(&store).await {
            return;
        }
        self.pause(Duration::from_secs(3)).await;
        for member in 0..self.plan.members {
            self.end(member).await;
        }
        if !tokio::task::block_in_place(|| self.tail.catch_up(PATIENCE)) {
            self.report.complain("the output topics could not be read to their ends after the restored backup");
        }
        // Figures of the storm itself stay as they were: the same rows are counted again here.
        let counted = self.report.counts();
        let db = store.tenant(&tenant).await.expect("the tenant");
        let own = |(_, (of, _)): &(usize, LineName)| *of == tenant;
        for (at, name) in self.lines().into_iter().enumerate().filter(own) {
            let expected = self.expected(at);
            self.check_rows(&db, &name, &expected).await;
            self.check_results(&db, &name).await;
        }
        self.report.told_again = self.report.rows - counted.2;
        self.report.recount(counted);
        let verify = ["topics", "verify", "--tenant", &tenant];
        if let Err(why) = tokio::task::block_in_place(|| self.console.run(&verify, None)) {
            self.report.complain(why);
        }
        println!("a restored backup was taken forward in {:.1?}", begun.elapsed());
    }
}
