//! The end: what was acknowledged, what the tables hold, what readers were told and what a recomputation says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use andon::domain::production::detection::{CameraStatus, Detection, Health};
use andon::domain::production::input::LineInput;
use andon::domain::production::stop::{Stop, StopStatus};
use andon::domain::production::sums::Sums;
use andon::domain::time::{FOREVER, Span, rfc3339};
use andon::kafka::codec;
use andon::kafka::schemas::SchemaIds;
use andon::kafka::topics;
use andon::store::{Store, TenantDb};
use serde_json::Value;
use sqlx::Row;

use super::feed::{Entry, Fate, What};
use super::field::Field;
use super::plant::EXIT_AREA;
use super::tail::{LineName, Place};

/// How long everything may take to be worked off once nothing breaks any more.
const PATIENCE: Duration = Duration::from_secs(120);
const ALWAYS: Span = Span { from: 0, to: FOREVER };

/// What a line's records should have come to.
#[derive(Default)]
pub struct Expected {
    /// By identity: content, and whether the brokers have acknowledged it at least once.
    pieces: HashMap<(i64, i64), (Detection, bool)>,
    statuses: HashMap<(i32, i64, Health), bool>,
    /// Cut from the log: who came later with one of these identities is no impostor.
    gone: HashSet<(i64, i64)>,
    /// By offset: the reason.
    letters: BTreeMap<i64, &'static str>,
    /// Whether some record's fate is unknown: a dead letter more may be its.
    has_unknown: bool,
}

impl Field {
    /// Lets everything come to rest, then compares.
    pub async fn verdict(&mut self) {
        let feed_stopped = tokio::task::block_in_place(|| {
            self.feed.stop();
            self.feed.book.waiting()
        });
        if feed_stopped > 0 {
            self.report.complain(format!("{feed_stopped} records have no answer of the brokers"));
        }
        self.operator.stop().await;
        for member in 0..self.plan.members {
            self.members[member].start();
        }
        let direct = format!("mysql://root@{}/andon_global", self.servers.database());
        let store = Store::connect(&direct).await.expect("the database is up");
        if !self.settle(&store).await {
            return;
        }
        // Two seconds of silence: the line's clock goes on, and figures follow it.
        self.pause(Duration::from_secs(3)).await;
        for member in 0..self.members.len() {
            let name = self.members[member].name.clone();
            if !self.members[member].terminate(Duration::from_secs(25)).await {
                self.report.complain(format!("{name} did not end within 25 s of SIGTERM"));
            }
        }
        if !tokio::task::block_in_place(|| self.tail.catch_up(PATIENCE)) {
            self.report.complain("the output topics could not be read to their ends");
        }
        self.report.told = self.tail.count();
        for (at, name) in self.lines().into_iter().enumerate() {
            let db = store.tenant(&name.0).await.expect("the tenant");
            let expected = self.expected(at);
            self.check_rows(&db, &name, &expected).await;
            self.check_telling(&name, &expected).await;
            self.check_results(&db, &name).await;
        }
        for tenant in &self.tenants {
            let verify = ["topics", "verify", "--tenant", &tenant.name];
            if let Err(why) = tokio::task::block_in_place(|| self.console.run(&verify, None)) {
                self.report.complain(why);
            }
        }
        self.check_commands().await;
        for member in self.members.iter().chain([&self.gateway]) {
            self.report.falls.insert(member.name.clone(), member.falls.clone());
        }
    }

    /// Waits until every line has read its log to the end and no command waits.
    pub async fn settle(&mut self, store: &Store) -> bool {
        let begun = Instant::now();
        let names = self.lines();
        loop {
            let mut behind = Vec::new();
            for (at, (tenant, line)) in names.iter().enumerate() {
                let end = self.feed.book.end(at);
                let db = store.tenant(tenant).await.expect("the tenant");
                let read = db.checkpoint(line).await.ok().flatten().map_or(-1, |c| c.next_offset);
                if read < end {
                    behind.push(format!("{tenant}.{line} at {read} of {end}"));
                }
                if at == 0 || names[at - 1].0 != *tenant {
                    let waiting = db.pending().await.map_or(1, |commands| commands.len());
                    if waiting > 0 {
                        behind.push(format!("{waiting} commands of {tenant}"));
                    }
                }
            }
            if behind.is_empty() {
                return true;
            }
            if begun.elapsed() > PATIENCE {
                self.report.complain(format!("not caught up {PATIENCE:?} after the storm: {}", behind.join(", ")));
                return false;
            }
            self.pause(Duration::from_millis(200)).await;
        }
    }

    pub fn expected(&mut self, line: usize) -> Expected {
        let mut expected = Expected::default();
        let entries = self.feed.book.entries.lock().unwrap();
        for Entry { what, fate, .. } in entries.iter().filter(|entry| entry.line == line) {
            self.report.sent += 1;
            let is_cut =
                |offset: i64| self.cuts.iter().any(|cut| cut.line == line && (cut.from..cut.to).contains(&offset));
            let is_gone = matches!(fate, Fate::Acknowledged(offset) if is_cut(*offset));
            let is_acknowledged = matches!(fate, Fate::Acknowledged(_)) && !is_gone;
            self.report.acknowledged += usize::from(is_acknowledged);
            self.report.cut += usize::from(is_gone);
            expected.has_unknown |= !is_acknowledged;
            match what {
                What::Piece(detection) => {
                    let identity = (detection.detection_id, detection.detected_at);
                    if is_gone {
                        expected.gone.insert(identity);
                    }
                    expected.pieces.entry(identity).or_insert((*detection, false)).1 |= is_acknowledged;
                }
                What::Status(CameraStatus { camera_id, at, status, .. }) => {
                    *expected.statuses.entry((*camera_id, *at, *status)).or_default() |= is_acknowledged;
                }
                What::Bad(why) => {
                    if let Fate::Acknowledged(offset) = fate
                        && !is_gone
                    {
                        expected.letters.insert(*offset, why);
                    }
                }
            }
        }
        expected
    }

    /// Acknowledged detections and statuses are stored once.
    pub async fn check_rows(&mut self, db: &TenantDb, (tenant, line): &LineName, expected: &Expected) {
        let name = format!("{tenant}.{line}");
        let rows = db.detections(line, ALWAYS, true).await.expect("read");
        let mut stored: HashMap<(i64, i64), &Detection> = HashMap::new();
        for (row, is_late) in &rows {
            let identity = (row.detection_id, row.detected_at);
            self.report.rows += 1;
            self.report.late += usize::from(*is_late);
            if stored.insert(identity, row).is_some() {
                self.report.doubled += 1;
                self.report.complain(format!("{name}: {identity:?} is there twice"));
            }
            match expected.pieces.get(&identity) {
                None => self.report.complain(format!("{name}: nobody sent {identity:?}")),
                Some((sent, _)) if sent != row && !expected.gone.contains(&identity) => {
                    self.report.complain(format!("{name}: {row:?} is stored, {sent:?} was sent"));
                }
                Some(_) => {}
            }
        }
        let lost = expected.pieces.iter().filter(|(id, (_, acknowledged))| *acknowledged && !stored.contains_key(id));
        let lost: Vec<_> = lost.map(|(id, _)| *id).collect();
        self.report.lost += lost.len();
        if !lost.is_empty() {
            let some = &lost[..lost.len().min(5)];
            self.report.complain(format!("{name}: {} acknowledged detections are lost: {some:?} …", lost.len()));
        }
        let mut statuses: HashMap<(i32, i64, Health), usize> = HashMap::new();
        for input in db.inputs(line).await.expect("read") {
            if let LineInput::CameraStatus { status, .. } = input.input {
                *statuses.entry((status.camera_id, status.at, status.status)).or_default() += 1;
            }
        }
        for (status, acknowledged) in &expected.statuses {
            let times = statuses.get(status).copied().unwrap_or(0);
            self.report.lost += usize::from(*acknowledged && times == 0);
            self.report.doubled += times.saturating_sub(1);
            if (*acknowledged && times == 0) || times > 1 {
                self.report.complain(format!("{name}: status {status:?} is stored {times} times"));
            }
        }
        // Pieces that were counted: a row that was counted twice shows here.
        let mut sums = Sums::default();
        db.minutes(line, ALWAYS).await.expect("read").iter().for_each(|row| sums += &row.sums);
        let counted = rows.iter().filter(|(row, late)| !late && row.area_id == EXIT_AREA);
        let counted: i64 = counted.map(|(row, _)| i64::from(row.quantity)).sum();
        if sums.total != counted {
            self.report.doubled += (sums.total - counted).max(0) as usize;
            self.report.complain(format!("{name}: {} pieces in the minutes, {counted} in the rows", sums.total));
        }
    }

    /// What was committed to be told was told, once and in order; late copies and dead letters are those expected.
    async fn check_telling(&mut self, name: &LineName, expected: &Expected) {
        let title = format!("{}.{}", name.0, name.1);
        let mut complaints = Vec::new();
        let (promised, commits) = self.committed.of(name, &mut complaints).await;
        self.report.commits += commits;
        let told = self.tail.told(name);
        let mut seen: HashSet<&Place> = HashSet::new();
        let mut indices: BTreeMap<(u32, u64), Vec<u32>> = BTreeMap::new();
        let mut letters: BTreeMap<i64, String> = BTreeMap::new();
        let mut copies: HashSet<i64> = HashSet::new();
        for record in &told {
            let place = &record.place;
            if !seen.insert(place) {
                self.report.doubled += 1;
                complaints.push(format!("{title}: {place:?} was told twice"));
            }
            match promised.get(place) {
                None => complaints.push(format!("{title}: {place:?} was told and never committed")),
                Some(hash) if *hash != record.hash => {
                    complaints.push(format!("{title}: {place:?} was told otherwise than committed"));
                }
                Some(_) => {}
            }
            indices.entry((place.incarnation, place.seq)).or_default().push(place.index);
            let is_new = match &record.aside {
                Some((offset, Some(reason))) => letters.insert(*offset, reason.clone()).is_none(),
                Some((offset, None)) => copies.insert(*offset),
                None => true,
            };
            if !is_new {
                self.report.doubled += 1;
                complaints.push(format!("{title}: a late copy or dead letter came twice: {:?}", record.aside));
            }
        }
        for (commit, mut of) in indices {
            of.sort_unstable();
            if of.iter().enumerate().any(|(at, index)| at != *index as usize) {
                complaints.push(format!("{title}: commit {commit:?} has records {of:?}"));
            }
        }
        let untold: Vec<&Place> = promised.keys().filter(|place| !seen.contains(place)).collect();
        if let Some(first) = untold.iter().min() {
            self.report.lost += untold.len();
            complaints.push(format!("{title}: {} committed records were never told, first {first:?}", untold.len()));
        }
        self.report.dead_letters += letters.len();
        for (offset, why) in &expected.letters {
            let is_first_now = *why == "id_conflict" && !expected.gone.is_empty() && !letters.contains_key(offset);
            if letters.get(offset).map(String::as_str) != Some(*why) && !is_first_now {
                self.report.lost += 1;
                complaints.push(format!(
                    "{title}: offset {offset} should be a dead letter ({why}): {:?}",
                    letters.get(offset)
                ));
            }
        }
        for (offset, why) in &letters {
            if !expected.letters.contains_key(offset) && !expected.has_unknown {
                complaints.push(format!("{title}: offset {offset} is a dead letter ({why}) though it was fine"));
            }
        }
        complaints.into_iter().for_each(|text| self.report.complain(text));
    }

    /// Tables, the topics' latest and the recomputation say the same.
    pub async fn check_results(&mut self, db: &TenantDb, (tenant, line): &LineName) {
        let name = format!("{tenant}.{line}");
        let ids = SchemaIds::builtin();
        let recompute = |more: &[&str]| {
            let mut arguments = vec!["recompute", "--tenant", tenant, "--line", line, "--format", "json"];
            arguments.extend(more);
            serde_json::from_str::<Value>(&self.console.ok(&arguments)).expect("JSON")
        };
        let whole = tokio::task::block_in_place(|| recompute(&[]));
        let mut recomputed: Vec<Stop> = serde_json::from_value(whole["stops"].clone()).expect("stops");
        let mut stored = db.stops(line, ALWAYS, None, 1_000_000).await.expect("read");
        let mut told: Vec<Stop> = Vec::new();
        for payload in self.tail.latest(&topics::downtime(tenant, line)).values().flatten() {
            told.push(codec::decode_stop(payload, &ids).expect("a stop").stop);
        }
        stored.retain(|stop| stop.status != StopStatus::Retracted);
        for stops in [&mut recomputed, &mut stored, &mut told] {
            stops.sort_by_key(|stop| stop.started_at);
            stops.iter_mut().for_each(still);
        }
        differ(&format!("{name}: stops of the table and of the topic"), &stored, &told, &mut self.report.complaints);
        stored.iter_mut().for_each(|stop| stop.revision = 0);
        recomputed.iter_mut().for_each(|stop| stop.revision = 0);
        differ(
            &format!("{name}: stops of the table and recomputed"),
            &stored,
            &recomputed,
            &mut self.report.complaints,
        );
        self.report.stops_compared += stored.len();

        let mut sums = Sums::default();
        db.minutes(line, ALWAYS).await.expect("read").iter().for_each(|row| sums += &row.sums);
        let figure = &whole["figures"][0];
        let names = ["unscheduled", "planned_stop", "no_data", "running", "micro_stop", "stopped"];
        let buckets = names.map(|bucket| figure["buckets_ms"][bucket].as_i64().unwrap_or(-1));
        if (sums.buckets.to_vec(), sums.total, sums.ideal_ns)
            != (
                buckets.to_vec(),
                figure["pieces"]["total"].as_i64().unwrap_or(-1),
                figure["ideal_ns"].as_i64().unwrap_or(-1),
            )
        {
            self.report.complain(format!("{name}: the minutes add up to {sums:?}, recomputed {figure}"));
        }
        let mut compared = 0;
        for payload in self.tail.latest(&topics::oee(tenant, line)).values().flatten() {
            let told = codec::decode_figure(payload, &ids).expect("a figure").figure;
            let told_json = serde_json::to_value(&told).expect("JSON");
            if told_json["as_of"] != figure["as_of"] {
                continue;
            }
            let span = ["--from", &rfc3339(told.from), "--to", &rfc3339(told.to)].map(str::to_owned);
            let of_span = tokio::task::block_in_place(|| recompute(&span.each_ref().map(String::as_str)));
            let of_span = &of_span["figures"][0];
            compared += 1;
            for field in
                ["buckets_ms", "pieces", "ideal_ns", "stops", "micro_stops", "availability", "performance", "oee"]
            {
                if told_json[field] != of_span[field] {
                    let window = &told_json["window"];
                    let (told, recomputed) = (&told_json[field], &of_span[field]);
                    self.report.complain(format!("{name}: {field} of {window}: told {told}, recomputed {recomputed}"));
                }
            }
        }
        self.report.figures_compared += compared;
        if compared == 0 {
            self.report.note(format!("{name}: no figure was told at the line's last moment"));
        }
    }

    /// Every reason that was accepted has one outcome, and is in its line's inputs once or never accordingly.
    async fn check_commands(&mut self) {
        let words = self.operator.words.lock().unwrap().clone();
        let mut connection = self.committed.connect().await;
        for tenant in self.tenants.iter().map(|tenant| tenant.name.clone()).collect::<Vec<_>>() {
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT idempotency_key, outcome FROM andon_t_{tenant}.command WHERE kind = 'classify'"
            )))
            .fetch_all(&mut connection)
            .await
            .expect("read");
            let mut outcomes: HashMap<String, Vec<Option<String>>> = HashMap::new();
            for row in rows {
                let key: String = row.get(0);
                // The gateway puts the user before the key.
                let mark = key.rsplit(':').next().unwrap_or_default().to_owned();
                outcomes.entry(mark).or_default().push(row.get(1));
            }
            let inputs = sqlx::query(sqlx::AssertSqlSafe(format!(
                "SELECT payload FROM andon_t_{tenant}.line_input WHERE kind = 'classification'"
            )))
            .fetch_all(&mut connection)
            .await
            .expect("read");
            let mut applied: HashMap<String, usize> = HashMap::new();
            for row in inputs {
                let payload: Value = serde_json::from_str(&row.get::<String, _>(0)).expect("JSON");
                let comment = payload["comment"].as_str().or(payload["Classification"]["comment"].as_str());
                *applied.entry(comment.unwrap_or_default().to_owned()).or_default() += 1;
            }
            for word in words.iter().filter(|word| word.tenant == tenant) {
                let there = outcomes.remove(&word.mark).unwrap_or_default();
                let times = applied.remove(&word.mark).unwrap_or(0);
                self.report.commands += usize::from(!there.is_empty());
                self.report.commands_applied += times;
                let is_applied = there.iter().flatten().any(|outcome| outcome.to_lowercase().contains("applied"));
                let is_right = match there.as_slice() {
                    [] => times == 0 && !word.is_accepted,
                    [Some(_)] => times == usize::from(is_applied) && word.answered != Some(!is_applied),
                    _ => false,
                };
                if !is_right {
                    self.report.complain(format!("{word:?} has the outcomes {there:?} and is an input {times} times"));
                }
            }
        }
    }
}

/// Without what grows while it is open.
fn still(stop: &mut Stop) {
    if stop.status == StopStatus::Open {
        stop.duration_ms = 0;
        stop.segments.clear();
    }
}

fn differ(what: &str, left: &[Stop], right: &[Stop], complaints: &mut Vec<String>) {
    if left == right {
        return;
    }
    let first = left.iter().zip(right).find(|(a, b)| a != b);
    complaints.push(format!("{what} differ: {} and {}, first {first:?}", left.len(), right.len()));
}
