//! What surrounds a run: its environment, and the walls that it is shut into. `none` has a clean environment
//! and nothing else; `guarded` adds Landlock; `sealed` is bubblewrap's.

mod cgroup;
mod environment;
mod ground;
mod landlock;
mod machine;
mod nodes;
mod seal;
mod walls;

pub use cgroup::{Cgroup, Held, in_a_service, leave_service, probe_name, sweep};
pub use environment::{analysis, keep_within, run};
pub use ground::Ground;
pub use landlock::shut_in;
pub use machine::Machine;
pub use seal::arguments as seal;
pub use walls::Walls;
