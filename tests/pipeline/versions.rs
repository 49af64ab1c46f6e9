//! A configuration version that begins in the past: it changes what was told, or it is refused.

use andon::domain::time::{FOREVER, Ms, Span, rfc3339};

use super::replay::{agree, database, on, read_to};
use crate::support::{Site, until};

const MINUTE: Ms = 60_000;

fn now() -> Ms {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as Ms
}

fn file(tenant: &str, threshold_s: u32) -> String {
    format!(
        "[tenant]\nname = \"{tenant}\"\ncompany = \"T\"\ntime_zone = \"UTC\"\nlocale = \"en\"\n\
         [[line]]\nname = \"l1\"\ntitle = \"l1\"\nperformance = 60.0\navailability_target = 0.9\noee_target = 0.75\n\
         downtime_threshold_s = {threshold_s}\n  [[line.area]]\n  id = 1\n  name = \"a1\"\n  role = \"output\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_the_past_is_booked_anew_as_far_as_the_line_remembers_and_refused_before() {
    let site = Site::new();
    let tenant = site.tenant("versions");
    let folder = tempfile::tempdir().expect("a scratch folder");
    let written = |threshold_s: u32| {
        let path = folder.path().join(format!("{threshold_s}.toml"));
        std::fs::write(&path, file(&tenant, threshold_s)).expect("a scratch file");
        path.to_str().expect("a plain path").to_owned()
    };
    site.andon_ok(&["migrate"]);
    site.andon_ok(&["tenant", "apply", &written(60)]);
    let db = database(&site, &tenant).await;

    // A piece every 20 s for an hour: no stop above 60 s, one between every two above 15 s.
    let start = now() - 60 * MINUTE;
    let rows: Vec<String> = (0..180).map(|n| format!("{},{},1", n + 1, start + n * 20_000)).collect();
    let recording = folder.path().join("pieces.csv");
    std::fs::write(&recording, format!("detection_id,detected_at,area_id\n{}\n", rows.join("\n"))).expect("written");
    let process = site.spawn("process").await;
    site.andon_ok(&on("replay", &tenant, "l1", &[recording.to_str().expect("a plain path")]));
    read_to(&db, "l1", 180).await;

    let hour_ago = rfc3339(start);
    let refused = site.andon(&["tenant", "apply", &written(15), "--from", &hour_ago]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    let earliest = db.rebookable_from("l1").await.expect("read");
    assert!(text.contains("line l1 can be booked anew from"), "{text}");
    assert!(earliest > start && earliest < now() - 10 * MINUTE, "{earliest}");
    assert_eq!(db.versions().await.expect("read").len(), 1, "nothing was saved");

    let from = now() - 6 * MINUTE;
    site.andon_ok(&["tenant", "apply", &written(15), "--from", &rfc3339(from)]);
    until("the version to be taken over", async || {
        let stops = db.stops("l1", Span::new(0, FOREVER), None, 1_000).await.map_err(|why| why.to_string())?;
        if stops.len() > 10 { Ok(()) } else { Err(format!("{} stops", stops.len())) }
    })
    .await;
    assert!(process.terminate().await.success());
    let stops = agree(&site, &db, &tenant, "l1").await;
    assert!(stops.iter().all(|stop| stop.started_at >= from - 10_000 - 20_000), "none of before: {stops:?}");
}
