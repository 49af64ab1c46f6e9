//! Somebody who gives stops their reasons while everything burns: through the gateway, or as rows of the database. Who
//! gets no answer asks again with the same key, as a good client does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use andon::kafka::codec;
use andon::kafka::schemas::SchemaIds;
use andon::kafka::topics;
use andon::store::{CommandBody, NewCommand, Store};
use reqwest::Client;
use serde_json::{Value, json};

use super::chance::Chance;
use super::feed::Book;
use super::plant::REASONS;
use super::tail::Tail;

/// A reason that was given.
#[derive(Clone, Debug)]
pub struct Word {
    pub tenant: String,
    pub line: String,
    downtime_id: String,
    reason: &'static str,
    /// The comment, and part of the key.
    pub mark: String,
    through_gateway: bool,
    /// The gateway has said that it is done; or that it never will be.
    pub answered: Option<bool>,
    /// It was accepted, with or without being done yet.
    pub is_accepted: bool,
    tries: u32,
}

/// See the module.
pub struct Operator {
    pub words: Arc<Mutex<Vec<Word>>>,
    stop: Arc<AtomicBool>,
    task: Option<tokio::task::JoinHandle<()>>,
}

struct Desk {
    url: String,
    /// By tenant: a user and its password.
    password: &'static str,
    client: Client,
    store: Store,
    words: Arc<Mutex<Vec<Word>>>,
    chance: Chance,
    tail: Arc<Tail>,
    book: Arc<Book>,
    tokens: std::collections::HashMap<String, String>,
    count: usize,
}

pub const PASSWORD: &str = "correct horse";

// === impl Operator ===

impl Operator {
    pub fn start(url: &str, store: Store, tail: Arc<Tail>, book: Arc<Book>, seed: u64) -> Operator {
        let (words, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let client = Client::builder().timeout(Duration::from_secs(5)).build().expect("a client");
        let mut desk = Desk {
            url: url.to_owned(),
            password: PASSWORD,
            client,
            store,
            words: words.clone(),
            chance: Chance::new(seed),
            tail,
            book,
            tokens: std::collections::HashMap::new(),
            count: 0,
        };
        let stopping = stop.clone();
        let task = tokio::spawn(async move {
            while !stopping.load(Ordering::Relaxed) {
                desk.say_something();
                desk.send_open().await;
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            // What is still open is asked for until it has an answer.
            for _ in 0..20 {
                desk.send_open().await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        Operator { words, stop, task: Some(task) }
    }

    pub async fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.take() {
            task.await.expect("the operator does not panic");
        }
    }
}

// === impl Desk ===

impl Desk {
    /// Picks a stop that the topics tell of.
    fn say_something(&mut self) {
        let lines = self.book.lines.lock().unwrap().clone();
        let (tenant, line) = self.chance.pick(&lines).clone();
        let ids = SchemaIds::builtin();
        let latest = self.tail.latest(&topics::downtime(&tenant, &line));
        let stops: Vec<String> = latest
            .values()
            .rev()
            .filter_map(|payload| codec::decode_stop(payload.as_ref()?, &ids).ok())
            .map(|told| told.stop.downtime_id)
            .take(5)
            .collect();
        if stops.is_empty() {
            return;
        }
        let (downtime_id, reason) = (self.chance.pick(&stops).clone(), *self.chance.pick(&REASONS));
        self.count += 1;
        let word = Word {
            tenant,
            line,
            downtime_id,
            reason,
            mark: format!("word-{}", self.count),
            through_gateway: self.chance.permille(600),
            answered: None,
            is_accepted: false,
            tries: 0,
        };
        self.words.lock().unwrap().push(word);
    }

    async fn send_open(&mut self) {
        let open: Vec<(usize, Word)> = {
            let words = self.words.lock().unwrap();
            let open = words.iter().enumerate().filter(|(_, w)| !w.is_accepted && w.answered.is_none() && w.tries < 60);
            open.map(|(at, word)| (at, word.clone())).take(4).collect()
        };
        for (at, mut word) in open {
            word.tries += 1;
            if word.through_gateway {
                self.put(&mut word).await
            } else {
                self.insert(&mut word).await
            }
            self.words.lock().unwrap()[at] = word;
        }
    }

    async fn put(&mut self, word: &mut Word) {
        let Some(token) = self.token(&word.tenant).await else { return };
        let url = format!("{}/api/v1/downtime/{}", self.url, word.downtime_id);
        let wish = json!({"reason_code": word.reason, "comment": word.mark});
        let request = self.client.put(url).bearer_auth(token).header("idempotency-key", &word.mark).json(&wish);
        let Ok(answer) = request.send().await else { return };
        match answer.status().as_u16() {
            200 => (word.answered, word.is_accepted) = (Some(true), true),
            202 => word.is_accepted = true,
            401 => {
                self.tokens.remove(&word.tenant);
            }
            404 | 409 | 422 => word.answered = Some(false),
            _ => {}
        }
    }

    async fn token(&mut self, tenant: &str) -> Option<String> {
        if let Some(token) = self.tokens.get(tenant) {
            return Some(token.clone());
        }
        let body = json!({"username": format!("user-{tenant}"), "password": self.password});
        let answer = self.client.post(format!("{}/api/v1/auth/login", self.url)).json(&body).send().await.ok()?;
        let body: Value = answer.json().await.ok()?;
        let token = body["access_token"].as_str()?.to_owned();
        self.tokens.insert(tenant.to_owned(), token.clone());
        Some(token)
    }

    /// Twice, as somebody who has lost the first answer.
    async fn insert(&mut self, word: &mut Word) {
        let command = NewCommand {
            idempotency_key: word.mark.clone(),
            line: word.line.clone(),
            body: CommandBody::Classify {
                downtime_id: word.downtime_id.clone(),
                reason_code: Some(word.reason.to_owned()),
                comment: Some(word.mark.clone()),
                was: None,
            },
            author: "fire".to_owned(),
        };
        let Ok(db) = self.store.tenant(&word.tenant).await else { return };
        for _ in 0..2 {
            word.is_accepted |= db.submit(&command).await.is_ok();
        }
    }
}
