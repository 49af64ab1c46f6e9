//! Detections and camera statuses: what is read millions of times a second.

use super::Undecodable;
use super::wire::{Reader, Writer};
use crate::domain::production::detection::{CameraStatus, Detection, Health};
use crate::domain::time::Ms;

/// 0001-01-01T00:00:00Z: before it neither RFC 3339 nor the database has a date. What lies too far ahead is refused
/// later, with a better reason.
const EARLIEST: Ms = -62_135_596_800_000;

/// Symbols of `CameraHealth`, in the schema's order.
const HEALTH: [Health; 2] = [Health::Online, Health::Offline];

#[inline]
fn instant(reader: &mut Reader<'_>) -> Result<Ms, Undecodable> {
    let at = reader.long()?;
    if at < EARLIEST { Err(Undecodable::BadNumber) } else { Ok(at) }
}

/// A confidence that is no number says nothing and is read as none; the database could not keep it.
#[inline]
fn confidence(reader: &mut Reader<'_>) -> Result<Option<f32>, Undecodable> {
    Ok(reader.option(Reader::float)?.filter(|confidence| confidence.is_finite()))
}

#[inline]
pub fn detection(body: &[u8]) -> Result<Detection, Undecodable> {
    let mut reader = Reader::new(body);
    let detection = Detection {
        detection_id: reader.long()?,
        detected_at: instant(&mut reader)?,
        area_id: reader.int()?,
        product_id: reader.int()?,
        quantity: reader.int()?,
        camera_id: reader.option(Reader::int)?,
        confidence: confidence(&mut reader)?,
    };
    reader.end()?;
    Ok(detection)
}

pub fn status(body: &[u8]) -> Result<CameraStatus, Undecodable> {
    let mut reader = Reader::new(body);
    let status = CameraStatus {
        camera_id: reader.int()?,
        at: instant(&mut reader)?,
        status: reader.symbol(&HEALTH)?,
        reason: reader.option(Reader::text)?.map(str::to_owned),
    };
    reader.end()?;
    Ok(status)
}

pub fn put_detection(detection: &Detection, out: &mut Vec<u8>) {
    let mut out = Writer::new(out);
    out.long(detection.detection_id);
    out.long(detection.detected_at);
    out.int(detection.area_id);
    out.int(detection.product_id);
    out.int(detection.quantity);
    out.option(detection.camera_id, Writer::int);
    out.option(detection.confidence, Writer::float);
}

pub fn put_status(status: &CameraStatus, out: &mut Vec<u8>) {
    let mut out = Writer::new(out);
    out.int(status.camera_id);
    out.long(status.at);
    out.symbol(&HEALTH, &status.status);
    out.option(status.reason.as_deref(), Writer::text);
}
