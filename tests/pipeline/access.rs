//! Who is let in, for how long and to what, with real databases and two gateways beside each other.

use std::sync::Arc;
use std::time::Duration;

use andon::config::tenant::TenantSpec;
use andon::config::{Config, SecretUrl};
use andon::domain::time::BEGINNING;
use andon::gateway::account::password;
use andon::kafka::schemas::SchemaIds;
use andon::store::Store;
use andon::store::account::NewUser;
use andon::watch::health::Health;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

use crate::support::protocol::Protocol;
use crate::support::{PATIENCE, Servers, Site, free_address, until};

const PASSWORD: &str = "correct horse";

/// Makes of each function a test per server.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod mariadb {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Bench::new(crate::support::Site::new()).await).await;
            })*
        }
        mod mysql8 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                // Left out where there is no build of it.
                if let Some(servers) = super::Servers::mysql8() {
                    super::$name(super::Bench::new(crate::support::Site::on(servers)).await).await;
                }
            })*
        }
    };
}

on_both!(
    a_change_of_rights_holds_at_every_gateway_at_once,
    a_refresh_token_is_good_once,
    sessions_are_listed_and_ended_and_a_new_password_ends_the_others,
    many_wrong_passwords_lock_a_name_whether_it_is_anybodys_or_not,
    a_key_opens_what_its_scopes_say_until_it_is_revoked,
    an_administrator_gives_nothing_beyond_their_own,
    what_was_done_and_refused_is_written_down_without_secrets,
);

fn spec(tenant: &str) -> TenantSpec {
    let text = format!(
        "[tenant]\nname = \"{tenant}\"\ntime_zone = \"Europe/Madrid\"\n\
         [[line]]\nname = \"l1\"\n[[line.area]]\nid = 1\nrole = \"output\"\n\
         [[line]]\nname = \"l2\"\n[[line.area]]\nid = 1\nrole = \"output\"\n"
    );
    TenantSpec::parse(&text).expect("a good file")
}

/// Two gateways on a database with two tenants, each with an administrator.
struct Bench {
    site: Site,
    gateways: [String; 2],
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Bench {
    async fn new(site: Site) -> Bench {
        let store = Store::connect(&site.global_url()).await.expect("the database is up");
        store.migrate().await.expect("migrated");
        let hashed = password::hash(PASSWORD).expect("hashed");
        for (prefix, admin) in [("own", "admin"), ("other", "stranger")] {
            let tenant = site.tenant(prefix);
            store.apply_spec(&spec(&tenant), BEGINNING, "test", false).await.expect("applied");
            let row = store.tenants().await.expect("read").into_iter().find(|row| row.name == tenant);
            let new = NewUser { tenant: row.as_ref(), username: admin, password: &hashed, role: "ADMIN" };
            store.create_user(&new).await.expect("created");
        }
        let (stop, mut tasks) = (CancellationToken::new(), Vec::new());
        let gateways = [free_address(), free_address()];
        for address in &gateways {
            let mut config = Config { listen: address.parse().expect("an address"), ..Config::default() };
            // Waiting is asking, many times a second.
            config.gateway.requests_per_minute = 1_000_000;
            config.kafka.brokers = Some(site.servers.kafka.clone());
            config.database.url = Some(SecretUrl::new(site.global_url()));
            let (ids, token) = (Arc::new(SchemaIds::builtin()), stop.clone());
            let gateway = andon::gateway::run(Arc::new(config), ids, Health::new(), token);
            tasks.push(tokio::spawn(async { gateway.await.expect("a clean end") }));
        }
        let bench = Bench { site, gateways, stop, tasks };
        for gateway in 0..2 {
            let nobody = bench.nobody(gateway);
            until("the gateway to listen and to have its database", async || {
                match nobody.try_send(Method::GET, "/auth/me", None, None).await {
                    Ok((StatusCode::UNAUTHORIZED, _)) => Ok(()),
                    Ok((status, body)) => Err(format!("{status} {body}")),
                    Err(error) if error.is_connect() => Err(error.to_string()),
                    Err(error) => panic!("no answer: {error}"),
                }
            })
            .await;
            let admin = bench.sign_in(gateway, "admin", PASSWORD).await.expect("let in");
            until("the gateway to know its tenants", async || match admin.get("/users").await {
                (StatusCode::OK, _) => Ok(()),
                (status, body) => Err(format!("{status} {body}")),
            })
            .await;
        }
        bench
    }

    async fn sign_in(&self, gateway: usize, name: &str, password: &str) -> Result<User, (StatusCode, Value)> {
        let body = json!({"username": name, "password": password});
        let base = format!("http://{}/api/v1", self.gateways[gateway]);
        let answer = Client::new().post(format!("{base}/auth/login")).json(&body).send().await.expect("answered");
        let (status, retry) = (answer.status(), answer.headers().get("retry-after").cloned());
        let cookie = answer.headers().get("set-cookie").map(|cookie| cookie.to_str().expect("text").to_owned());
        let mut body: Value = answer.json().await.expect("json");
        if status != StatusCode::OK {
            body["retry-after"] = json!(retry.map(|retry| retry.to_str().expect("text").to_owned()));
            return Err((status, body));
        }
        let text = |name: &str| body[name].as_str().expect("a token").to_owned();
        let cookie = cookie.expect("a cookie").split(';').next().expect("a pair").to_owned();
        Ok(User { base, bearer: text("access_token"), refresh: text("refresh_token"), cookie })
    }

    /// With a token that nobody gave.
    fn nobody(&self, gateway: usize) -> User {
        let base = format!("http://{}/api/v1", self.gateways[gateway]);
        let bearer = "A".repeat(43);
        User { base, bearer, refresh: String::new(), cookie: String::new() }
    }

    /// An administrator, and a user that they have made.
    async fn with_user(&self, name: &str, role: &str, lines: Value) -> (User, i64) {
        let admin = self.sign_in(0, "admin", PASSWORD).await.expect("let in");
        let new = json!({"username": name, "password": PASSWORD, "role": role, "lines": lines});
        let (status, user) = admin.send(Method::POST, "/users", Some(new)).await;
        assert_eq!(status, StatusCode::CREATED, "{user}");
        (admin, user["id"].as_i64().expect("a number"))
    }

    async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(PATIENCE, task).await.expect("a timely end").expect("no panic");
        }
    }
}

/// Somebody who is signed in, or a key.
#[derive(Clone)]
struct User {
    base: String,
    bearer: String,
    refresh: String,
    cookie: String,
}

impl User {
    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.send_if(method, path, body, None).await
    }

    async fn send_if(&self, method: Method, path: &str, body: Option<Value>, tag: Option<&str>) -> (StatusCode, Value) {
        self.try_send(method, path, body, tag).await.expect("answered")
    }

    async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        tag: Option<&str>,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let mut request = Client::new().request(method, format!("{}{path}", self.base)).bearer_auth(&self.bearer);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        let answer = request.send().await?;
        let status = answer.status();
        Ok((status, answer.json().await.unwrap_or(Value::Null)))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Method::GET, path, None).await
    }

    async fn with_cookie(&self, path: &str) -> StatusCode {
        let request = Client::new().get(format!("{}{path}", self.base)).header("cookie", &self.cookie);
        request.send().await.expect("answered").status()
    }

    /// The same credentials at another gateway.
    fn at(&self, gateway: &str) -> User {
        User { base: format!("http://{gateway}/api/v1"), ..self.clone() }
    }

    async fn socket(&self) -> Live {
        let url = format!("{}/live", self.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("a url");
        let bearer = format!("Bearer {}", self.bearer).parse().expect("text");
        request.headers_mut().insert("authorization", bearer);
        let protocol = Protocol::of(&self.base).await;
        let mut live = Live { socket: connect_async(request).await.expect("let in").0, protocol };
        assert_eq!(live.hear().await.expect("hello")["op"], "hello");
        live
    }
}

struct Live {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    protocol: Arc<Protocol>,
}

impl Live {
    /// The next frame, or the code of the close.
    async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => return Ok(self.protocol.frame(&text)),
                Some(Ok(Message::Close(Some(frame)))) => {
                    self.protocol.close(frame.code.into(), &frame.reason);
                    return Err(frame.code.into());
                }
                Some(Ok(Message::Close(None))) => return Err(0),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(0),
            }
        }
    }

    async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.hear().await {
                return code;
            }
        }
    }

    /// What a subscription to a line is answered with.
    async fn subscribes(&mut self, line: &str) -> String {
        let wish = json!({"op": "subscribe", "id": 1, "widget": "feed_state", "params": {"line": line}});
        self.socket.send(Message::Text(wish.to_string().into())).await.expect("sent");
        loop {
            let frame = self.hear().await.expect("an open socket");
            if frame["op"] != "heartbeat" {
                return frame["op"].as_str().expect("text").to_owned();
            }
        }
    }
}

async fn a_change_of_rights_holds_at_every_gateway_at_once(bench: Bench) {
    let (admin, id) = bench.with_user("eva", "OPERATOR", json!(["l1"])).await;
    let eva = bench.sign_in(0, "eva", PASSWORD).await.expect("let in");
    let here = eva.at(&bench.gateways[0]);
    let there = eva.at(&bench.gateways[1]);
    let (mut one, mut two) = (here.socket().await, there.socket().await);
    assert_eq!((one.subscribes("l1").await, two.subscribes("l1").await), ("snapshot".into(), "snapshot".into()));

    let path = format!("/users/{id}");
    let wish = json!({"role": "VIEWER", "is_active": true, "lines": ["l2"]});
    let (status, _) = admin.send(Method::PUT, &path, Some(wish.clone())).await;
    assert_eq!(status, StatusCode::PRECONDITION_REQUIRED);
    let (status, changed) = admin.send_if(Method::PUT, &path, Some(wish.clone()), Some("\"1\"")).await;
    assert_eq!((status, &changed["revision"]), (StatusCode::OK, &json!(2)), "{changed}");
    let (status, _) = admin.send_if(Method::PUT, &path, Some(wish), Some("\"1\"")).await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED, "of another revision");

    let both = async { (one.closed().await, two.closed().await) };
    let codes = tokio::time::timeout(Duration::from_secs(5), both).await.expect("closed at once");
    assert_eq!(codes, (4001, 4001));
    for user in [&here, &there] {
        let mut again = user.socket().await;
        assert_eq!(again.subscribes("l1").await, "error");
        let mut again = user.socket().await;
        assert_eq!(again.subscribes("l2").await, "snapshot");
        let (_, lines) = user.get("/production/lines").await;
        assert_eq!(lines["items"].as_array().map(Vec::len), Some(1), "{lines}");
    }

    let (mut one, mut two) = (here.socket().await, there.socket().await);
    assert_eq!(admin.send(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let both = async { (one.closed().await, two.closed().await) };
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), both).await.expect("closed at once"), (4201, 4201));
    for user in [&here, &there] {
        assert_eq!(user.get("/auth/me").await.0, StatusCode::UNAUTHORIZED);
    }
    let (status, problem) = bench.sign_in(0, "eva", PASSWORD).await.err().expect("refused");
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("wrong_login")));
    bench.end().await;
}

async fn a_refresh_token_is_good_once(bench: Bench) {
    let admin = bench.sign_in(0, "admin", PASSWORD).await.expect("let in");
    let there = admin.at(&bench.gateways[1]);
    assert_eq!(there.get("/auth/me").await.0, StatusCode::OK);
    let refresh = async |user: &User, token: &str| {
        user.send(Method::POST, "/auth/refresh", Some(json!({"refresh_token": token}))).await
    };
    let (status, granted) = refresh(&admin, &admin.refresh).await;
    assert_eq!(status, StatusCode::OK);
    let text = |name: &str| granted[name].as_str().expect("a token").to_owned();
    let renewed = User { bearer: text("access_token"), refresh: text("refresh_token"), ..admin.clone() };
    assert_eq!(renewed.get("/auth/me").await.0, StatusCode::OK);
    assert_eq!(renewed.at(&bench.gateways[1]).get("/auth/me").await.0, StatusCode::OK, "which knew the old one");
    assert_eq!(admin.get("/auth/me").await.0, StatusCode::UNAUTHORIZED, "the access token before");
    assert_eq!(admin.with_cookie("/auth/me").await, StatusCode::OK, "the session goes on");
    assert_eq!(refresh(&admin, &renewed.bearer).await.0, StatusCode::UNAUTHORIZED, "no refresh token");

    // Whoever brings a used one ends the session, for the thief and the robbed alike.
    let mut live = renewed.at(&bench.gateways[1]).socket().await;
    assert_eq!(refresh(&there, &admin.refresh).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(live.closed().await, 4201);
    assert_eq!(refresh(&renewed, &renewed.refresh).await.0, StatusCode::UNAUTHORIZED);
    until("the end of the session to be known", async || match renewed.with_cookie("/auth/me").await {
        StatusCode::UNAUTHORIZED => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
    bench.end().await;
}

async fn sessions_are_listed_and_ended_and_a_new_password_ends_the_others(bench: Bench) {
    let (_, id) = bench.with_user("eva", "VIEWER", Value::Null).await;
    let one = bench.sign_in(0, "eva", PASSWORD).await.expect("let in");
    let two = bench.sign_in(1, "eva", PASSWORD).await.expect("let in");
    let (_, list) = one.get("/auth/sessions").await;
    let items = list["items"].as_array().expect("items");
    assert_eq!(items.len(), 2);
    let other = items.iter().find(|session| session["current"] == json!(false)).expect("the other one");
    let mut live = two.socket().await;
    let path = format!("/auth/sessions/{}", other["id"]);
    assert_eq!(one.send(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(live.closed().await, 4201);
    assert_eq!(two.get("/auth/me").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(one.send(Method::DELETE, &path, None).await.0, StatusCode::NOT_FOUND);
    let stranger = bench.sign_in(0, "stranger", PASSWORD).await.expect("let in");
    let (_, own) = stranger.get("/auth/sessions").await;
    let path = format!("/auth/sessions/{}", list["items"][0]["id"]);
    assert_eq!(stranger.send(Method::DELETE, &path, None).await.0, StatusCode::NOT_FOUND, "of another user");
    assert_eq!(own["items"].as_array().map(Vec::len), Some(1));
    let path = format!("/users/{id}/sessions");
    assert_eq!(stranger.get(&path).await.0, StatusCode::NOT_FOUND, "of another tenant");

    let two = bench.sign_in(1, "eva", PASSWORD).await.expect("let in");
    let wish = |old: &str, new: &str| Some(json!({"old_password": old, "new_password": new}));
    let change = async |old: &str, new: &str| one.send(Method::POST, "/auth/change-password", wish(old, new)).await.0;
    assert_eq!(change("wrong horse", "battery staple").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(change(PASSWORD, "short").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(change(PASSWORD, "battery staple").await, StatusCode::NO_CONTENT);
    assert_eq!(one.get("/auth/me").await.0, StatusCode::OK, "the one that changed it goes on");
    until("the other session to end", async || match two.get("/auth/me").await.0 {
        StatusCode::UNAUTHORIZED => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
    assert!(bench.sign_in(0, "eva", PASSWORD).await.is_err());
    bench.sign_in(0, "eva", "battery staple").await.expect("let in with the new one");
    bench.end().await;
}

async fn many_wrong_passwords_lock_a_name_whether_it_is_anybodys_or_not(bench: Bench) {
    // Names are compared as those of users are: another spelling is no other try.
    for (name, again) in [("admin", "ADMIN"), ("nobody", "NoBody")] {
        for n in 0..10 {
            let tried = if n % 2 == 0 { name } else { again };
            let (status, _) = bench.sign_in(n % 2, tried, "wrong horse").await.err().expect("refused");
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{name} {n}");
        }
    }
    let mut answers = Vec::new();
    for name in ["admin", "nobody"] {
        let (status, mut body) = bench.sign_in(1, name, PASSWORD).await.err().expect("locked, with the right one too");
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{name}");
        let wait: u64 = body["retry-after"].as_str().expect("a header").parse().expect("seconds");
        assert!((600..=900).contains(&wait), "{name}: {wait}");
        body.as_object_mut().expect("an object").retain(|name, _| !name.starts_with("retry"));
        answers.push(body);
    }
    assert_eq!(answers[0], answers[1]);
    bench.sign_in(0, "stranger", PASSWORD).await.expect("another name is not locked");
    bench.end().await;
}

async fn a_key_opens_what_its_scopes_say_until_it_is_revoked(bench: Bench) {
    let admin = bench.sign_in(0, "admin", PASSWORD).await.expect("let in");
    let make = async |wish: Value| admin.send(Method::POST, "/api-keys", Some(wish)).await;
    assert_eq!(make(json!({"name": "mes", "scopes": ["users"]})).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(make(json!({"name": "mes", "scopes": []})).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(make(json!({"name": "mes", "scopes": ["all"]})).await.0, StatusCode::BAD_REQUEST);
    let (status, made) = make(json!({"name": "mes", "scopes": ["look"], "lines": ["l2"]})).await;
    assert_eq!(status, StatusCode::CREATED);
    let key = User { bearer: made["key"].as_str().expect("a key").to_owned(), ..admin.at(&bench.gateways[1]) };
    let (_, lines) = key.get("/production/lines").await;
    assert_eq!(lines["items"][0]["name"], "l2");
    assert_eq!(key.get("/production/lines/l1").await.0, StatusCode::NOT_FOUND);
    for path in ["/users", "/audit", "/api-keys", "/auth/sessions"] {
        assert_eq!(key.get(path).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    let (_, me) = key.get("/auth/me").await;
    assert_eq!((&me["role"], &me["scopes"]), (&json!("API_KEY"), &json!(["look"])));
    let mut live = key.socket().await;
    let (_, list) = admin.get("/api-keys").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1));
    assert!(!list.to_string().contains(&key.bearer));
    let path = format!("/api-keys/{}", made["id"]);
    assert_eq!(admin.send(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let code = tokio::time::timeout(Duration::from_secs(5), live.closed()).await.expect("closed at once");
    assert_eq!(code, 4201);
    assert_eq!(key.get("/production/lines").await.0, StatusCode::UNAUTHORIZED);
    bench.end().await;
}

async fn an_administrator_gives_nothing_beyond_their_own(bench: Bench) {
    let (admin, id) = bench.with_user("local", "ADMIN", json!(["l1"])).await;
    let local = bench.sign_in(0, "local", PASSWORD).await.expect("let in");
    let new = |role: &str, lines: Value| json!({"username": "x", "password": PASSWORD, "role": role, "lines": lines});
    for (wish, expected) in [
        (new("SUPER_ADMIN", json!(["l1"])), StatusCode::UNPROCESSABLE_ENTITY),
        (new("VIEWER", Value::Null), StatusCode::FORBIDDEN),
        (new("VIEWER", json!(["l2"])), StatusCode::UNPROCESSABLE_ENTITY),
        (new("JANITOR", json!(["l1"])), StatusCode::BAD_REQUEST),
        (
            json!({"username": " x", "password": PASSWORD, "role": "VIEWER", "lines": ["l1"]}),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            json!({"username": "x", "password": "short", "role": "VIEWER", "lines": ["l1"]}),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (new("VIEWER", json!(["l1"])), StatusCode::CREATED),
        (new("VIEWER", json!(["l1"])), StatusCode::CONFLICT),
    ] {
        let (status, body) = local.send(Method::POST, "/users", Some(wish.clone())).await;
        assert_eq!(status, expected, "{wish}: {body}");
    }
    let (_, users) = local.get("/users").await;
    let of_all = users["items"].as_array().expect("items").iter().find(|user| user["username"] == "admin");
    let wide = of_all.expect("the administrator of all lines")["id"].clone();
    assert_eq!(local.send(Method::DELETE, &format!("/users/{wide}"), None).await.0, StatusCode::FORBIDDEN);
    let own = json!({"role": "ADMIN", "is_active": true});
    let (status, _) = local.send_if(Method::PUT, &format!("/users/{id}"), Some(own), Some("\"1\"")).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "all lines for oneself");
    assert_eq!(admin.send(Method::DELETE, &format!("/users/{wide}"), None).await.0, StatusCode::CONFLICT, "oneself");
    let stranger = bench.sign_in(0, "stranger", PASSWORD).await.expect("let in");
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(stranger.send(method, &format!("/users/{id}"), None).await.0, StatusCode::NOT_FOUND);
    }
    bench.end().await;
}

async fn what_was_done_and_refused_is_written_down_without_secrets(bench: Bench) {
    let (admin, _) = bench.with_user("eva", "VIEWER", Value::Null).await;
    let eva = bench.sign_in(0, "eva", PASSWORD).await.expect("let in");
    assert_eq!(eva.get("/users").await.0, StatusCode::FORBIDDEN);
    assert_eq!(eva.get("/audit").await.0, StatusCode::FORBIDDEN);
    let (_, made) = admin.send(Method::POST, "/api-keys", Some(json!({"name": "mes", "scopes": ["audit"]}))).await;
    let key = User { bearer: made["key"].as_str().expect("a key").to_owned(), ..admin.clone() };
    let (_, first) = key.get("/audit?limit=2").await;
    let (_, rest) = key.get(&format!("/audit?cursor={}", first["next_cursor"].as_str().expect("more"))).await;
    let told = |page: &Value| -> Vec<(Value, Value, Value)> {
        let items = page["items"].as_array().expect("items").iter();
        items.map(|one| (one["username"].clone(), one["action"].clone(), one["outcome"].clone())).collect()
    };
    let all: Vec<_> = told(&first).into_iter().chain(told(&rest)).collect();
    let expected = [
        ("admin", "key_created", "done"),
        ("eva", "request", "denied"),
        ("eva", "request", "denied"),
        ("admin", "user_created", "done"),
    ];
    assert_eq!(all, expected.map(|(who, what, how)| (json!(who), json!(what), json!(how))));
    assert_eq!(rest["items"][0]["ip_address"], "127.0.0.1");
    let (_, denied) = key.get("/audit?outcome=denied&username=eva").await;
    assert_eq!(denied["items"].as_array().map(Vec::len), Some(2));
    let stranger = bench.sign_in(0, "stranger", PASSWORD).await.expect("let in");
    let (_, theirs) = stranger.get("/audit").await;
    assert_eq!(theirs["items"], json!([]), "of another tenant");

    use sqlx::Connection;
    let mut global = sqlx::MySqlConnection::connect(&bench.site.global_url()).await.expect("up");
    let text: String = sqlx::query_scalar(
        "SELECT CAST(GROUP_CONCAT(CONCAT_WS(' ', username, action, CAST(details AS CHAR)) SEPARATOR ' ') AS CHAR)
         FROM audit_log",
    )
    .fetch_one(&mut global)
    .await
    .expect("read");
    for secret in [PASSWORD, "argon2", &key.bearer, &eva.bearer, &eva.refresh] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    bench.end().await;
}
