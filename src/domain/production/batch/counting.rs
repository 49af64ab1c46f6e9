//! What a detection adds to the sums of its period.

use crate::domain::production::config::{LineConfig, QualityBasis, Role};
use crate::domain::production::detection::Detection;
use crate::domain::production::sums::Sums;

/// How good and total are counted under a configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// total = output + reject.
    WithRejects,
    /// total = input.
    InputOutput,
    /// total = good = output.
    Unmeasured,
}

fn basis(config: &LineConfig) -> Basis {
    let has = |role| config.areas.iter().any(|area| area.role == role);
    match config.policy.quality {
        QualityBasis::Auto if has(Role::Reject) => Basis::WithRejects,
        QualityBasis::InputOutput if has(Role::Input) => Basis::InputOutput,
        _ => Basis::Unmeasured,
    }
}

fn has_role(config: &LineConfig, area: i32, role: Role) -> bool {
    config.areas.iter().any(|a| a.id == area && a.role == role)
}

/// Whether an area's pieces are output: those of output areas, else of the last non-reject area in the line's order.
fn is_output(config: &LineConfig, area: i32) -> bool {
    if config.areas.iter().any(|a| a.role == Role::Output) {
        return has_role(config, area, Role::Output);
    }
    config.areas.iter().rfind(|a| a.role != Role::Reject).is_some_and(|last| last.id == area)
}

/// The sums of one detection under the configuration of its time; `outside`: rule 1 booked its millisecond.
pub fn count(config: &LineConfig, detection: &Detection, outside: bool) -> Sums {
    let basis = basis(config);
    let quantity = i64::from(detection.quantity);
    let output = is_output(config, detection.area_id);
    let reject = has_role(config, detection.area_id, Role::Reject);
    let (in_total, in_performance) = match basis {
        Basis::WithRejects => (output || reject, output || reject),
        Basis::InputOutput => (has_role(config, detection.area_id, Role::Input), output),
        Basis::Unmeasured => (output, output),
    };
    let of = |counts: bool| if counts { quantity } else { 0 };
    let cycle_ns = config.cycle_of(detection.product_id);
    let performs = in_performance && !outside;
    Sums {
        total: of(in_total),
        good: of(output),
        reject: of(reject),
        outside_pbt: of(in_total && outside),
        good_outside: of(output && outside),
        ideal_ns: cycle_ns.map_or(0, |cycle_ns| of(performs).saturating_mul(cycle_ns)),
        seen: of((in_total || output || reject || in_performance) && !outside),
        without_cycle: of(performs && cycle_ns.is_none()),
        unmeasured: of(in_total && basis == Basis::Unmeasured),
        ..Sums::default()
    }
}
