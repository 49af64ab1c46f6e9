//! Benches: what `ARCHITECTURE.md` says of speed, measured by anybody with `andon bench NAME`.

pub mod browser;
pub mod core;
pub mod gate;
pub mod gateway;
pub mod history;
pub mod isolation;
pub mod load;
pub mod member;
pub mod pipeline;
pub mod recovery;
pub mod replay;
pub mod site;
pub mod sockets;
pub mod traffic;
pub mod watch;
