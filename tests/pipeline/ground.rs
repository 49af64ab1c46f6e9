//! The servers that the other tests stand on.

use sqlx::{Connection, Executor, MySqlConnection, Row};

use crate::support::{Servers, Site, until};

#[tokio::test]
async fn a_site_leaves_nothing_behind() {
    let site = Site::new();
    let tenant = site.tenant("ground");
    let topic = format!("detections.{tenant}.l1");
    let database = format!("andon_t_{tenant}");
    let mut server = MySqlConnection::connect(&site.servers.database).await.unwrap();
    server.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE `{database}`"))).await.unwrap();
    create_topic(&site.servers, &topic).await;
    assert_eq!(databases_like(&mut server, &database).await, 1);

    let servers = site.servers.clone();
    drop(site);

    assert_eq!(databases_like(&mut server, &database).await, 0);
    until("the topic to go", async || match topics(&servers).contains(&topic) {
        true => Err(format!("{topic} is still there")),
        false => Ok(()),
    })
    .await;
}

#[tokio::test]
async fn both_databases_take_bulk_loads() {
    for servers in [Some(Servers::from_env()), Servers::mysql8()].into_iter().flatten() {
        let mut server = MySqlConnection::connect(&servers.database).await.unwrap();
        let row = server.fetch_one("SELECT CAST(@@local_infile AS SIGNED), VERSION()").await.unwrap();
        assert_eq!(row.get::<i64, _>(0), 1, "LOAD DATA LOCAL is off on {}", row.get::<String, _>(1));
    }
}

async fn databases_like(server: &mut MySqlConnection, name: &str) -> i64 {
    let count = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?";
    sqlx::query_scalar(count).bind(name).fetch_one(server).await.unwrap()
}

async fn create_topic(servers: &Servers, name: &str) {
    use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
    servers.admin().create_topics(&[topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
}

fn topics(servers: &Servers) -> Vec<String> {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let client: BaseConsumer = rdkafka::ClientConfig::new().set("bootstrap.servers", &servers.kafka).create().unwrap();
    let metadata = client.fetch_metadata(None, std::time::Duration::from_secs(10)).unwrap();
    metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
}
