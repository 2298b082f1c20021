//! The services on the wire, thin: convert, send an event, await the answer. They decide nothing.

pub mod access;
mod artifact;
mod at_a_time;
mod campaign;
mod claims;
mod convert;
mod delivered;
mod dry;
mod findings;
mod fleet;
mod guard;
mod health;
mod identity;
mod iterations;
mod levers;
pub mod listen;
mod log;
mod malformed;
mod reach;
pub mod room;
mod secrets;
pub(crate) mod serve;
mod trace;
mod upkeep;
mod version;
mod watch;
mod worker;
