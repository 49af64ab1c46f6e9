//! The pages in a real browser, in front of the real program with a simulated plant behind.

use std::process::{Child, Command, Stdio};

use crate::support::Site;

fn file(tenant: &str) -> String {
    format!(
        r#"
[tenant]
name = "{tenant}"
company = "Browser Test"
time_zone = "Europe/Madrid"
locale = "es"

[[shift]]
name = "first"
start = "00:00"
end = "12:00"

[[shift]]
name = "second"
start = "12:00"
end = "00:00"

[[product]]
id = 7
code = "BOT-500"
name = "Botella"
production_std = 240.0

[[reason]]
code = "jam"
name = "Atasco"

[[reason]]
code = "setup"
name = "Cambio"
kind = "changeover"

[[line]]
name = "l1"
title = "Llenadora"
performance = 240.0
oee_target = 0.75
downtime_threshold_s = 30
  [[line.area]]
  id = 1
  name = "salida"
  role = "output"
  cameras = [11]

[[line]]
name = "l2"
title = "Etiquetadora"
performance = 240.0
downtime_threshold_s = 30
  [[line.area]]
  id = 1
  name = "salida"
  role = "output"
  cameras = [21]
"#
    )
}

/// The plant's process, ended with the test.
struct Plant(Child);

impl Drop for Plant {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a script of `web/browser` as a user of a plant of its own.
async fn browse(script: &str, role: &str) {
    let site = Site::new();
    let tenant = site.tenant("browser");
    let folder = tempfile::tempdir().expect("a scratch folder");
    let spec = folder.path().join("tenant.toml");
    std::fs::write(&spec, file(&tenant)).expect("written");
    site.andon_ok(&["migrate"]);
    site.andon_ok(&["tenant", "apply", spec.to_str().expect("a path")]);
    site.andon_with_input(&["user", "create", "--tenant", &tenant, "--role", role, "marta"], "correct horse");
    let andon = site.spawn("serve").await;
    let plant = Command::new(env!("CARGO_BIN_EXE_andon"))
        .args(["simulate", "--tenant", &tenant, "--from", "now-6h"])
        .envs(site.env())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _plant = Plant(plant.expect("failed to start the plant"));

    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut browser = tokio::process::Command::new("node");
    let told = browser
        .arg(script)
        .current_dir(root.join("web"))
        .env("ANDON_URL", &andon.url)
        .env("ANDON_USER", "marta")
        .env("ANDON_PASSWORD", "correct horse")
        .env("ANDON_SHOTS", root.join("target/browser"))
        .kill_on_drop(true)
        .output();
    let told = tokio::time::timeout(crate::support::PATIENCE * 4, told).await.expect("the browser takes too long");
    let told = told.expect("node cannot be started: `make test` installs it");
    let said = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    println!("{said}");
    assert!(told.status.success(), "in the browser:\n{said}\npictures are in target/browser");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_lines_live_and_gives_a_stop_its_reason() {
    browse("browser/smoke.mjs", "OPERATOR").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_widgets_is_live_ones_own_and_dims_when_the_link_is_lost() {
    browse("browser/dashboard.mjs", "OPERATOR").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_is_paired_by_a_code_and_goes_dark_when_it_is_revoked() {
    browse("browser/pair.mjs", "MANAGER").await;
}
