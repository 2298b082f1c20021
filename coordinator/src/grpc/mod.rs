//! The services on the wire, thin: convert, send an event, await the answer. They decide nothing.

mod guard;
pub mod listen;
