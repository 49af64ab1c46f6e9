use super::*;
use crate::config::LogFormat;

/// A file and variables, without a process.
#[derive(Default)]
struct Given {
    file: Option<&'static str>,
    variables: Vec<(&'static str, &'static str)>,
}

impl Environment for Given {
    fn read(&self, path: &Path) -> io::Result<String> {
        match self.file {
            Some(text) if path == Path::new(DEFAULT_FILE) => Ok(text.to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn variables(&self) -> Vec<(String, String)> {
        self.variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}

fn load(file: &'static str, variables: &[(&'static str, &'static str)]) -> Result<Config, ConfigError> {
    Config::load(None, &Given { file: Some(file), variables: variables.to_vec() })
}

fn refusal(file: &'static str, variables: &[(&'static str, &'static str)]) -> String {
    load(file, variables).unwrap_err().to_string()
}

#[test]
fn nothing_given_is_the_defaults_and_the_servers_are_asked_for_when_needed() {
    let config = Config::load(None, &Given::default()).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin_listen.to_string(), "127.0.0.1:9464");
    assert!(config.brokers().unwrap_err().to_string().starts_with("kafka.brokers: is not set"));
    assert!(config.database_url().unwrap_err().to_string().contains("ANDON_DATABASE_URL"));
}

#[test]
fn the_table_of_keys_is_the_structs() {
    let mut config =
        Config { schema_registry_url: Some(super::super::SecretUrl::new("http://r")), ..Config::default() };
    config.kafka.brokers = Some("b:1".to_owned());
    config.kafka.instance = Some("one".to_owned());
    config.database.url = Some(super::super::SecretUrl::new("mysql://d"));
    let mut paths = Vec::new();
    for (name, value) in Table::try_from(&config).unwrap() {
        match value {
            Value::Table(section) => paths.extend(section.keys().map(|key| format!("{name}.{key}"))),
            _ => paths.push(name),
        }
    }
    paths.sort();
    let mut known: Vec<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    known.sort();
    assert_eq!(paths, known);
}

#[test]
fn the_environment_wins_over_the_file_in_both_its_forms() {
    let file = r#"
        listen = "0.0.0.0:80"
        log_format = "json"
        [kafka]
        brokers = "file:9092"
        [kafka.properties]
        "security.protocol" = "SASL_SSL"
        [engine]
        batch_max_ms = 300
    "#;
    let variables = [
        ("ANDON_KAFKA_BROKERS", "short:9092"),
        ("ANDON_DATABASE__URL", "mysql://u:p@db/andon_global"),
        ("ANDON_ENGINE__BATCH_MAX_MS", "400"),
        ("ANDON_NO_MIGRATE", "1"),
        ("ANDON_GATEWAY__ORIGINS", "https://a.example, https://b.example"),
        ("ANDON_KAFKA__PROPERTIES__SASL_USERNAME", "andon"),
        ("PATH", "/bin"),
    ];
    let config = load(file, &variables).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:80");
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.brokers().unwrap(), "short:9092");
    assert_eq!(config.database_url().unwrap().expose(), "mysql://u:p@db/andon_global");
    assert_eq!(config.engine.batch_max_ms, 400);
    assert!(config.no_migrate);
    assert_eq!(config.gateway.origins, ["https://a.example", "https://b.example"]);
    let properties: Vec<_> = config.kafka.properties.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(properties, [("sasl.username", "andon"), ("security.protocol", "SASL_SSL")]);
}

#[test]
fn unknown_keys_are_refused_by_name_with_the_likely_one() {
    assert_eq!(refusal("lisen = \"x\"", &[]), "lisen: unknown key: did you mean listen?");
    assert_eq!(refusal("[kafka]\nbroker = \"x\"", &[]), "kafka.broker: unknown key: did you mean kafka.brokers?");
    assert!(refusal("[nothing]\nlike = \"it\"", &[]).starts_with("nothing: unknown key: take it out"));
    assert_eq!(
        refusal("", &[("ANDON_KAFKA__BROKER", "x")]),
        "ANDON_KAFKA__BROKER: unknown key: did you mean kafka.brokers?"
    );
    assert!(refusal("", &[("ANDON_KAFKA__PROPERTIES", "x")]).starts_with("ANDON_KAFKA__PROPERTIES: unknown key"));
}

#[test]
fn variables_of_others_are_left_alone() {
    let variables = [("ANDON_SERVICE_HOST", "10.0.0.1"), ("ANDON_TEST_KAFKA", "x"), ("ANDON_PORT_8080_TCP", "x")];
    assert_eq!(load("", &variables).unwrap(), Config::default());
}

#[test]
fn wrong_values_are_refused_with_key_and_fix() {
    for (file, start) in [
        ("listen = \"here\"", "listen: \"here\" is no address: write address and port"),
        ("listen = 8080", "listen: has the wrong type: write a text in quotes"),
        ("log_format = \"xml\"", "log_format: \"xml\" is no log format: write \"text\" or \"json\""),
        ("kafka = \"b:1\"", "kafka: is a section: write [kafka]"),
        ("[kafka]\nproperties = \"x\"", "kafka.properties: has the wrong type: write names and values"),
        ("[kafka.properties]\nx = 1", "kafka.properties.x: has the wrong type"),
        ("[kafka]\nbrokers = \" \"", "kafka.brokers: is empty"),
        ("[kafka]\ngroup = \"\"", "kafka.group: is empty"),
        ("[database]\nurl = \"postgres://x\"", "database.url: is no MySQL URL: write mysql://"),
        ("[database]\npool = 0", "database.pool: 0 is out of range: write 1 to 1000"),
        ("[database]\npool = -1", "database.pool: has the wrong type: write a whole number"),
        ("[engine]\nbatch_idle_ms = 500", "engine.batch_max_ms: 100 is out of range: write 500 to 60000"),
        ("[engine]\nbuffered_max = 1", "engine.buffered_max: 1 is out of range: write 10000"),
        ("[gateway]\norigins = [\"https://a/b\"]", "gateway.origins: \"https://a/b\" is no origin"),
        ("[gateway]\norigins = \"x\"", "gateway.origins: has the wrong type: write a list"),
        ("no_migrate = \"yes\"", "no_migrate: has the wrong type: write true or false"),
        ("schema_registry_url = \"registry\"", "schema_registry_url: is no web address"),
    ] {
        let error = refusal(file, &[]);
        assert!(error.starts_with(start), "{file}: {error}");
    }
    assert!(
        refusal("", &[("ANDON_DATABASE__POOL", "many")]).starts_with("ANDON_DATABASE__POOL: \"many\" is no number")
    );
    assert!(refusal("", &[("ANDON_NO_MIGRATE", "yes")]).starts_with("ANDON_NO_MIGRATE: \"yes\" is neither"));
}

#[test]
fn a_named_file_has_to_be_there_and_to_be_toml() {
    let missing = Config::load(Some(Path::new("other.toml")), &Given::default()).unwrap_err().to_string();
    assert!(missing.starts_with("other.toml: "), "{missing}");
    assert!(refusal("# first\nlisten = ", &[]).starts_with("andon.toml: line 2: "));
}

#[test]
fn the_printed_configuration_has_no_secrets_and_reads_back() {
    let variables = [
        ("ANDON_DATABASE_URL", "mysql://u:s3cret@db/andon_global"),
        ("ANDON_SCHEMA_REGISTRY_URL", "http://u:s3cret@registry:8081"),
        ("ANDON_KAFKA__PROPERTIES__SASL_PASSWORD", "s3cret"),
        ("ANDON_KAFKA__PROPERTIES__SSL_KEY_PEM", "s3cret"),
        ("ANDON_KAFKA__PROPERTIES__SASL_USERNAME", "andon"),
    ];
    let config = load("", &variables).unwrap();
    let shown = config.effective();
    assert!(!shown.contains("s3cret") && !format!("{config:?}").contains("s3cret"), "{shown}");
    assert!(shown.contains("mysql://u:***@db/andon_global") && shown.contains("\"andon\""), "{shown}");
    let cut = refusal("[database]\nurl = \"mysql://u:s3cret@db", &[]);
    assert!(cut.starts_with("andon.toml: line 2: ") && !cut.contains("s3cret"), "{cut}");
    let table: Table = toml::from_str(&shown).unwrap();
    check_names(&table, "").unwrap();
}
