//! Pythons with the clients and tools of others, for tests that hold Andon against them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python with the packages of `tests/{name}/requirements.txt`, made once and kept under `target`.
pub fn python(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = root.join("target").join(name);
    let python = home.join("bin/python");
    let wanted = root.join("tests").join(name).join("requirements.txt");
    let packages = std::fs::read_to_string(&wanted).expect("a list of packages");
    let marker = home.join("ready");
    if std::fs::read_to_string(&marker).is_ok_and(|made_of| made_of == packages) {
        return python;
    }
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().expect("python3 is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(Path::new("python3"), &["-m", "venv", home.to_str().expect("a plain path")]);
    run(&python, &["-m", "pip", "install", "--quiet", "-r", wanted.to_str().expect("a plain path")]);
    std::fs::write(marker, packages).expect("writable");
    python
}
