//! What the core wants done. Level-triggered and keyed: a command that is lost is wanted again.

use crate::gate::facts::Wanted;
use windlass_shared::id::{CampaignId, WorkerId};
use windlass_shared::session::Answer;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Feed [`Input::Step`](super::Input::Step) back at once. Internal: waits for nothing.
    Step(CampaignId),
    /// Feed [`Input::Lose`](super::Input::Lose) back at once. Internal: waits for nothing.
    Lose(WorkerId),
    /// Fetch what the facts need and observe them. Reads only: waits for nothing.
    Gather(Wanted),
    /// Answer the worker's open report. Leaves only once everything decided so far is durable.
    Answer(WorkerId, Answer),
}
