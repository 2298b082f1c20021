//! The services on the wire, thin: convert, send an event, await the answer. They decide nothing.

mod artifact;
mod campaign;
mod convert;
mod dry;
mod findings;
mod fleet;
mod guard;
mod levers;
pub mod listen;
mod log;
mod malformed;
pub(crate) mod serve;
mod upkeep;
mod version;
mod watch;
mod worker;
