//! Which time nobody saw: the signs of life of the cameras at the exits, and what they leave dark.

use serde::{Deserialize, Serialize};

use crate::domain::production::detection::{CameraStatus, Detection, Health};
use crate::domain::production::line::tail::Tail;
use crate::domain::production::line::timeline::Timeline;
use crate::domain::time::{BEGINNING, FOREVER, Ms, Span};

/// Cameras of which the last sign is kept though no version has them at an exit: one may have them tomorrow. More than
/// a line ever has; beyond it the first known stay.
const KNOWN_CAMERAS: usize = 256;

/// What is known of one camera.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Camera {
    id: i32,
    /// The last sign before what is kept, and what it said.
    base: Option<(Ms, Health)>,
    /// The last sign of all.
    last_sign: Option<Ms>,
    /// When it was dark, sorted; the last can reach [`FOREVER`].
    offline: Vec<Span>,
}

/// The cameras of a line: those at an exit in any of its versions, and the last word of the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cameras {
    cameras: Vec<Camera>,
    /// Ids of the exit cameras of all versions, sorted.
    #[serde(skip)]
    at_exits: Vec<i32>,
    /// Accepted statuses that can still matter, sorted by (at, camera, status).
    statuses: Vec<(Ms, i32, Health)>,
    /// Input that is known to be missing.
    holes: Vec<Span>,
    /// Once the clock is past this, some camera has been silent for too long.
    deadline: Option<Ms>,
    /// Of all versions: a longer silence may be dark.
    shortest_heartbeat_ms: Option<Ms>,
}

impl Cameras {
    /// The cameras of a timeline, all still unheard of.
    pub fn new(timeline: &Timeline) -> Cameras {
        let mut cameras = Cameras::default();
        cameras.adopt(timeline);
        cameras
    }

    /// Takes up the cameras of new versions.
    pub fn adopt(&mut self, timeline: &Timeline) {
        self.at_exits = timeline.versions().iter().flat_map(|v| v.exit_cameras.iter().copied()).collect();
        self.at_exits.sort_unstable();
        self.at_exits.dedup();
        for id in self.at_exits.clone() {
            if self.cameras.iter().all(|c| c.id != id) {
                self.cameras.push(Camera { id, base: None, last_sign: None, offline: Vec::new() });
            }
        }
        self.cameras.sort_by_key(|c| c.id);
        self.shortest_heartbeat_ms = timeline.versions().iter().filter_map(|v| v.config.heartbeat_ms).min();
    }

    /// Whether the line can have time without data at all.
    pub fn matter(&self) -> bool {
        !self.at_exits.is_empty()
    }

    /// Where an exit camera stands in `cameras`.
    fn at_exit(&self, id: i32) -> Option<usize> {
        self.at_exits.binary_search(&id).ok()?;
        self.cameras.iter().position(|c| c.id == id)
    }

    /// Whether a status of this identity was accepted and is still kept.
    pub fn knows(&self, status: &CameraStatus) -> bool {
        self.statuses.binary_search(&(status.at, status.camera_id, status.status)).is_ok()
    }

    /// Keeps a status. True: the dark time may have changed and [`Cameras::dark`] must be asked.
    pub fn status(&mut self, status: &CameraStatus) -> bool {
        let entry = (status.at, status.camera_id, status.status);
        let Err(index) = self.statuses.binary_search(&entry) else { return false };
        self.statuses.insert(index, entry);
        let Some(camera) = self.at_exit(status.camera_id) else { return false };
        let changes = self.sign(camera, status.at);
        changes || status.status == Health::Offline
    }

    /// Takes a detection as its camera's sign of life. True as for [`Cameras::status`].
    pub fn detection(&mut self, detection: &Detection) -> bool {
        let Some(id) = detection.camera_id else { return false };
        let Some(index) = self.at_exit(id) else { return false };
        let overdue = self.shortest_heartbeat_ms.is_some_and(|heartbeat| {
            self.cameras[index].last_sign.is_none_or(|last| detection.detected_at - last > heartbeat)
        });
        self.sign(index, detection.detected_at) || overdue
    }

    /// True when the sign falls into dark time.
    fn sign(&mut self, index: usize, at: Ms) -> bool {
        let camera = &mut self.cameras[index];
        camera.last_sign = Some(camera.last_sign.map_or(at, |last| last.max(at)));
        camera.offline.iter().rev().take_while(|dark| dark.to >= at).any(|dark| dark.from <= at && at <= dark.to)
    }

    /// Whether the clock has passed the moment at which a silent camera counts as dark.
    pub fn overdue(&self, clock: Ms) -> bool {
        self.deadline.is_some_and(|deadline| clock > deadline)
    }

    /// The next clock time at which silence turns dark.
    pub fn deadline(&self) -> Option<Ms> {
        self.deadline.map(|at| at + 1)
    }

    pub fn add_hole(&mut self, hole: Span) {
        self.holes.push(hole);
        self.holes.sort_unstable();
    }

    /// All dark time, anew: when every exit camera of the version in force is offline, and the holes.
    pub fn dark(&mut self, timeline: &Timeline, tail: &Tail, clock: Ms) -> Vec<Span> {
        self.deadline = None;
        let signs: Vec<Vec<(Ms, Health)>> = self
            .cameras
            .iter()
            .map(|camera| match self.at_exits.binary_search(&camera.id) {
                Ok(_) => self.signs_of(camera, tail),
                Err(_) => Vec::new(),
            })
            .collect();
        let mut offline_at_all: Vec<Vec<Span>> = vec![Vec::new(); self.cameras.len()];
        let mut dark = self.holes.clone();
        for (number, version) in timeline.versions().iter().enumerate() {
            if version.exit_cameras.is_empty() {
                continue;
            }
            let to = timeline.versions().get(number + 1).map_or(FOREVER, |next| next.config.valid_from);
            let reign = vec![Span::new(version.config.valid_from, to)];
            let mut all = reign.clone();
            for (index, camera) in self.cameras.iter().enumerate() {
                if !version.exit_cameras.contains(&camera.id) {
                    continue;
                }
                let heard_before = camera.base.is_some();
                let (offline, deadline) = offline(&signs[index], heard_before, version.config.heartbeat_ms, clock);
                self.deadline = [self.deadline, deadline].into_iter().flatten().min();
                all = intersect(&all, &offline);
                // Not of the reign alone: a sign before it can be what ends the dark time inside.
                offline_at_all[index].extend(offline);
            }
            dark.extend(all);
        }
        for (camera, offline) in self.cameras.iter_mut().zip(offline_at_all) {
            camera.offline = union(offline);
        }
        union(dark)
    }

    /// The kept signs of life of a camera, sorted; of one instant offline comes last.
    fn signs_of(&self, camera: &Camera, tail: &Tail) -> Vec<(Ms, Health)> {
        let mut signs: Vec<(Ms, Health)> = camera.base.into_iter().collect();
        signs.extend(self.statuses.iter().filter(|(_, id, _)| *id == camera.id).map(|(at, _, health)| (*at, *health)));
        signs.extend(tail.iter().filter(|d| d.camera_id == Some(camera.id)).map(|d| (d.detected_at, Health::Online)));
        signs.sort_unstable();
        signs
    }

    /// A detection leaves the tail: it may be its camera's last sign before what is kept.
    pub fn forget_detection(&mut self, detection: &Detection) {
        let Some(id) = detection.camera_id else { return };
        self.keep_base(id, detection.detected_at, Health::Online);
    }

    /// A sign of life leaves what is kept: it may be its camera's last before.
    fn keep_base(&mut self, id: i32, at: Ms, health: Health) {
        if let Some(camera) = self.cameras.iter_mut().find(|c| c.id == id) {
            base_of(camera, at, health);
        } else if self.cameras.len() < KNOWN_CAMERAS {
            self.cameras.push(Camera { id, base: Some((at, health)), last_sign: None, offline: Vec::new() });
        }
    }

    /// Drops statuses and dark time before `keep_from`.
    pub fn prune(&mut self, keep_from: Ms) {
        let keep = self.statuses.partition_point(|(at, _, _)| *at < keep_from);
        for (at, id, health) in self.statuses.drain(..keep).collect::<Vec<_>>() {
            self.keep_base(id, at, health);
        }
        for camera in &mut self.cameras {
            camera.offline.retain(|dark| dark.to >= keep_from);
        }
    }
}

/// When a camera with these signs is offline, and when its silence will count as such if it lasts. `heard_before`: the
/// first sign is not the first of all.
fn offline(signs: &[(Ms, Health)], heard_before: bool, heartbeat_ms: Option<Ms>, clock: Ms) -> (Vec<Span>, Option<Ms>) {
    let mut dark = Vec::new();
    if !heard_before && heartbeat_ms.is_some() {
        dark.push(Span::new(BEGINNING, signs.first().map_or(FOREVER, |(at, _)| *at)));
    }
    let mut deadline = None;
    for (number, &(at, health)) in signs.iter().enumerate() {
        let next = signs.get(number + 1).map(|(next, _)| *next);
        if next == Some(at) {
            // Of one instant the last in order counts, and offline sorts after online.
            continue;
        }
        let end = next.unwrap_or(FOREVER);
        let silent = heartbeat_ms.is_some_and(|limit| end.min(clock) - at > limit);
        if health == Health::Offline || silent {
            dark.push(Span::new(at, end));
        } else if next.is_none() {
            deadline = heartbeat_ms.map(|limit| at + limit);
        }
    }
    (union(dark), deadline)
}

/// Moves the base to a later sign; at one instant offline wins.
fn base_of(camera: &mut Camera, at: Ms, health: Health) {
    let sign = (at, health);
    if camera.base.is_none_or(|base| base < sign) {
        camera.base = Some(sign);
    }
}

/// What both have; both sorted and apart.
pub fn intersect(a: &[Span], b: &[Span]) -> Vec<Span> {
    let mut out = Vec::new();
    for left in a {
        for right in b {
            out.extend(left.intersect(right));
        }
    }
    out.sort_unstable();
    out
}

/// Sorted and apart, touching ones joined.
pub fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| !span.is_empty());
    spans.sort_unstable();
    let mut out: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match out.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => out.push(span),
        }
    }
    out
}

/// The smallest span outside of which two sets of spans are the same; none: they are the same.
pub fn difference(before: &[Span], after: &[Span]) -> Option<Span> {
    if before == after {
        return None;
    }
    let same_front = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[same_front..], &after[same_front..]);
    let same_back = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[..before.len() - same_back], &after[..after.len() - same_back]);
    // Of two that begin together what both have is no difference: the rest may be all that is still kept.
    let from = match (before.first(), after.first()) {
        (Some(a), Some(b)) if a.from == b.from => a.to.min(b.to),
        (a, b) => a.into_iter().chain(b).map(|span| span.from).min()?,
    };
    let to = match (before.last(), after.last()) {
        (Some(a), Some(b)) if a.to == b.to => a.from.max(b.from),
        (a, b) => a.into_iter().chain(b).map(|span| span.to).max()?,
    };
    Some(Span::new(from, to))
}
