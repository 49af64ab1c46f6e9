//! Servers that are away when a process starts, and servers that go while it runs: it waits, says so, and misses nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::bad_input::Plant;
use super::engine::{now, piece};
use crate::support::{Andon, Servers, Site, until};

/// Servers of the test's own, which may go.
struct OwnServers {
    dir: PathBuf,
}

impl OwnServers {
    fn start() -> OwnServers {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let servers = OwnServers { dir: root.join("target").join(crate::support::random_name("away")) };
        servers.run("start");
        servers
    }

    fn run(&self, what: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/servers");
        let done = Command::new(script).arg(what).arg(&self.dir).stdin(Stdio::null()).output().expect("runs");
        assert!(done.status.success(), "scripts/servers {what}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.join(file)).expect("a server's file").trim().to_owned()
    }

    fn addresses(&self) -> Servers {
        let kafka = format!("127.0.0.1:{}", self.read("kafka.port"));
        Servers { kafka, database: format!("mysql://root@127.0.0.1:{}", self.read("mariadb.port")) }
    }

    /// Ends one of them by its process id; [`OwnServers::run`] starts it again.
    async fn end(&self, name: &str) {
        let pid = self.read(&format!("{name}.pid"));
        assert!(Command::new("kill").args(["-KILL", &pid]).status().expect("kill").success());
        until("the server's end", async || {
            let open = Path::new(&format!("/proc/{pid}/fd")).read_dir().is_ok_and(|mut open| open.next().is_some());
            if open { Err(format!("{name} still runs")) } else { Ok(()) }
        })
        .await;
    }
}

impl Drop for OwnServers {
    fn drop(&mut self) {
        self.run("stop");
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

async fn not_ready(andon: &Andon, reason: &str) {
    until("/ready to say what is missing", async || {
        let answer = reqwest::get(format!("{}/ready", andon.admin)).await.map_err(|why| why.to_string())?;
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        if status == 503 && text.contains(reason) { Ok(()) } else { Err(format!("{status} {text}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_away_are_waited_for_and_nothing_is_missed() {
    let servers = OwnServers::start();
    let plant = Plant::new(Site::on(servers.addresses())).await;
    let start = now() - 600_000;
    let pieces = |from: i64, to: i64| {
        (from..to).map(move |id| {
            let mut payload = Vec::new();
            let ids = andon::kafka::schemas::SchemaIds::builtin();
            andon::kafka::codec::encode_detection(&piece(id, start + id * 1_000), &ids, &mut payload);
            payload
        })
    };

    // At the start: first both are away, then Kafka alone.
    servers.end("kafka").await;
    servers.end("mariadb").await;
    let andon = plant.site.spawn_without_waiting("process");
    not_ready(&andon, "the database is unavailable").await;
    servers.run("start");
    andon.ready().await;
    assert!(andon.log().contains("the database is unavailable"), "the log says what it waits for");
    plant.send("l1", pieces(0, 10));
    plant.rows("l1", 10).await;
    servers.end("kafka").await;
    let second = plant.site.spawn_without_waiting("process");
    not_ready(&second, "Kafka is away").await;
    servers.run("start");
    second.ready().await;

    // Later: while the database is away records go on coming.
    servers.end("mariadb").await;
    plant.send("l1", pieces(10, 200));
    plant.send("l2", pieces(0, 50));
    servers.run("start");
    plant.rows("l1", 200).await;
    plant.rows("l2", 50).await;
    servers.end("kafka").await;
    servers.run("start");
    plant.send("l1", pieces(200, 300));
    plant.rows("l1", 300).await;
    let minutes = plant.db.minutes("l1", super::engine::ALWAYS).await.expect("read");
    assert_eq!(minutes.iter().map(|minute| minute.sums.total).sum::<i64>(), 300);
}
