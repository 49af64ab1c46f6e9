//! Widgets: what a page can hold. The catalogue is one table; [`params`] says what may be asked of each, [`answer`]
//! makes its items, [`live`] keeps those of subscriptions up to date. REST and the live protocol ask the same
//! function, so that they cannot say different things.

pub mod answer;
pub mod catalogue;
pub mod layout;
pub mod live;
pub mod params;
pub mod scope;

#[cfg(test)]
mod tests;

pub use catalogue::{CATALOGUE, Widget, find};
pub use params::Params;
