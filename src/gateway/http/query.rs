//! Queries of requests, read strictly: what is not known is refused, so that a misspelt filter never widens an answer.

use axum::extract::Query as Pairs;
use axum::http::Uri;

use crate::domain::time::{Ms, Span, parse_rfc3339};
use crate::gateway::problem::Problem;

/// Names that a request may bring.
const MAX_PAIRS: usize = 300;
/// The longest period that may be asked for: 10 years.
const MAX_PERIOD_MS: Ms = 10 * 366 * 24 * 3_600_000;

/// The pairs of a query, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

// === impl Query ===

impl Query {
    /// Takes the query of a request apart.
    pub fn read(uri: &Uri) -> Result<Query, Problem> {
        let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::bad_request("the query cannot be read"))?;
        if pairs.0.len() > MAX_PAIRS {
            return Err(Problem::bad_request(format!("the query has more than {MAX_PAIRS} names")));
        }
        Ok(Query { pairs: pairs.0 })
    }

    /// A query that was not in an address.
    pub fn from_pairs(pairs: Vec<(String, String)>) -> Query {
        Query { pairs }
    }

    /// The query without a name, for who answers another path's question in a form of their own.
    pub fn without(mut self, name: &str) -> Query {
        self.pairs.retain(|(pair, _)| pair != name);
        self
    }

    /// Refuses names that are not among these; `tenant` is always among them.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        match self.pairs.iter().find(|(name, _)| name != "tenant" && !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) if known.is_empty() => {
                Err(Problem::bad_request(format!("{name}: unknown; this path takes none")))
            }
            Some((name, _)) => {
                Err(Problem::bad_request(format!("{name}: unknown; this path takes {}", known.join(", "))))
            }
        }
    }

    /// Every value of a name, commas apart: `line=l1&line=l2` and `line=l1,l2` are the same.
    pub fn all(&self, name: &str) -> Vec<String> {
        let of_name = self.pairs.iter().filter(|(pair, _)| pair == name);
        of_name.flat_map(|(_, value)| value.split(',')).filter(|v| !v.is_empty()).map(str::to_owned).collect()
    }

    /// The value of a name that may come once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.pairs.iter().filter(|(pair, _)| pair == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Problem::bad_request(format!("{name}: given more than once"))),
            (value, None) => Ok(value),
        }
    }

    /// An instant: RFC 3339.
    pub fn instant(&self, name: &str) -> Result<Option<Ms>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        // A plus of an offset that was not escaped has become a blank.
        let read = parse_rfc3339(&text.replace(' ', "+"));
        let wrong = |_| Problem::bad_request(format!("{name}: {text:?} is no RFC 3339 time like 2026-01-01T06:00:00Z"));
        read.map(Some).map_err(wrong)
    }

    /// [from, to), when both are given.
    pub fn period(&self) -> Result<Option<Span>, Problem> {
        self.span("from", "to")
    }

    /// As [`Query::period`], of other names.
    pub fn span(&self, from: &str, to: &str) -> Result<Option<Span>, Problem> {
        let span = match (self.instant(from)?, self.instant(to)?) {
            (None, None) => return Ok(None),
            (Some(begin), Some(end)) => Span::new(begin, end),
            (None, Some(_)) => return Err(Problem::bad_request(format!("{from}: is missing beside {to}"))),
            (Some(_), None) => return Err(Problem::bad_request(format!("{to}: is missing beside {from}"))),
        };
        if span.is_empty() {
            return Err(Problem::bad_request(format!("{from}: must be before {to}")));
        }
        if span.len() > MAX_PERIOD_MS {
            return Err(Problem::bad_request(format!("{from}: lies more than 10 years before {to}")));
        }
        Ok(Some(span))
    }

    /// A whole number, as ids of areas and products are.
    pub fn number(&self, name: &str) -> Result<Option<i32>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let wrong = |_| Problem::bad_request(format!("{name}: {text:?} is no whole number"));
        text.parse().map(Some).map_err(wrong)
    }

    /// A count from 1 to `most`.
    pub fn count(&self, name: &str, default: u32, most: u32) -> Result<u32, Problem> {
        let Some(text) = self.one(name)? else { return Ok(default) };
        let count = text.parse().ok().filter(|count| (1..=most).contains(count));
        count.ok_or_else(|| Problem::bad_request(format!("{name}: a number from 1 to {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::read(&format!("/x?{text}").parse().unwrap()).unwrap()
    }

    #[test]
    fn lists_come_by_repeats_or_commas() {
        assert_eq!(query("line=l1&line=l2,l3&x=1").all("line"), ["l1", "l2", "l3"]);
        assert!(query("").all("line").is_empty());
    }

    #[test]
    fn unknown_and_repeated_names_are_refused() {
        assert!(query("line=l1&tenant=t").only(&["line"]).is_ok());
        assert!(query("lines=l1").only(&["line"]).unwrap_err().detail.contains("lines"));
        assert!(query("from=1&from=2").one("from").is_err());
    }

    #[test]
    fn periods_have_two_ends_in_order() {
        let both = "from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00%2B00:00";
        assert_eq!(query(both).period().unwrap().unwrap().len(), 3_600_000);
        assert_eq!(
            query("from=2026-01-01T01:00:00+01:00&to=2026-01-01T00:00:01Z").period().unwrap().unwrap().len(),
            1_000
        );
        assert_eq!(query("").period().unwrap(), None);
        for wrong in [
            "from=2026-01-01T00:00:00Z",
            "to=2026-01-01T00:00:00Z",
            "from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
            "from=1900-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
            "from=yesterday&to=2026-01-01T00:00:00Z",
        ] {
            assert!(query(wrong).period().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ids_are_whole_numbers() {
        assert_eq!(query("area=-3").number("area").unwrap(), Some(-3));
        assert_eq!(query("").number("area").unwrap(), None);
        for wrong in ["area=", "area=1.5", "area=99999999999", "area=1&area=2"] {
            assert!(query(wrong).number("area").is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_have_bounds() {
        assert_eq!(query("").count("limit", 100, 1000).unwrap(), 100);
        assert_eq!(query("limit=7").count("limit", 100, 1000).unwrap(), 7);
        for wrong in ["limit=0", "limit=1001", "limit=-1", "limit=x"] {
            assert!(query(wrong).count("limit", 100, 1000).is_err(), "{wrong}");
        }
    }
}
