//! Where detections come from when there are no cameras: a simulated plant and recorded files.
//!
//! | part | role |
//! |---|---|
//! | [`model`] | a plant as a pure function of a tenant's file and a seed: records in the order in which they arrive |
//! | [`recording`] | a CSV file as records, each row checked |
//! | [`pace`] | when a simulated or recorded instant is due |
//! | [`outlet`] | records into the topics of their lines |
//! | [`operator`] | gives simulated stops their reasons by real commands |

pub mod model;
pub mod operator;
pub mod outlet;
pub mod pace;
pub mod recording;
