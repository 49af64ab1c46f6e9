//! The storm itself.

use std::time::{Duration, Instant};

use super::faults::Fault;
use super::field::{Field, Plan};
use super::tail::wall;

/// A line that is silent for longer after a fault's end is a complaint.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_detection_is_told_once_whatever_breaks() {
    let plan = Plan::from_env();
    println!("ANDON_FIRE_SEED={} ANDON_FIRE_MINUTES={:?}", plan.seed, plan.minutes);
    let begun = Instant::now();
    let mut field = Field::prepare(plan).await;
    let ready = field.until_live(wall(), PATIENCE).await;
    println!("{:>6.1} s  all lines live for the first time ({ready:?})", begun.elapsed().as_secs_f64());
    field.back_up().await;
    match field.plan.minutes {
        None => short(&mut field, begun).await,
        Some(minutes) => long(&mut field, begun, Duration::from_secs_f64(minutes * 60.0)).await,
    }
    println!("{:>6.1} s  the storm is over", begun.elapsed().as_secs_f64());
    field.verdict().await;
    field.restore().await;
    field.report.minutes = begun.elapsed().as_secs_f64() / 60.0;
    field.report.write(&field.folder);
    println!("\n{}", field.report.text());
    let complaints = field.report.complaints.len();
    assert_eq!(complaints, 0, "logs and report are in {}", field.folder.display());
}

/// Every fault of the short form once, in the seed's order.
async fn short(field: &mut Field, begun: Instant) {
    let mut faults = Fault::SHORT;
    field.chance.shuffle(&mut faults);
    for fault in faults {
        strike(field, fault, begun).await;
        let rest = field.chance.between(200, 1_500);
        field.pause(Duration::from_millis(rest)).await;
    }
}

/// Rounds of all faults until time is up; some strike while the one before is not over yet.
async fn long(field: &mut Field, begun: Instant, length: Duration) {
    let mut is_first = true;
    while begun.elapsed() < length {
        let mut faults = Fault::LONG;
        field.chance.shuffle(&mut faults);
        for fault in faults {
            if begun.elapsed() > length {
                break;
            }
            if !is_first && matches!(fault, Fault::NewLine | Fault::NewerWriter) {
                continue;
            }
            if field.chance.permille(250) {
                let first = *field.chance.pick(&Fault::LONG[..16]);
                say(begun, &format!("{} and, before it is over,", first.name()));
                field.strike(first).await;
                let between = field.chance.between(0, 1_500);
                field.pause(Duration::from_millis(between)).await;
                let after = field.strike(fault).await;
                if let Some(took) = field.until_live(after, PATIENCE).await {
                    say(begun, &format!("{}: live after {took:.2?}", fault.name()));
                    field.report.live_again("(the second of two)", took);
                }
            } else {
                strike(field, fault, begun).await;
            }
            // A burst now and then: batches of thousands.
            let rate = if field.chance.permille(100) { 1_500 } else { field.plan.rate };
            field.feed.mood.rate.store(rate, std::sync::atomic::Ordering::Relaxed);
            let rest = field.chance.between(200, 5_000);
            field.pause(Duration::from_millis(rest)).await;
        }
        is_first = false;
        field.report.minutes = begun.elapsed().as_secs_f64() / 60.0;
        field.report.write(&field.folder);
    }
    field.feed.mood.rate.store(field.plan.rate, std::sync::atomic::Ordering::Relaxed);
}

async fn strike(field: &mut Field, fault: Fault, begun: Instant) {
    let after = field.strike(fault).await;
    if let Some(took) = field.until_live(after, PATIENCE).await {
        say(begun, &format!("{}: live after {took:.2?}", fault.name()));
        field.report.live_again(&fault.name(), took);
    }
}

fn say(begun: Instant, text: &str) {
    println!("{:>6.1} s  {text}", begun.elapsed().as_secs_f64());
}
