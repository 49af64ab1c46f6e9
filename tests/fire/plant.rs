//! The tenants of the storm, as files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A tenant and the lines that it has so far.
pub struct Tenant {
    pub name: String,
    pub lines: Vec<String>,
    /// By shifts of an hour; else around the clock.
    has_shifts: bool,
    file: PathBuf,
}

/// Where commands go: past the proxy, straight to the servers.
#[derive(Clone)]
pub struct Console {
    pub env: Vec<(&'static str, String)>,
}

/// Allowed lateness of the lines, seconds.
pub const LATENESS_S: i64 = 30;
/// Stands for the exits.
pub const EXIT_AREA: i32 = 1;
/// Makes no stop and ends none.
pub const PROCESS_AREA: i32 = 2;
pub const CAMERAS: [i32; 2] = [11, 12];
pub const REASONS: [&str; 3] = ["jam", "starved", "cleaning"];

// === impl Console ===

impl Console {
    /// Runs a command of `andon` to its end; what it printed, or what it complained of.
    pub fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String, String> {
        use std::io::Write;
        let mut child = Command::new(env!("CARGO_BIN_EXE_andon"))
            .args(arguments)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|why| why.to_string())?;
        if let (Some(mut pipe), Some(line)) = (child.stdin.take(), input) {
            writeln!(pipe, "{line}").map_err(|why| why.to_string())?;
        }
        let done = child.wait_with_output().map_err(|why| why.to_string())?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        Err(format!("andon {}: {}: {out}{err}", arguments.join(" "), done.status))
    }

    pub fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments, None).unwrap_or_else(|why| panic!("{why}"))
    }
}

// === impl Tenant ===

impl Tenant {
    pub fn new(name: &str, lines: usize, has_shifts: bool, folder: &Path) -> Tenant {
        let lines = (1..=lines).map(|n| format!("l{n}")).collect();
        Tenant { name: name.to_owned(), lines, has_shifts, file: folder.join(format!("{name}.toml")) }
    }

    /// One more line in the file; [`Tenant::apply`] makes it real.
    pub fn grow(&mut self) -> String {
        let line = format!("l{}", self.lines.len() + 1);
        self.lines.push(line.clone());
        line
    }

    pub fn apply(&self, console: &Console) -> Result<String, String> {
        std::fs::write(&self.file, self.text()).expect("a writable folder");
        console.run(&["tenant", "apply", self.file.to_str().expect("a plain path")], None)
    }

    fn text(&self) -> String {
        let name = &self.name;
        let mut text = format!(
            "[tenant]\nname = \"{name}\"\ncompany = \"Fire\"\ntime_zone = \"Europe/Madrid\"\nlocale = \"en\"\n"
        );
        for reason in REASONS {
            let kind = if reason == "cleaning" { "planned" } else { "unplanned" };
            text += &format!("[[reason]]\ncode = \"{reason}\"\nname = \"{reason}\"\nkind = \"{kind}\"\n");
        }
        for hour in (0..24).filter(|_| self.has_shifts) {
            let (from, to) = (format!("{hour:02}:00"), format!("{:02}:00", (hour + 1) % 24));
            text += &format!("[[shift]]\nname = \"h{hour}\"\nstart = \"{from}\"\nend = \"{to}\"\n");
        }
        for line in &self.lines {
            text += &format!(
                "[[line]]\nname = \"{line}\"\ntitle = \"{line}\"\nperformance = 600.0\ndowntime_threshold_s = 2\n\
                 micro_stop_threshold_s = 1\noee_cadence_ms = 200\nallowed_lateness_s = {LATENESS_S}\n\
                 repair_at = \"\"\n  [[line.area]]\n  id = {EXIT_AREA}\n  role = \"output\"\n  cameras = [11, 12]\n  \
                 [[line.area]]\n  id = {PROCESS_AREA}\n  role = \"process\"\n"
            );
        }
        text
    }
}
