//! What scripts see of `andon`: exit codes, and messages that name the cause and the fix. No servers needed.

use std::process::{Command, Output, Stdio};

/// Runs `andon` in a folder without a configuration file, with nothing of Andon's in its environment but `env`.
fn andon(arguments: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_andon"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ANDON_")) {
        command.env_remove(name);
    }
    let command = command.args(arguments).envs(env.iter().copied()).current_dir(folder.path()).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap_or(-1), text)
}

/// Nobody listens on the first port of the loopback: only the system could.
const NOBODY: &str = "127.0.0.1:1";
const NO_DATABASE: (&str, &str) = ("ANDON_DATABASE_URL", "mysql://root@127.0.0.1:1/andon_global");

#[test]
fn a_wrong_key_is_named_and_ends_with_64() {
    let (code, text) = andon(&["config", "check"], &[("ANDON_KAFKA__BROKER", "localhost:9092")]);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("ANDON_KAFKA__BROKER") && text.contains("kafka.brokers"), "{text}");
}

#[test]
fn a_wrong_file_is_bad_configuration_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tenant.toml");
    std::fs::write(&file, "[tenant]\nname = \"t\"\ntime_zone = \"Europe/Atlantis\"\n").unwrap();
    let (code, text) = andon(&["tenant", "apply", file.to_str().unwrap()], &[NO_DATABASE]);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("time_zone"), "{text}");
    let (code, text) = andon(&["--config", "nowhere.toml", "config", "check"], &[]);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("nowhere.toml"), "{text}");
}

#[test]
fn a_setting_that_is_missing_is_named() {
    let (code, text) = andon(&["tenant", "list"], &[]);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("database.url") && text.contains("ANDON_DATABASE_URL"), "{text}");
}

#[test]
fn the_effective_configuration_hides_passwords() {
    let (code, text) = andon(&["config", "check"], &[("ANDON_DATABASE_URL", "mysql://andon:hush@db/andon_global")]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("mysql://andon:") && !text.contains("hush"), "{text}");
}

#[test]
fn a_server_that_is_away_ends_with_69() {
    let (code, text) = andon(&["tenant", "list"], &[NO_DATABASE]);
    assert_eq!(code, 69, "{text}");
    assert!(text.contains("127.0.0.1:1"), "{text}");
    let (code, text) = andon(&["topics", "list"], &[("ANDON_KAFKA_BROKERS", NOBODY)]);
    assert_eq!(code, 69, "{text}");
}

#[test]
fn wrong_usage_ends_with_2() {
    let kafka = ("ANDON_KAFKA_BROKERS", NOBODY);
    for arguments in [
        &["sing"][..],
        &["replay", "--tenant", "t"],
        &["replay", "--tenant", "t", "--line", "l1", "--speed", "fast", "x.csv"],
        &["simulate", "--tenant", "t", "--from", "tomorrow"],
        &["simulate", "--tenant", "t", "--from", "now+1h"],
        &["simulate", "--tenant", "t", "--rate", "-1"],
        &["user", "create", "--tenant", "t", "--role", "KING", "ada"],
        &[
            "recompute",
            "--tenant",
            "t",
            "--line",
            "l1",
            "--from",
            "2026-01-02T00:00:00Z",
            "--to",
            "2026-01-01T00:00:00Z",
        ],
    ] {
        let (code, text) = andon(arguments, &[kafka, NO_DATABASE]);
        assert_eq!(code, 2, "{arguments:?}: {text}");
    }
}
