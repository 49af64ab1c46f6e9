//! The real program as a child process.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use tempfile::NamedTempFile;

use super::until;

/// A running `andon`; killed when it is dropped, and its log is shown when the test fails.
pub struct Andon {
    child: Mutex<Child>,
    /// Where the gateway listens: `http://127.0.0.1:…`.
    pub url: String,
    /// Where the admin port is: `http://127.0.0.1:…`.
    pub admin: String,
    log: NamedTempFile,
}

/// An address of the loopback that was free a moment ago.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("no free port");
    listener.local_addr().expect("a bound address").to_string()
}

impl Andon {
    /// Starts `andon` with `arguments` on free ports.
    pub fn start(arguments: &[&str], env: &[(&'static str, String)]) -> Andon {
        let (listen, admin) = (free_address(), free_address());
        let log = NamedTempFile::new().expect("a scratch file");
        let stderr = |log: &NamedTempFile| Stdio::from(log.reopen().expect("a scratch file"));
        let child = Command::new(env!("CARGO_BIN_EXE_andon"))
            .args(arguments)
            .env("ANDON_LISTEN", &listen)
            .env("ANDON_ADMIN_LISTEN", &admin)
            .env("ANDON_GATEWAY__SECURE_COOKIES", "false")
            .envs(env.iter().map(|(name, value)| (name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr(&log))
            .spawn()
            .expect("failed to start andon");
        Andon { child: Mutex::new(child), url: format!("http://{listen}"), admin: format!("http://{admin}"), log }
    }

    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        std::io::read_to_string(File::open(self.log.path()).expect("the log file")).expect("the log file")
    }

    /// Waits for `/ready`.
    pub async fn ready(&self) {
        let client = reqwest::Client::new();
        let url = format!("{}/ready", self.admin);
        until("andon to be ready", async || {
            if let Some(status) = self.child.lock().unwrap().try_wait().expect("its status") {
                panic!("andon ended with {status} instead of becoming ready:\n{}", self.log());
            }
            let answer = client.get(&url).send().await.map_err(|error| error.to_string())?;
            if answer.status().is_success() { Ok(()) } else { Err(answer.text().await.unwrap_or_default()) }
        })
        .await;
    }

    /// The value of a metric whose line begins with `name`: `andon_sockets`, `andon_x_total{tenant="t"}`.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = reqwest::get(format!("{}/metrics", self.admin)).await.ok()?.text().await.ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// `kill -9`: no chance to finish anything.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().expect("failed to kill andon");
        assert_eq!(child.wait().expect("its status").signal(), Some(9), "andon ended before it was killed");
    }

    /// SIGTERM, and waits for the graceful end.
    pub async fn terminate(&self) -> ExitStatus {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        until("andon to end", async || {
            let status = self.child.lock().unwrap().try_wait().expect("its status");
            status.ok_or_else(|| format!("process {pid} still runs"))
        })
        .await
    }
}

impl Drop for Andon {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of andon {} ---\n{}--- end of its log ---", child.id(), self.log());
        }
    }
}
