//! What a year of a busy line takes to be asked about: each widget over all of it, and the plain question to the
//! detections beside it.
//!
//! The year is produced into a topic and worked off by a process like any other; then a gateway is asked over HTTP.
//! Each question ends some hours before the one before, so that none is answered twice.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use crate::bench::gateway::{failed, keys, up};
use crate::bench::load::{LineLoad, Shape};
use crate::bench::member::Member;
use crate::bench::pipeline::spawn;
use crate::bench::site::{BenchError, BenchSite};
use crate::bench::watch::now;
use crate::config::Config;
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms, rfc3339};
use crate::store::tenant_database;

/// Of the load: about 82,000 detections a day, 30 million a year.
const SEED: u64 = 1;
/// The process may stand still for so long before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A widget's answers.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryFigure {
    /// Or `plain`: the sums by day, area and product from the detections themselves.
    pub widget: String,
    pub days: u32,
    pub detections: usize,
    /// Questions that were answered.
    pub asked: usize,
    pub first_ms: f64,
    pub p50_ms: f64,
    pub max_ms: f64,
    /// Of an answer.
    pub bytes: usize,
}

/// Makes `days` of a line, then asks each widget `times` times about all of it.
///
/// # Errors
/// When servers or processes fail.
pub async fn run(config: &Config, days: u32, times: usize, log: &Path) -> Result<Vec<HistoryFigure>, BenchError> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let site = BenchSite::open(config, 1, 1_000).await?.at(&listen);
    let measured = measure(&site, &listen, days, times, log).await;
    site.close().await?;
    measured
}

async fn measure(
    site: &BenchSite,
    listen: &str,
    days: u32,
    times: usize,
    log: &Path,
) -> Result<Vec<HistoryFigure>, BenchError> {
    let end = now().div_euclid(HOUR_MS) * HOUR_MS;
    let from = end - Ms::from(days) * 24 * HOUR_MS;
    let member = Member::start(site, "history", log)?;
    let detections = produce(site, from, end)?;
    worked_off(site, detections as i64).await?;
    drop(member);

    let key = keys(site, &site.lines[0].0, 1).await?.remove(0);
    let _gateway = spawn(site, "gateway")?;
    up(listen).await?;
    let mut figures = Vec::new();
    for widget in catalogue(listen, &key).await? {
        let mut asked = Vec::new();
        for time in 0..times as Ms {
            let period = (from + MINUTE_MS, end - time * 7 * HOUR_MS);
            let url = format!(
                "http://{listen}/api/v1/dashboard/widgets/{widget}?line=l0&from={}&to={}",
                rfc3339(period.0),
                rfc3339(period.1)
            );
            asked.extend(ask(url, key.clone()).await?);
        }
        figures.push(figure(&widget, (days, detections), &asked));
    }
    let mut asked = Vec::new();
    for _ in 0..2 {
        asked.push((plain(site, from, end).await?, 0));
    }
    figures.push(figure("plain", (days, detections), &asked));
    Ok(figures)
}

fn produce(site: &BenchSite, from: Ms, end: Ms) -> Result<usize, BenchError> {
    let mut producer = site.producer(Duration::from_millis(50))?;
    let (topic, mut payload, mut sent) = (site.topic(0), Vec::new(), 0);
    let shape = Shape { late_percent: 2, repeat_percent: 0 };
    for (_, detection) in LineLoad::new(SEED, 0, from, shape).take_while(|(at, _)| *at < end) {
        site.send(&mut producer, &topic, &detection, &mut payload)?;
        sent += 1;
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(sent)
}

async fn worked_off(site: &BenchSite, detections: i64) -> Result<(), BenchError> {
    let (tenant, line) = &site.lines[0];
    let (mut reached, mut since) = (-1, Instant::now());
    while reached < detections {
        let at = site.store.tenant(tenant).await?.checkpoint(line).await?.map_or(-1, |there| there.next_offset);
        if at > reached {
            (reached, since) = (at, Instant::now());
        }
        if since.elapsed() > PATIENCE {
            return Err(failed(format!("the process stands at {reached} of {detections} detections")));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// The widgets that have a past.
async fn catalogue(listen: &str, key: &str) -> Result<Vec<String>, BenchError> {
    let body = get(format!("http://{listen}/api/v1/dashboard/widgets"), key.to_owned()).await?.unwrap_or_default();
    let told: Value = serde_json::from_slice(&body).map_err(failed)?;
    let has_past = |widget: &&Value| widget["filters"].as_array().is_some_and(|all| all.contains(&"period".into()));
    let widgets = told["items"].as_array().into_iter().flatten().filter(has_past);
    Ok(widgets.filter_map(|widget| widget["widget"].as_str().map(str::to_owned)).collect())
}

/// Milliseconds to a whole answer, and its bytes; none where it is refused, as hours of a year are: too many items.
async fn ask(url: String, key: String) -> Result<Option<(f64, usize)>, BenchError> {
    let started = Instant::now();
    match get(url, key).await? {
        Some(body) => Ok(Some((started.elapsed().as_secs_f64() * 1e3, body.len()))),
        None => Ok(None),
    }
}

async fn get(url: String, key: String) -> Result<Option<Vec<u8>>, BenchError> {
    let asked = tokio::task::spawn_blocking(move || -> Result<Option<Vec<u8>>, ureq::Error> {
        match ureq::get(&url).header("authorization", format!("Bearer {key}")).call() {
            Ok(mut answer) => answer.body_mut().read_to_vec().map(Some),
            Err(ureq::Error::StatusCode(400)) => Ok(None),
            Err(why) => Err(why),
        }
    });
    asked.await.map_err(failed)?.map_err(failed)
}

/// What one would write without a rollup: milliseconds.
async fn plain(site: &BenchSite, from: Ms, end: Ms) -> Result<f64, BenchError> {
    let (tenant, line) = &site.lines[0];
    let database = tenant_database(tenant)?;
    let (server, _) = site.database_url.rsplit_once('/').ok_or_else(|| failed("a database address without a name"))?;
    let mut connection = MySqlConnection::connect(&format!("{server}/{database}")).await?;
    let sql = format!(
        "SELECT DATE(detected_at) AS day, area_id, product_id, COUNT(*), SUM(quantity) FROM `detection_line_{line}`
         WHERE detected_at >= FROM_UNIXTIME(?) AND detected_at < FROM_UNIXTIME(?) GROUP BY day, area_id, product_id"
    );
    let started = Instant::now();
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(from / 1_000).bind(end / 1_000).fetch_all(&mut connection).await?;
    if rows.is_empty() {
        return Err(failed("the line has no detections"));
    }
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

fn figure(widget: &str, (days, detections): (u32, usize), asked: &[(f64, usize)]) -> HistoryFigure {
    let mut times: Vec<f64> = asked.iter().map(|(ms, _)| *ms).collect();
    let first_ms = times.first().copied().unwrap_or(f64::NAN);
    times.sort_by(f64::total_cmp);
    HistoryFigure {
        widget: widget.to_owned(),
        days,
        detections,
        asked: times.len(),
        first_ms,
        p50_ms: times.get(times.len() / 2).copied().unwrap_or(f64::NAN),
        max_ms: times.last().copied().unwrap_or(f64::NAN),
        bytes: asked.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default(),
    }
}
