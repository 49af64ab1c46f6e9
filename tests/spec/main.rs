//! What can be held against the specification without a server.

mod purity;
