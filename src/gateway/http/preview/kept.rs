//! The previews of this process: those that are worked at, and what came of others for some minutes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::domain::production::batch::Comparison;
use crate::domain::time::{Ms, Span, as_rfc3339};
use crate::gateway::http::caller::Asked;
use crate::gateway::problem::Problem;

/// Worked at, at a time, of a tenant.
const AT_WORK_OF_TENANT: usize = 2;
/// Worked at, at a time.
const AT_WORK: usize = 4;
/// Kept of a tenant, those at work among them; the oldest outcome goes first.
const KEPT_OF_TENANT: usize = 8;
/// Kept.
const KEPT: usize = 32;
/// How long an outcome can be asked for.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// When to try again where too many are worked at.
const WAIT: Duration = Duration::from_secs(5);

/// Previews by id.
#[derive(Debug, Default)]
pub struct Previews(Mutex<BTreeMap<String, Arc<Preview>>>);

/// What came of one, and when.
type Outcome = (Instant, Result<Arc<Comparison>, Problem>);

/// One of them.
#[derive(Debug)]
pub struct Preview {
    id: String,
    tenant: String,
    /// Who asked, and who alone is told.
    user_id: i32,
    line: String,
    period: Span,
    /// Detections to read, and read so far.
    total: u64,
    read: AtomicU64,
    begun: Instant,
    outcome: Mutex<Option<Outcome>>,
    cancelled: CancellationToken,
}

/// How far a preview is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Running,
    Done,
    Failed,
}

/// A preview as its asker is told of it.
#[derive(Debug, Serialize)]
pub struct Told {
    preview_id: String,
    line: String,
    #[serde(with = "as_rfc3339")]
    from: Ms,
    #[serde(with = "as_rfc3339")]
    to: Ms,
    state: State,
    /// 0 to 1: of the detections, those read.
    progress: f64,
    /// Once it is done.
    #[serde(serialize_with = "shared")]
    result: Option<Arc<Comparison>>,
    /// Where it failed.
    problem: Option<Problem>,
}

fn shared<S: Serializer>(result: &Option<Arc<Comparison>>, out: S) -> Result<S::Ok, S::Error> {
    result.as_deref().serialize(out)
}

fn too_many(whose: &str) -> Problem {
    Problem::too_many(format!("as many previews as can be are worked at {whose}: wait for one, or cancel it"), WAIT)
}

fn check_room(kept: &BTreeMap<String, Arc<Preview>>, tenant: &str) -> Result<(), Problem> {
    let at_work = kept.values().filter(|preview| preview.is_running());
    let (own, others): (Vec<_>, Vec<_>) = at_work.partition(|preview| preview.tenant == tenant);
    if own.len() >= AT_WORK_OF_TENANT {
        return Err(too_many("for this tenant"));
    }
    if own.len() + others.len() >= AT_WORK {
        return Err(too_many("for all tenants"));
    }
    Ok(())
}

/// Forgets the oldest outcome of those that `is_meant`.
fn forget_oldest(kept: &mut BTreeMap<String, Arc<Preview>>, is_meant: impl Fn(&Preview) -> bool) {
    let done = kept.values().filter(|preview| !preview.is_running() && is_meant(preview));
    if let Some(oldest) = done.min_by_key(|preview| preview.begun).map(|preview| preview.id.clone()) {
        kept.remove(&oldest);
    }
}

// === impl Previews ===

impl Previews {
    /// # Errors
    /// 429 where the tenant or the process works at as many as it may.
    pub fn needs_room(&self, tenant: &str) -> Result<(), Problem> {
        check_room(&self.0.lock(), tenant)
    }

    /// A new one, at work until its outcome is there.
    ///
    /// # Errors
    /// As [`Previews::needs_room`].
    pub fn begin(
        &self,
        asked: &Asked,
        line: String,
        period: Span,
        total: u64,
        cancelled: CancellationToken,
    ) -> Result<Arc<Preview>, Problem> {
        let mut kept = self.0.lock();
        let tenant = asked.tenant.name.clone();
        check_room(&kept, &tenant)?;
        kept.retain(|_, preview| !preview.is_over());
        if kept.values().filter(|preview| preview.tenant == tenant).count() >= KEPT_OF_TENANT {
            forget_oldest(&mut kept, |preview| preview.tenant == tenant);
        }
        if kept.len() >= KEPT {
            forget_oldest(&mut kept, |_| true);
        }
        let id = format!("{:032x}", rand::random::<u128>());
        let preview = Arc::new(Preview {
            id: id.clone(),
            tenant,
            user_id: asked.identity.user_id,
            line,
            period,
            total,
            read: AtomicU64::new(0),
            begun: Instant::now(),
            outcome: Mutex::new(None),
            cancelled,
        });
        kept.insert(id, preview.clone());
        Ok(preview)
    }

    /// The caller's own.
    ///
    /// # Errors
    /// 404 for one that is not there, of another tenant or user, or of a line that the caller may see no more.
    pub fn find(&self, asked: &Asked, id: &str) -> Result<Arc<Preview>, Problem> {
        let mut kept = self.0.lock();
        kept.retain(|_, preview| !preview.is_over());
        let is_own = |preview: &&Arc<Preview>| {
            preview.tenant == asked.tenant.name
                && preview.user_id == asked.identity.user_id
                && asked.identity.may_see_line(&preview.line)
        };
        let found = kept.get(id).filter(is_own).cloned();
        found.ok_or_else(|| Problem::not_found("there is no such preview: outcomes are kept for ten minutes"))
    }

    pub fn forget(&self, id: &str) {
        self.0.lock().remove(id);
    }
}

// === impl Preview ===

impl Preview {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Notes how many detections were read.
    pub fn has_read(&self, read: u64) {
        self.read.store(read, Ordering::Relaxed);
    }

    /// Done when nobody wants it any more.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.cancelled.cancelled()
    }

    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Notes what came of it.
    pub fn finish(&self, outcome: Result<Comparison, Problem>) {
        *self.outcome.lock() = Some((Instant::now(), outcome.map(Arc::new)));
    }

    pub fn told(&self) -> Told {
        let (state, result, problem) = match &*self.outcome.lock() {
            None => (State::Running, None, None),
            Some((_, Ok(result))) => (State::Done, Some(result.clone()), None),
            Some((_, Err(problem))) => (State::Failed, None, Some(problem.clone())),
        };
        let progress = match state {
            State::Done => 1.0,
            _ if self.total == 0 => 0.0,
            // What was added in between is read too.
            _ => (self.read.load(Ordering::Relaxed) as f64 / self.total as f64).min(1.0),
        };
        let Span { from, to } = self.period;
        Told { preview_id: self.id.clone(), line: self.line.clone(), from, to, state, progress, result, problem }
    }

    fn is_running(&self) -> bool {
        self.outcome.lock().is_none()
    }

    /// Whether its outcome was to be had for long enough.
    fn is_over(&self) -> bool {
        self.outcome.lock().as_ref().is_some_and(|(at, _)| at.elapsed() > KEPT_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::http::query::Query;
    use crate::gateway::live::tests::tenant;
    use crate::gateway::rights::{Identity, Permissions, Principal, UserRole};

    fn asked(tenant_name: &str, user_id: i32) -> Asked {
        let identity = Identity {
            principal: Principal::Session(1),
            user_id,
            username: "ana".into(),
            role: UserRole::Admin,
            scopes: None,
            tenant: Some(tenant_name.into()),
            permissions: Permissions::default(),
            locale: None,
            address: None,
            ended: CancellationToken::new(),
        };
        let mut tenant = tenant();
        tenant.name = tenant_name.into();
        Asked { identity, tenant: Arc::new(tenant), query: Query::read(&"/".parse().unwrap()).unwrap() }
    }

    fn begin(previews: &Previews, asked: &Asked) -> Result<Arc<Preview>, Problem> {
        previews.begin(asked, "l1".into(), Span::new(0, 1_000), 10, CancellationToken::new())
    }

    fn failed() -> Result<Comparison, Problem> {
        Err(Problem::unprocessable("test"))
    }

    #[test]
    fn so_many_are_worked_at_for_a_tenant_and_for_all() {
        let previews = Previews::default();
        let (demo, other, third) = (asked("demo", 1), asked("other", 2), asked("third", 3));
        let first = begin(&previews, &demo).unwrap();
        begin(&previews, &demo).unwrap();
        let refused = begin(&previews, &demo).unwrap_err();
        assert_eq!((refused.status, refused.retry_after_s), (429, Some(5)));
        begin(&previews, &other).unwrap();
        begin(&previews, &other).unwrap();
        assert!(begin(&previews, &third).unwrap_err().detail.contains("all tenants"));
        first.finish(failed());
        begin(&previews, &third).unwrap();
        assert_eq!(begin(&previews, &demo).unwrap_err().status, 429, "all of the process are taken");
    }

    #[test]
    fn a_preview_is_told_to_who_asked_alone() {
        let previews = Previews::default();
        let preview = begin(&previews, &asked("demo", 1)).unwrap();
        assert!(previews.find(&asked("demo", 1), preview.id()).is_ok());
        for stranger in [asked("demo", 2), asked("other", 1)] {
            assert_eq!(previews.find(&stranger, preview.id()).unwrap_err().status, 404);
        }
        let mut narrowed = asked("demo", 1);
        narrowed.identity.permissions.lines = Some(["l2".to_owned()].into());
        assert_eq!(previews.find(&narrowed, preview.id()).unwrap_err().status, 404);
    }

    #[test]
    fn the_oldest_outcomes_are_forgotten() {
        let (previews, demo) = (Previews::default(), asked("demo", 1));
        let running = begin(&previews, &demo).unwrap();
        let all: Vec<Arc<Preview>> = (0..KEPT_OF_TENANT)
            .map(|_| {
                let preview = begin(&previews, &demo).unwrap();
                preview.finish(failed());
                preview
            })
            .collect();
        assert!(previews.find(&demo, all[0].id()).is_err());
        assert!(previews.find(&demo, all[1].id()).is_ok());
        assert!(previews.find(&demo, running.id()).is_ok(), "not what is worked at");
        assert_eq!(previews.0.lock().len(), KEPT_OF_TENANT);
    }

    #[test]
    fn progress_is_the_part_of_the_detections_that_was_read() {
        let preview = begin(&Previews::default(), &asked("demo", 1)).unwrap();
        let progress = |preview: &Preview| preview.told().progress;
        assert_eq!(progress(&preview), 0.0);
        preview.has_read(5);
        assert_eq!(progress(&preview), 0.5);
        preview.has_read(11);
        assert_eq!(progress(&preview), 1.0);
    }
}
