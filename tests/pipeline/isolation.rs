//! A tenant in trouble is a matter of its own.

use andon::store::TenantDb;
use serde_json::Value;

use super::engine::{ALWAYS, Bench, now, piece};
use crate::support::proxy::{Proxy, Trouble};
use crate::support::{Andon, Servers, until};

async fn rows(db: &TenantDb, count: usize) {
    until("the rows", async || {
        let rows = db.detections("l1", ALWAYS, true).await.map_err(|error| error.to_string())?;
        if rows.len() == count { Ok(()) } else { Err(format!("{} rows", rows.len())) }
    })
    .await;
}

/// Whether the process calls itself ready, and who it says has trouble.
async fn told(andon: &Andon) -> (bool, Vec<String>) {
    let answer = reqwest::get(format!("{}/ready", andon.admin)).await.expect("an answer");
    let report: Value = answer.json().await.expect("a report");
    let troubles = report["troubles"].as_array().into_iter().flatten();
    (report["ready"] == true, troubles.filter_map(|trouble| trouble["name"].as_str().map(str::to_owned)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_database_is_silent_is_shown_disturbs_nobody_and_catches_up() {
    let bench = Bench::new().await;
    let (_, database) =
        Servers::from_env().database.rsplit_once('@').map(|(a, s)| (a.to_owned(), s.to_owned())).unwrap();
    let proxy = Proxy::start(&database).await;
    let (sick, sick_db) = bench.neighbour(proxy.port).await;
    let andon = Andon::start(&["process"], &bench.env());
    andon.ready().await;
    for trouble in [Trouble::Silence, Trouble::Cut { within: 1 }] {
        let before = bench.db.detections("l1", ALWAYS, true).await.expect("read").len();
        bench.send([piece(now(), now())]);
        bench.send_to(&sick, [piece(now(), now())]);
        rows(&bench.db, before + 1).await;
        rows(&sick_db, before + 1).await;
        until("all to be well", async || {
            let told = told(&andon).await;
            if told == (true, vec![]) { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;

        proxy.set(trouble);
        bench.send_to(&sick, [piece(now(), now())]);
        let expected = (true, vec![format!("tenant {sick}")]);
        until("the sick tenant to be shown", async || {
            let told = told(&andon).await;
            if told == expected { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;
        assert_eq!(andon.metric(&format!("andon_tenant_troubled{{tenant=\"{sick}\"}}")).await, Some(1.0));
        bench.send([piece(now(), now())]);
        rows(&bench.db, before + 2).await;

        proxy.set(Trouble::None);
        rows(&sick_db, before + 2).await;
        until("the trouble to be over", async || {
            let told = told(&andon).await;
            if told == (true, vec![]) { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;
    }
}
