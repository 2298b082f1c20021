//! What may be asked of the present state. An answer rests on everything decided when it was found, and
//! leaves only once that is durable: a client never reads what a crash could take back.

use super::event::Reply;
use super::outbox::Outbox;
use windlass_engine::core::{Core, Listed};
use windlass_engine::explain::{Subject, explain};
use windlass_engine::session::{Known, known};
use windlass_shared::attempt::AttemptKey;
use windlass_shared::bindings::Bindings;
use windlass_shared::id::{CampaignId, Incarnation, LeverNumber};
use windlass_shared::refusal::Refusal;
use windlass_shared::time::Time;
use windlass_shared::view::{CampaignView, Explanation, WorkerView};

/// One question, names as the client wrote them.
pub(crate) enum Query {
    /// One campaign with its bindings.
    Campaign { name: String, reply: Reply<(CampaignView, Bindings)> },
    /// The dimensions that a campaign has measured (P13), sorted.
    Dimensions { name: String, reply: Reply<Vec<String>> },
    /// Every campaign, newest first.
    Campaigns { reply: Reply<Vec<CampaignView>> },
    /// A campaign's id and the name of its metric.
    Resolve { name: String, reply: Reply<(CampaignId, String)> },
    /// A page of a campaign's levers.
    Levers { name: String, skip: usize, limit: usize, reply: Reply<(CampaignId, Vec<Listed>)> },
    /// One lever.
    Lever { name: String, lever: LeverNumber, reply: Reply<(CampaignId, Listed)> },
    /// The fleet.
    Workers { reply: Reply<Vec<WorkerView>> },
    /// Why something is, or is not, running.
    Explain { name: String, subject: Subject, reply: Reply<Explanation> },
    /// Its life and its clock.
    About { reply: Reply<About> },
    /// Where a watcher stands: the pages of one campaign or of all.
    Pages { campaign: Option<CampaignId>, reply: Reply<Pages> },
    /// The last record, once everything decided so far is durable.
    Settled { reply: Reply<u64> },
    /// Whether this attempt's log may be written under this lease (I5).
    MayWriteLog { key: AttemptKey, reply: Reply<()> },
}

/// What the coordinator is at this moment.
pub(crate) struct About {
    /// The life of the coordinator.
    pub incarnation: Incarnation,
    /// Its wall clock, milliseconds.
    pub wall_ms: i64,
}

/// Campaigns as they stood after a record.
pub(crate) struct Pages {
    /// The life of the coordinator.
    pub incarnation: Incarnation,
    /// The last record that they rest on.
    pub seq: u64,
    /// One page each.
    pub views: Vec<CampaignView>,
}

impl Query {
    /// Itself when it only reads; else how its caller is refused.
    pub(super) fn reads(self) -> Result<Self, Box<dyn FnOnce(Refusal)>> {
        match self {
            Self::MayWriteLog { reply, .. } => Err(Box::new(move |refusal| {
                let _ = reply.send(Err(refusal));
            })),
            query => Ok(query),
        }
    }

    /// Finds the answer and lets it leave when it may.
    pub(super) fn answer(self, core: &Core, now: Time, outbox: &mut Outbox) {
        let seq = core.durable().seq;
        match self {
            Self::Campaign { name, reply } => outbox.push(seq, reply, campaign(core, now, &name)),
            Self::Dimensions { name, reply } => outbox.push(seq, reply, dimensions(core, &name)),
            Self::Campaigns { reply } => outbox.push(seq, reply, views(core, now, None)),
            Self::Resolve { name, reply } => outbox.push(seq, reply, resolve(core, &name)),
            Self::Levers { name, skip, limit, reply } => {
                let levers = core
                    .resolve_campaign(&name)
                    .and_then(|id| core.levers(&id, skip, limit).map(|levers| (id, levers)));
                outbox.push(seq, reply, levers);
            }
            Self::Lever { name, lever, reply } => {
                let found = core
                    .resolve_campaign(&name)
                    .and_then(|id| core.lever(&id, lever).map(|listed| (id, listed)));
                outbox.push(seq, reply, found);
            }
            Self::Workers { reply } => outbox.push(seq, reply, Ok(core.worker_views(now))),
            Self::Explain { name, subject, reply } => {
                outbox.push(seq, reply, explain(core, now, &name, &subject));
            }
            Self::About { reply } => {
                let missing = || Refusal::NotFound { what: "incarnation", name: String::new() };
                let about = core.durable().incarnation.ok_or_else(missing);
                outbox.push(seq, reply, about.map(|incarnation| About { incarnation, wall_ms: now.wall_ms }));
            }
            Self::Pages { campaign, reply } => outbox.push(seq, reply, pages(core, now, campaign.as_ref())),
            Self::Settled { reply } => outbox.push(seq, reply, Ok(seq)),
            Self::MayWriteLog { key, reply } => outbox.push(seq, reply, may_write_log(core, &key)),
        }
    }
}

fn campaign(core: &Core, now: Time, name: &str) -> Result<(CampaignView, Bindings), Refusal> {
    let id = core.resolve_campaign(name)?;
    Ok((core.campaign_view(now, &id)?, (*core.campaign(&id)?.bindings).clone()))
}

fn dimensions(core: &Core, name: &str) -> Result<Vec<String>, Refusal> {
    let id = core.resolve_campaign(name)?;
    Ok(core.campaign(&id)?.measured.iter().cloned().collect())
}

fn resolve(core: &Core, name: &str) -> Result<(CampaignId, String), Refusal> {
    let id = core.resolve_campaign(name)?;
    let metric = core.campaign(&id)?.bindings.metric.clone();
    Ok((id, metric))
}

fn views(core: &Core, now: Time, campaign: Option<&CampaignId>) -> Result<Vec<CampaignView>, Refusal> {
    let mut views = match campaign {
        Some(campaign) => vec![core.campaign_view(now, campaign)?],
        None => core
            .durable()
            .campaigns
            .keys()
            .map(|id| core.campaign_view(now, id))
            .collect::<Result<Vec<_>, _>>()?,
    };
    views.sort_by(|a, b| b.created_wall_ms.cmp(&a.created_wall_ms).then_with(|| b.campaign.cmp(&a.campaign)));
    Ok(views)
}

fn pages(core: &Core, now: Time, campaign: Option<&CampaignId>) -> Result<Pages, Refusal> {
    let missing = || Refusal::NotFound { what: "incarnation", name: String::new() };
    let incarnation = core.durable().incarnation.ok_or_else(missing)?;
    Ok(Pages { incarnation, seq: core.durable().seq, views: views(core, now, campaign)? })
}

/// A lease that has passed on writes no log; one that is over may still send what was on its way.
fn may_write_log(core: &Core, key: &AttemptKey) -> Result<(), Refusal> {
    match known(core.durable(), key) {
        Known::Live | Known::Over => Ok(()),
        Known::Stale | Known::Unknown => Err(Refusal::Stale { what: format!("attempt {key}") }),
    }
}
