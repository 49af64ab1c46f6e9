//! Processes of Andon under a supervisor: what ends by itself is started again, as in production.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::free_address;

/// A process that is wanted or not, and its log.
pub struct Member {
    pub name: String,
    role: &'static str,
    env: Vec<(&'static str, String)>,
    pub url: String,
    pub log: PathBuf,
    child: Option<Child>,
    is_wanted: bool,
    /// How often it has ended by itself, with what.
    pub falls: Vec<String>,
}

/// Sends a signal to a process that this test has started.
pub fn signal(pid: u32, signal: &str) {
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
}

// === impl Member ===

impl Member {
    pub fn new(name: &str, role: &'static str, env: &[(&'static str, String)], logs: &Path) -> Member {
        let (listen, admin) = (free_address(), free_address());
        let mut env = env.to_vec();
        env.push(("ANDON_LISTEN", listen.clone()));
        env.push(("ANDON_ADMIN_LISTEN", admin));
        env.push(("ANDON_GATEWAY__SECURE_COOKIES", "false".to_owned()));
        Member {
            name: name.to_owned(),
            role,
            env,
            url: format!("http://{listen}"),
            log: logs.join(format!("{name}.log")),
            child: None,
            is_wanted: false,
            falls: Vec::new(),
        }
    }

    fn launch(&self) -> Child {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log file");
        Command::new(env!("CARGO_BIN_EXE_andon"))
            .arg(self.role)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone().expect("a log file")))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("andon starts")
    }

    pub fn start(&mut self) {
        self.is_wanted = true;
        if self.child.is_none() {
            self.child = Some(self.launch());
        }
    }

    /// The same process once more, with the very same settings.
    pub fn twin(&self) -> Child {
        self.launch()
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    pub fn signal(&self, which: &str) {
        if let Some(pid) = self.pid() {
            signal(pid, which);
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.is_wanted = false;
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM; false when it had to be killed after `patience`.
    pub async fn terminate(&mut self, patience: Duration) -> bool {
        self.is_wanted = false;
        let Some(mut child) = self.child.take() else { return true };
        signal(child.id(), "-TERM");
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if child.try_wait().expect("its status").is_some() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }

    /// What a supervisor does: notes an end nobody asked for, and starts it again.
    pub fn supervise(&mut self) {
        let Some(child) = &mut self.child else { return };
        let Some(status) = child.try_wait().expect("its status") else { return };
        self.falls.push(status.to_string());
        self.child = self.is_wanted.then(|| self.launch());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}
