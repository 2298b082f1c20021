//! A campaign: its lever queue, the life cycle of its iterations, its decisions.

mod apply;
mod automatic;
mod decision;
mod follow_up;
mod gates;
mod in_line;
mod iteration;
mod judge;
mod lease;
mod lever;
mod limits;
mod moves;
mod order;
mod overtaken;
mod pull;
mod refused;
mod replicates;
mod state;
mod step;
mod wait;

pub use automatic::{Facts as ConclusionFacts, conclude};
pub use decision::{Case, Decided, Held, decide, default_min_gain};
pub use follow_up::{DELIVERABLES_MAX, FOLLOW_UPS_WAITING_MAX, FollowUps};
pub use iteration::{Accepted, INFRASTRUCTURE_TRIES, Iteration, Need, RunEnd};
pub use lease::room;
pub use lever::{LeverEntry, Past};
pub use moves::Moves;
pub use refused::Refusals;
pub use replicates::NOT_CONFIRMED;
pub use state::{
    AttemptMark, Best, Campaign, Decided as DecidedMark, MarkState, RECENT_MAX, RETRIABLE_MAX, Reason,
};
pub use step::{CANCELLED, Context, Due, Lane, SUPERSEDED, Say, UNANALYSED, due, lanes};
pub use wait::Wait;
