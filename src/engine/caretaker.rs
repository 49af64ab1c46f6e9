//! Readers of what this process tells must not stand still for ever: it looks now and then whether those of its lines'
//! output topics wait for a transaction whose end the broker has lost, and ends it in its publisher's name.
//!
//! Its own are ended by the publisher itself, between two transactions. Those of others are left to them, and ended here
//! when nobody has done so for longer than a transaction can be open.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::engine::ownership::Ownership;
use crate::engine::publish::owner_of;
use crate::kafka::consumer::{ConsumerError, Handle};
use crate::kafka::standstill::{Lookout, Standing};
use crate::kafka::{Settings, publisher, topics};
use crate::watch::metrics;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);
/// Looks in a row at which readers wait at the same record: then it is no transaction in its ordinary course.
const LONG: u32 = 2;
/// The same when no transaction can be open for so long: its timeout of 10 s, and the broker's 10 s until it notices.
const FOR_GOOD: u32 = 7;

/// See the module.
pub struct Caretaker {
    pub settings: Settings,
    pub handle: Handle,
    pub ownership: Ownership,
    /// This process' `transactional.id`.
    pub publisher: Arc<str>,
    /// To the publisher: topics on which it has left something without an end.
    pub to_publisher: mpsc::UnboundedSender<Vec<String>>,
}

/// How often in a row readers were seen to wait at a record.
#[derive(Debug, Default)]
struct Patience(HashMap<Standing, u32>);

// === impl Patience ===

impl Patience {
    /// Takes what stands now; answers what has stood for long, and for how many looks.
    fn note(&mut self, standing: Vec<Standing>) -> Vec<(Standing, u32)> {
        let before = std::mem::take(&mut self.0);
        self.0 = standing.into_iter().map(|at| (at.clone(), before.get(&at).map_or(1, |looks| looks + 1))).collect();
        self.0.iter().filter(|(_, looks)| **looks >= LONG).map(|(at, looks)| (at.clone(), *looks)).collect()
    }
}

// === impl Caretaker ===

impl Caretaker {
    /// Until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let (mut lookout, mut patience) = (None, Patience::default());
        while tokio::time::timeout(EVERY, stop.cancelled()).await.is_err() {
            let (own, before) = (this.clone(), lookout.take());
            let looked = tokio::task::spawn_blocking(move || own.look(before)).await;
            let long = match looked {
                Ok(Ok((used, standing))) => {
                    lookout = Some(used);
                    patience.note(standing)
                }
                // Brokers that are away, or a topic that is just going: that look does not count.
                Ok(Err(why)) => {
                    debug!(%why, "no answer about the ends of topics");
                    continue;
                }
                Err(_) => return,
            };
            metrics::standing(long.len());
            if long.is_empty() {
                continue;
            }
            let own = this.clone();
            if let Ok(Err(why)) = tokio::task::spawn_blocking(move || own.mend(&long)).await {
                warn!(%why, "readers of a topic stand still: trying again to end what holds them up");
            }
        }
    }

    /// Blocks.
    fn look(&self, lookout: Option<Lookout>) -> Result<(Lookout, Vec<Standing>), ConsumerError> {
        let lookout = match lookout {
            Some(lookout) => lookout,
            None => Lookout::new(&self.settings)?,
        };
        let standing = lookout.standing(&outputs(&self.ownership.topics()))?;
        Ok((lookout, standing))
    }

    /// Blocks.
    fn mend(&self, long: &[(Standing, u32)]) -> Result<(), ConsumerError> {
        let lookout = Lookout::new(&self.settings)?;
        let mut ours = Vec::new();
        for (at, looks) in long {
            let Some(left) = lookout.look(at)? else { continue };
            if left.publisher == *self.publisher {
                ours.push(at.topic.clone());
            } else if *looks >= FOR_GOOD {
                let Some(end) = left.ends(&self.handle)? else { continue };
                let (topic, offset, publisher) = (&at.topic, at.offset, &left.publisher);
                warn!(topic, offset, publisher, ?end, "ending a transaction whose end the broker has lost");
                publisher::mark(&self.settings, publisher, topic, end)
                    .map_err(|why| ConsumerError::Passing(why.to_string()))?;
            }
        }
        if !ours.is_empty() {
            // The publisher ends with the process.
            let _ = self.to_publisher.send(ours);
        }
        Ok(())
    }
}

/// Where the lines of these topics are told.
fn outputs(topics_in: &[String]) -> Vec<String> {
    let mut outputs = BTreeSet::new();
    for (tenant, line) in topics_in.iter().filter_map(|topic| owner_of(topic)) {
        outputs.insert(topics::downtime(&tenant, &line));
        outputs.insert(topics::oee(&tenant, &line));
        outputs.insert(topics::late(&tenant));
        outputs.insert(topics::deadletter(&tenant));
    }
    outputs.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_on_between_two_looks_has_not_stood_still() {
        let at = |offset| Standing { topic: "oee.t.l".into(), offset };
        let mut patience = Patience::default();
        assert_eq!(patience.note(vec![at(3)]), []);
        assert_eq!(patience.note(vec![at(5)]), [], "another transaction");
        assert_eq!(patience.note(vec![at(5)]), [(at(5), 2)]);
        assert_eq!(patience.note(vec![at(5)]), [(at(5), 3)]);
        assert_eq!(patience.note(vec![]), []);
        assert_eq!(patience.note(vec![at(5)]), []);
    }

    #[test]
    fn a_tenants_topics_are_looked_at_once() {
        let of = |line: &str| topics::detections("t", line);
        let seen = outputs(&[of("l1"), of("l2"), "other".into()]);
        assert_eq!(seen, ["deadletter.t", "downtime.t.l1", "downtime.t.l2", "late.t", "oee.t.l1", "oee.t.l2"]);
    }
}
