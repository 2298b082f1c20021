//! `windlass research`: a command is asked for one lever after the other, and everything around it is done for
//! it. What the loop rests on is on disk before it is done, so that whoever is killed, nothing is proposed twice.

mod agent;
mod answer;
mod ask;
mod backoff;
mod claims;
mod cost;
mod decide;
mod desk;
mod driver;
mod edits;
mod evidence;
mod lay;
mod limits;
mod preset;
mod prompt;
mod run;
mod send;
mod state;
mod tell;
mod turn;
mod watcher;

pub use agent::from_here;
pub use desk::parse_name;
pub use limits::Limits;
pub use preset::Preset;
pub use run::{Settings, run, show};
