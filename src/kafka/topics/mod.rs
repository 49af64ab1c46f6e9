//! Topics: what one carries and whose it is can be read off its name.

mod admin;

pub use admin::{Admin, AdminError, TopicDescription};

/// A topic of Andon, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicName {
    /// In: what cameras send.
    Detections { tenant: String, line: String },
    /// Out: stops, compacted by `downtime_id`.
    Downtime { tenant: String, line: String },
    /// Out: figures, compacted by window.
    Oee { tenant: String, line: String },
    /// Out: copies of late detections of all lines.
    Late { tenant: String },
    /// Out: refused records of all lines, unchanged.
    DeadLetter { tenant: String },
}

/// The subscription of the processing group: a regular expression over whole names, as librdkafka wants it.
pub const DETECTIONS_PATTERN: &str = r"^detections\.[a-z0-9_]{1,48}\.[a-z0-9_]{1,48}$";

/// `detections.{tenant}.{line}`
pub fn detections(tenant: &str, line: &str) -> String {
    format!("detections.{tenant}.{line}")
}

/// `downtime.{tenant}.{line}`
pub fn downtime(tenant: &str, line: &str) -> String {
    format!("downtime.{tenant}.{line}")
}

/// `oee.{tenant}.{line}`
pub fn oee(tenant: &str, line: &str) -> String {
    format!("oee.{tenant}.{line}")
}

/// `late.{tenant}`
pub fn late(tenant: &str) -> String {
    format!("late.{tenant}")
}

/// `deadletter.{tenant}`
pub fn deadletter(tenant: &str) -> String {
    format!("deadletter.{tenant}")
}

/// Whether a tenant or line may be called so: `[a-z0-9_]{1,48}`.
pub fn is_name(name: &str) -> bool {
    (1..=48).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Takes a topic's name apart; `None` for topics that are not Andon's.
pub fn parse(topic: &str) -> Option<TopicName> {
    let mut parts = topic.split('.');
    let (kind, tenant) = (parts.next()?, parts.next()?);
    let (line, rest) = (parts.next(), parts.next());
    if rest.is_some() || !is_name(tenant) || line.is_some_and(|line| !is_name(line)) {
        return None;
    }
    let tenant = tenant.to_owned();
    match (kind, line.map(str::to_owned)) {
        ("detections", Some(line)) => Some(TopicName::Detections { tenant, line }),
        ("downtime", Some(line)) => Some(TopicName::Downtime { tenant, line }),
        ("oee", Some(line)) => Some(TopicName::Oee { tenant, line }),
        ("late", None) => Some(TopicName::Late { tenant }),
        ("deadletter", None) => Some(TopicName::DeadLetter { tenant }),
        _ => None,
    }
}

// === impl TopicName ===

impl TopicName {
    pub fn tenant(&self) -> &str {
        match self {
            TopicName::Detections { tenant, .. }
            | TopicName::Downtime { tenant, .. }
            | TopicName::Oee { tenant, .. }
            | TopicName::Late { tenant }
            | TopicName::DeadLetter { tenant } => tenant,
        }
    }

    /// None for topics that serve all lines of a tenant.
    pub fn line(&self) -> Option<&str> {
        match self {
            TopicName::Detections { line, .. } | TopicName::Downtime { line, .. } | TopicName::Oee { line, .. } => {
                Some(line)
            }
            TopicName::Late { .. } | TopicName::DeadLetter { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let (tenant, line) = ("demo".to_owned(), "l_1".to_owned());
        assert_eq!(parse(&detections(&tenant, &line)), Some(TopicName::Detections { tenant: "demo".into(), line }));
        assert_eq!(parse(&late("demo")), Some(TopicName::Late { tenant }));
        assert_eq!(parse(&deadletter("demo")).map(|t| t.tenant().to_owned()), Some("demo".to_owned()));
        assert_eq!(parse(&oee("demo", "l1")).and_then(|t| t.line().map(str::to_owned)), Some("l1".to_owned()));
    }

    #[test]
    fn foreign_topics_are_no_topics_of_ours() {
        let long = "a".repeat(49);
        for topic in [
            "",
            "detections",
            "detections.a",
            "detections.a.b.c",
            "detections.A.b",
            "late.a.b",
            "detections..b",
            "x.a.b",
        ] {
            assert_eq!(parse(topic), None, "{topic}");
        }
        assert_eq!(parse(&detections("a", &long)), None);
        assert_eq!(parse(&detections("é", "b")), None);
    }

    #[test]
    fn the_pattern_and_the_parser_agree() {
        let pattern = regex::Regex::new(DETECTIONS_PATTERN).unwrap();
        for topic in
            ["detections.demo.l1", "detections.demo", "detections.demo.L1", "xdetections.demo.l1", "oee.demo.l1"]
        {
            assert_eq!(pattern.is_match(topic), matches!(parse(topic), Some(TopicName::Detections { .. })), "{topic}");
        }
    }
}
