//! `andon process` as a child of the bench.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::site::{BenchError, BenchSite};

/// Killed with `kill -9` when dropped.
pub struct Member(Child);

// === impl Member ===

impl Member {
    /// Starts a process on `site` under a name in its group, with a log of its own; an older log stays above.
    pub fn start(site: &BenchSite, instance: &str, log: &Path) -> Result<Member, BenchError> {
        Member::with(site, instance, log, &[])
    }

    /// The same with more of its environment.
    pub fn with(site: &BenchSite, instance: &str, log: &Path, env: &[(&str, String)]) -> Result<Member, BenchError> {
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new(std::env::current_exe()?)
            .arg("process")
            .envs(site.env())
            .env("ANDON_KAFKA__INSTANCE", instance)
            .env("ANDON_LOG", std::env::var("ANDON_LOG").unwrap_or_else(|_| "info".to_owned()))
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Member(child))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a log has `count` mentions of `what`.
pub async fn said(log: &Path, what: &str, count: usize, patience: Duration) -> Result<(), BenchError> {
    let since = Instant::now();
    while std::fs::read_to_string(log)?.matches(what).count() < count {
        if since.elapsed() > patience {
            return Err(BenchError::Failed(format!("{} does not say {what:?} {count} times", log.display())));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
