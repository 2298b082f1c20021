//! The seeded simulator: one coordinator core and several worker machines over a bad network, with
//! crashes at every step. After every event the invariants of docs and rules are checked. No threads, no
//! clock: one seed is one history.

mod campaigns;
mod checks;
mod client;
mod coordinator;
mod coverage;
mod crash;
mod daemon;
mod faults;
mod gather;
mod heal;
mod ledger;
mod life;
mod machine;
mod network;
mod random;
mod run;
mod runs;
mod violation;
mod world;

pub use coverage::{Coverage, FAULTS, Fault, INFEASIBLE, SIGHTS};
pub use run::{Failure, Stats, run};
