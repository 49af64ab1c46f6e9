//! Stops and figures: what other systems read.

use super::Undecodable;
use super::wire::{Reader, Writer};
use crate::domain::production::changes::{LineState, StateNow};
use crate::domain::production::figure::{BucketsMs, Figure, FigureState, Flag, Pieces, Window};
use crate::domain::production::stop::{Segment, Stop, StopStatus};
use crate::domain::time::Ms;

/// A stop as its topic tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopRecord {
    pub stop: Stop,
    /// The line's watermark at the commit.
    pub watermark: Ms,
    /// The line's commit that told this.
    pub commit_seq: u64,
}

/// A figure and its line's state as their topic tells them.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureRecord {
    pub figure: Figure,
    pub state: StateNow,
    /// The line's watermark at the commit.
    pub watermark: Ms,
    /// The line's commit that told this.
    pub commit_seq: u64,
}

// The symbols of the schemas' enums, in the schemas' order.

const STATUS: [StopStatus; 3] = [StopStatus::Open, StopStatus::Closed, StopStatus::Retracted];
const FIGURE_STATE: [FigureState; 2] = [FigureState::Provisional, FigureState::Final];
const FLAG: [Flag; 4] = [Flag::StandardTooLow, Flag::QualityAboveOne, Flag::QualityNotMeasured, Flag::NoProductionTime];
const LINE_STATE: [LineState; 6] = [
    LineState::Running,
    LineState::MicroStop,
    LineState::Stopped,
    LineState::PlannedStop,
    LineState::NoData,
    LineState::Unscheduled,
];

fn text(reader: &mut Reader<'_>) -> Result<String, Undecodable> {
    reader.text().map(str::to_owned)
}

fn counter(reader: &mut Reader<'_>) -> Result<u64, Undecodable> {
    u64::try_from(reader.long()?).map_err(|_| Undecodable::BadNumber)
}

fn segment(reader: &mut Reader<'_>) -> Result<Segment, Undecodable> {
    Ok(Segment { from: reader.long()?, to: reader.long()?, shift: reader.option(text)?, business_date: text(reader)? })
}

pub fn stop(body: &[u8]) -> Result<StopRecord, Undecodable> {
    let mut reader = Reader::new(body);
    let stop = Stop {
        downtime_id: text(&mut reader)?,
        line: text(&mut reader)?,
        revision: reader.unsigned()?,
        status: reader.symbol(&STATUS)?,
        started_at: reader.long()?,
        ended_at: reader.option(Reader::long)?,
        duration_ms: reader.long()?,
        reason_code: reader.option(text)?,
        comment: reader.option(text)?,
        planned: reader.boolean()?,
        shift: reader.option(text)?,
        business_date: text(&mut reader)?,
        segments: reader.array(segment)?,
    };
    let record = StopRecord { stop, watermark: reader.long()?, commit_seq: counter(&mut reader)? };
    reader.end()?;
    Ok(record)
}

pub fn put_stop(stop: &Stop, watermark: Ms, commit_seq: u64, out: &mut Vec<u8>) {
    let mut out = Writer::new(out);
    out.text(&stop.downtime_id);
    out.text(&stop.line);
    out.long(i64::from(stop.revision));
    out.symbol(&STATUS, &stop.status);
    out.long(stop.started_at);
    out.option(stop.ended_at, Writer::long);
    out.long(stop.duration_ms);
    out.option(stop.reason_code.as_deref(), Writer::text);
    out.option(stop.comment.as_deref(), Writer::text);
    out.boolean(stop.planned);
    out.option(stop.shift.as_deref(), Writer::text);
    out.text(&stop.business_date);
    out.array(&stop.segments, |out, segment| {
        out.long(segment.from);
        out.long(segment.to);
        out.option(segment.shift.as_deref(), Writer::text);
        out.text(&segment.business_date);
    });
    out.long(watermark);
    out.long(commit_seq as i64);
}

fn window(reader: &mut Reader<'_>) -> Result<Window, Undecodable> {
    Window::parse(reader.text()?).ok_or(Undecodable::BadWord)
}

fn interval(reader: &mut Reader<'_>) -> Result<[f64; 2], Undecodable> {
    <[f64; 2]>::try_from(reader.array(Reader::double)?).map_err(|_| Undecodable::BadWord)
}

fn buckets(reader: &mut Reader<'_>) -> Result<BucketsMs, Undecodable> {
    Ok(BucketsMs {
        unscheduled: reader.long()?,
        planned_stop: reader.long()?,
        no_data: reader.long()?,
        running: reader.long()?,
        micro_stop: reader.long()?,
        stopped: reader.long()?,
    })
}

fn pieces(reader: &mut Reader<'_>) -> Result<Pieces, Undecodable> {
    Ok(Pieces { total: reader.long()?, good: reader.long()?, reject: reader.long()?, outside_pbt: reader.long()? })
}

pub fn figure(body: &[u8]) -> Result<FigureRecord, Undecodable> {
    let mut reader = Reader::new(body);
    let figure = Figure {
        line: reader.option(text)?,
        window: window(&mut reader)?,
        from: reader.long()?,
        to: reader.long()?,
        as_of: reader.long()?,
        state: reader.symbol(&FIGURE_STATE)?,
        revision: reader.unsigned()?,
        config_versions: reader.array(Reader::unsigned)?,
        policy_versions: reader.array(Reader::unsigned)?,
        completeness: reader.option(Reader::double)?,
        buckets_ms: buckets(&mut reader)?,
        outside_ms: reader.long()?,
        pieces: pieces(&mut reader)?,
        ideal_ns: reader.long()?,
        stops: reader.long()?,
        micro_stops: reader.long()?,
        availability: reader.option(Reader::double)?,
        performance: reader.option(Reader::double)?,
        quality: reader.option(Reader::double)?,
        oee: reader.option(Reader::double)?,
        oee_interval: reader.option(interval)?,
        flags: reader.array(|reader| reader.symbol(&FLAG))?,
    };
    let state = StateNow { state: reader.symbol(&LINE_STATE)?, since: reader.long()?, as_of: reader.long()? };
    let record = FigureRecord { figure, state, watermark: reader.long()?, commit_seq: counter(&mut reader)? };
    reader.end()?;
    Ok(record)
}

pub fn put_figure(figure: &Figure, state: &StateNow, watermark: Ms, commit_seq: u64, out: &mut Vec<u8>) {
    let mut out = Writer::new(out);
    out.option(figure.line.as_deref(), Writer::text);
    out.text(figure.window.as_str());
    out.long(figure.from);
    out.long(figure.to);
    out.long(figure.as_of);
    out.symbol(&FIGURE_STATE, &figure.state);
    out.long(i64::from(figure.revision));
    out.array(&figure.config_versions, |out, version| out.long(i64::from(*version)));
    out.array(&figure.policy_versions, |out, version| out.long(i64::from(*version)));
    out.option(figure.completeness, Writer::double);
    let buckets = &figure.buckets_ms;
    out.long(buckets.unscheduled);
    out.long(buckets.planned_stop);
    out.long(buckets.no_data);
    out.long(buckets.running);
    out.long(buckets.micro_stop);
    out.long(buckets.stopped);
    out.long(figure.outside_ms);
    out.long(figure.pieces.total);
    out.long(figure.pieces.good);
    out.long(figure.pieces.reject);
    out.long(figure.pieces.outside_pbt);
    out.long(figure.ideal_ns);
    out.long(figure.stops);
    out.long(figure.micro_stops);
    out.option(figure.availability, Writer::double);
    out.option(figure.performance, Writer::double);
    out.option(figure.quality, Writer::double);
    out.option(figure.oee, Writer::double);
    out.option(figure.oee_interval, |out, bounds| out.array(&bounds, |out, bound| out.double(*bound)));
    out.array(&figure.flags, |out, flag| out.symbol(&FLAG, flag));
    out.symbol(&LINE_STATE, &state.state);
    out.long(state.since);
    out.long(state.as_of);
    out.long(watermark);
    out.long(commit_seq as i64);
}
