//! The rules of PROTOCOL.md and the invariants of RELIABILITY.md, held against the pure core. A test is
//! named after what it proves.

mod any_order;
mod control;
mod devices;
mod explain;
mod explain_lever;
mod facts;
mod findings;
mod follow_ups;
mod gates;
mod harness;
mod help;
mod lanes;
mod literature;
mod literature_bounds;
mod lost;
mod machinery;
mod memory;
mod moves;
mod noise;
mod owners;
mod queue;
mod quota;
mod refusals;
mod replay;
mod runs;
mod score;
mod sessions;
mod setup;
mod share;
mod steer;
mod waits;
