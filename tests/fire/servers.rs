//! Servers of the storm's own: they are killed and come back with their data.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Kafka and a database in a folder of their own; stopped when dropped.
pub struct OwnServers {
    dir: PathBuf,
    with_mysql8: bool,
}

/// A server that can be struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Broker,
    Database,
}

// === impl OwnServers ===

impl OwnServers {
    pub fn start(dir: PathBuf, with_mysql8: bool) -> OwnServers {
        let servers = OwnServers { dir, with_mysql8 };
        servers.run("start");
        servers
    }

    /// Starts what does not run; returns once it answers.
    pub fn restart(&self) {
        let before = (self.brokers(), self.database());
        self.run("start");
        assert_eq!(before, (self.brokers(), self.database()), "a server came back on another port");
    }

    fn run(&self, what: &str) {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/servers"));
        command.arg(what);
        if self.with_mysql8 && what == "start" {
            command.arg("--mysql8");
        }
        let done = command.arg(&self.dir).stdin(Stdio::null()).output().expect("scripts/servers runs");
        assert!(done.status.success(), "scripts/servers {what}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn read(&self, file: &str) -> String {
        let path = self.dir.join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display())).trim().to_owned()
    }

    fn name(&self, server: Server) -> &'static str {
        match server {
            Server::Broker => "kafka",
            Server::Database if self.with_mysql8 => "mysql8",
            Server::Database => "mariadb",
        }
    }

    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.read("kafka.port"))
    }

    /// Host and port.
    pub fn database(&self) -> String {
        format!("127.0.0.1:{}", self.read(&format!("{}.port", self.name(Server::Database))))
    }

    /// Sends a signal: `-KILL`, `-STOP`, `-CONT`. A killed server is gone when this returns.
    pub async fn signal(&self, server: Server, signal: &str) {
        let pid = self.read(&format!("{}.pid", self.name(server)));
        super::members::signal(pid.parse().expect("a process id"), signal);
        if signal == "-KILL" {
            while Path::new(&format!("/proc/{pid}/fd")).read_dir().is_ok_and(|mut open| open.next().is_some()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

impl Drop for OwnServers {
    fn drop(&mut self) {
        // A paused server does not hear that it is to stop.
        for name in ["kafka", "mariadb", "mysql8"] {
            if let Ok(pid) = std::fs::read_to_string(self.dir.join(format!("{name}.pid"))) {
                let _ = Command::new("kill").args(["-CONT", pid.trim()]).stderr(Stdio::null()).status();
            }
        }
        self.run("stop");
    }
}
