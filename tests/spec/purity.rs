//! The shape of the source: the core stays pure, data goes one way, files stay small.

use std::fs;
use std::path::{Path, PathBuf};

/// Longer files hide more than one thought.
const LINES_AT_MOST: usize = 600;

/// What the core may not name: it knows no runtime, no server, no clock, no environment, no chance.
const FORBIDDEN_IN_THE_CORE: &[&str] = &[
    "tokio",
    "rdkafka",
    "sqlx",
    "mysql_async",
    "axum",
    "ureq",
    "reqwest",
    "futures_util",
    "tracing",
    "metrics::",
    "rand::",
    "anyhow",
    "std::env",
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::io",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "TimeZone::system",
    "println!",
    "eprintln!",
    "static mut",
];

/// Each room with the rooms it may name. Data goes one way: kafka → engine → store and topics → gateway; only the
/// command line knows all.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &["domain"]),
    ("watch", &["domain", "config"]),
    ("kafka", &["domain", "config", "watch"]),
    ("store", &["domain", "config", "watch"]),
    ("engine", &["domain", "config", "watch", "kafka", "store"]),
    ("gateway", &["domain", "config", "watch", "kafka", "store"]),
    ("plant", &["domain", "config", "watch", "kafka", "store"]),
    ("proof", &["domain", "config", "watch", "kafka", "store"]),
    ("bench", &["domain", "config", "watch", "kafka", "store", "engine"]),
    ("cli", &["domain", "config", "watch", "kafka", "store", "engine", "gateway", "plant", "proof", "bench"]),
];

struct Source {
    /// Below `src`.
    path: PathBuf,
    /// Numbered from 1, without comments.
    code: Vec<(usize, String)>,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(Source::read(&root, &path));
            }
        }
    }
    assert!(found.len() > 20, "the source tree was not found");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

impl Source {
    fn read(root: &Path, path: &Path) -> Source {
        let text = fs::read_to_string(path).unwrap();
        let code = text.lines().enumerate().map(|(i, line)| (i + 1, without_comment(line).to_owned())).collect();
        Source { path: path.strip_prefix(root).unwrap().to_owned(), code, lines: text.lines().count() }
    }

    /// The folder (or file) directly below `src`.
    fn room(&self) -> String {
        let first = self.path.components().next().unwrap();
        first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
    }

    /// Whether it is of the core's model, which is compiled for tests alone and reads from the environment how many
    /// stories to try.
    fn is_model(&self) -> bool {
        self.path.starts_with("domain/production/line/model")
    }

    /// Complaints about each line that names one of `words` as a word of its own.
    fn naming(&self, words: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for (number, line) in &self.code {
            for word in words.iter().filter(|word| names(line, word)) {
                found.push(format!("src/{}:{number} names `{word}`: {}", self.path.display(), line.trim()));
            }
        }
        found
    }
}

fn without_comment(line: &str) -> &str {
    // A `//` inside a text (an address) comes after a colon.
    match line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':')) {
        Some((at, _)) => &line[..at],
        None => line,
    }
}

/// Whether `word` stands in `line` without a letter, digit or underscore directly around it.
fn names(line: &str, word: &str) -> bool {
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        let closed = word.ends_with(|c: char| !part_of_a_word(c)) || !after.is_some_and(part_of_a_word);
        !before.is_some_and(part_of_a_word) && closed
    })
}

fn assert_none(complaints: &[String], rule: &str) {
    assert!(complaints.is_empty(), "{rule}:\n{}", complaints.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let complaints: Vec<String> = sources()
        .iter()
        .filter(|source| source.room() == "domain" && !source.is_model())
        .flat_map(|source| source.naming(FORBIDDEN_IN_THE_CORE))
        .collect();
    assert_none(&complaints, "the core (src/domain) knows no runtime, server, clock, environment or chance");
}

#[test]
fn data_goes_one_way() {
    let mut complaints = Vec::new();
    for source in sources() {
        let room = source.room();
        let Some((_, may)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            assert!(["lib", "main", "bin"].contains(&room.as_str()), "src/{room} is a room without rules: add it here");
            continue;
        };
        let banned: Vec<String> = ROOMS
            .iter()
            .map(|(other, _)| *other)
            .filter(|other| *other != room && !may.contains(other))
            .flat_map(|other| [format!("crate::{other}"), format!("andon::{other}")])
            .collect();
        complaints.extend(source.naming(&banned.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    assert_none(&complaints, "a room may name only the rooms before it (see ROOMS in this test)");
}

#[test]
fn files_stay_small() {
    let complaints: Vec<String> = sources()
        .iter()
        .filter(|source| source.lines > LINES_AT_MOST)
        .map(|source| format!("src/{} has {} lines", source.path.display(), source.lines))
        .collect();
    assert_none(&complaints, &format!("no file over {LINES_AT_MOST} lines"));
}

#[test]
fn the_check_itself_sees_what_it_should() {
    assert!(names("use std::time::Instant;", "Instant"));
    assert!(names("    let now = tokio::time::now();", "tokio"));
    assert!(names("metrics::counter!(X)", "metrics::"));
    assert!(!names("fn constant_instants() {}", "Instant"));
    assert!(!names("use crate::domain::calendar;", "crate::cal"));
    assert_eq!(without_comment("let a = 1; // tokio"), "let a = 1; ");
    assert_eq!(without_comment("let a = \"http://x\"; // y"), "let a = \"http://x\"; ");
}
