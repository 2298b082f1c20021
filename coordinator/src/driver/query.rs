//! What may be asked of the present state. An answer rests on everything decided when it was found, and
//! leaves only once that is durable: a client never reads what a crash could take back.

use super::event::Reply;
use super::outbox::Outbox;
use std::collections::BTreeSet;
use windlass_engine::campaign::Due;
use windlass_engine::core::{Core, Figures, Listed};
use windlass_engine::explain::{Subject, explain_for};
use windlass_engine::session::{Known, known};
use windlass_shared::access::Access;
use windlass_shared::attempt::{AttemptKey, Order};
use windlass_shared::bindings::Bindings;
use windlass_shared::claim::ClaimView;
use windlass_shared::id::{CampaignId, Incarnation, LeverNumber, WorkerId};
use windlass_shared::quota::QuotaView;
use windlass_shared::refusal::Refusal;
use windlass_shared::time::Time;
use windlass_shared::usage::UsageView;
use windlass_shared::view::{CampaignState, CampaignView, Explanation, WorkerView};

/// One question, names as the client wrote them.
pub(crate) enum Query {
    /// One campaign with its bindings.
    Campaign { access: Access, name: String, reply: Reply<(CampaignView, Bindings)> },
    /// The dimensions that a campaign has measured (P13), sorted.
    Dimensions { access: Access, name: String, reply: Reply<Vec<String>> },
    /// What the researchers of a campaign work on.
    Claims { access: Access, name: String, reply: Reply<Vec<ClaimView>> },
    /// Every campaign, newest first.
    Campaigns { access: Access, reply: Reply<Vec<CampaignView>> },
    /// A campaign's id and the name of its metric.
    Resolve { access: Access, name: String, reply: Reply<(CampaignId, String)> },
    /// A page of a campaign's levers.
    Levers {
        access: Access,
        name: String,
        skip: usize,
        limit: usize,
        reply: Reply<(CampaignId, Vec<Listed>)>,
    },
    /// One lever.
    Lever { access: Access, name: String, lever: LeverNumber, reply: Reply<(CampaignId, Listed)> },
    /// The fleet.
    Workers { access: Access, reply: Reply<Vec<WorkerView>> },
    /// Who had what of the fleet.
    Usage { access: Access, reply: Reply<UsageView> },
    /// Who may have what of it.
    Quotas { access: Access, reply: Reply<Vec<QuotaView>> },
    /// How much there is of everything; whether it is durable makes no difference to a figure.
    Figures { reply: Reply<Figures> },
    /// Why something is, or is not, running.
    Explain { access: Access, name: String, subject: Subject, reply: Reply<Explanation> },
    /// Whether a campaign waits for a person.
    Standing { campaign: CampaignId, reply: Reply<Standing> },
    /// Its life and its clock.
    About { reply: Reply<About> },
    /// Where a watcher stands: the pages of one campaign or of all.
    Pages { access: Access, campaign: Option<CampaignId>, reply: Reply<Pages> },
    /// The last record, once everything decided so far is durable.
    Settled { reply: Reply<u64> },
    /// Whether this attempt's log may be written under this lease (I5).
    MayWriteLog { key: AttemptKey, reply: Reply<()> },
    /// The campaigns that a caller may see as far as it needs.
    Visible { access: Access, reply: Reply<BTreeSet<CampaignId>> },
    /// The orders that a worker is at.
    Orders { worker: WorkerId, reply: Reply<Vec<Order>> },
}

/// Whether a campaign moves.
pub(crate) enum Standing {
    /// It does, or waits for a device, or has ended.
    Moves,
    /// Nothing runs, and what comes next is being looked at.
    Settling,
    /// Nothing moves until somebody does something.
    Waits {
        /// For what.
        what: String,
        /// At which moment, wall time.
        wall_ms: i64,
    },
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
            Self::Campaign { access, name, reply } => {
                outbox.push(seq, reply, campaign(core, now, &access, &name))
            }
            Self::Dimensions { access, name, reply } => {
                outbox.push(seq, reply, dimensions(core, &access, &name));
            }
            Self::Claims { access, name, reply } => {
                let id = core.resolve_campaign_for(&access, &name);
                outbox.push(seq, reply, id.map(|id| core.claims(now, &id)));
            }
            Self::Campaigns { access, reply } => outbox.push(seq, reply, views(core, now, &access, None)),
            Self::Resolve { access, name, reply } => outbox.push(seq, reply, resolve(core, &access, &name)),
            Self::Levers { access, name, skip, limit, reply } => {
                let levers = core
                    .resolve_campaign_for(&access, &name)
                    .and_then(|id| core.levers(&id, skip, limit).map(|levers| (id, levers)));
                outbox.push(seq, reply, levers);
            }
            Self::Lever { access, name, lever, reply } => {
                let found = core
                    .resolve_campaign_for(&access, &name)
                    .and_then(|id| core.lever(&id, lever).map(|listed| (id, listed)));
                outbox.push(seq, reply, found);
            }
            Self::Workers { access, reply } => {
                outbox.push(seq, reply, Ok(core.worker_views_for(now, &access)))
            }
            Self::Usage { access, reply } => outbox.push(seq, reply, Ok(core.usage(now, &access))),
            Self::Quotas { access, reply } => outbox.push(seq, reply, Ok(core.quotas(now, &access))),
            Self::Standing { campaign, reply } => outbox.push(seq, reply, standing(core, now, &campaign)),
            Self::Figures { reply } => {
                let _ = reply.send(Ok(core.figures()));
            }
            Self::Explain { access, name, subject, reply } => {
                outbox.push(seq, reply, explain_for(core, now, &access, &name, &subject));
            }
            Self::About { reply } => {
                let missing = || Refusal::NotFound { what: "incarnation", name: String::new() };
                let about = core.durable().incarnation.ok_or_else(missing);
                outbox.push(seq, reply, about.map(|incarnation| About { incarnation, wall_ms: now.wall_ms }));
            }
            Self::Pages { access, campaign, reply } => {
                outbox.push(seq, reply, pages(core, now, &access, campaign.as_ref()));
            }
            Self::Visible { access, reply } => outbox.push(seq, reply, Ok(visible(core, &access))),
            Self::Orders { worker, reply } => outbox.push(seq, reply, Ok(core.orders_on(&worker))),
            Self::Settled { reply } => outbox.push(seq, reply, Ok(seq)),
            Self::MayWriteLog { key, reply } => outbox.push(seq, reply, may_write_log(core, &key)),
        }
    }
}

fn standing(core: &Core, now: Time, campaign: &CampaignId) -> Result<Standing, Refusal> {
    let known = core.campaign(campaign)?;
    if known.state != CampaignState::Active || known.live().next().is_some() {
        return Ok(Standing::Moves);
    }
    Ok(match core.due(campaign) {
        Some(Due::Nothing(what)) => Standing::Waits { what, wall_ms: now.wall_ms },
        Some(Due::Device(_) | Due::Quota(_)) => Standing::Moves,
        Some(Due::Records(_) | Due::Facts(_)) | None => Standing::Settling,
    })
}

fn campaign(
    core: &Core,
    now: Time,
    access: &Access,
    name: &str,
) -> Result<(CampaignView, Bindings), Refusal> {
    let id = core.resolve_campaign_for(access, name)?;
    Ok((core.campaign_view(now, &id)?, (*core.campaign(&id)?.bindings).clone()))
}

fn dimensions(core: &Core, access: &Access, name: &str) -> Result<Vec<String>, Refusal> {
    let id = core.resolve_campaign_for(access, name)?;
    Ok(core.campaign(&id)?.measured.iter().cloned().collect())
}

fn resolve(core: &Core, access: &Access, name: &str) -> Result<(CampaignId, String), Refusal> {
    let id = core.resolve_campaign_for(access, name)?;
    let metric = core.campaign(&id)?.bindings.metric.clone();
    Ok((id, metric))
}

fn views(
    core: &Core,
    now: Time,
    access: &Access,
    campaign: Option<&CampaignId>,
) -> Result<Vec<CampaignView>, Refusal> {
    let mut views = match campaign {
        Some(campaign) => {
            let id = core.resolve_campaign_for(access, campaign.as_str())?;
            vec![core.campaign_view(now, &id)?]
        }
        None => visible(core, access)
            .iter()
            .map(|id| core.campaign_view(now, id))
            .collect::<Result<Vec<_>, _>>()?,
    };
    views.sort_by(|a, b| b.created_wall_ms.cmp(&a.created_wall_ms).then_with(|| b.campaign.cmp(&a.campaign)));
    Ok(views)
}

fn visible(core: &Core, access: &Access) -> BTreeSet<CampaignId> {
    let campaigns = core.durable().campaigns.values();
    let seen = campaigns.filter(|campaign| campaign.grant_of(&access.viewer) >= Some(access.need));
    seen.map(|campaign| campaign.id.clone()).collect()
}

fn pages(core: &Core, now: Time, access: &Access, campaign: Option<&CampaignId>) -> Result<Pages, Refusal> {
    let missing = || Refusal::NotFound { what: "incarnation", name: String::new() };
    let incarnation = core.durable().incarnation.ok_or_else(missing)?;
    Ok(Pages { incarnation, seq: core.durable().seq, views: views(core, now, access, campaign)? })
}

/// A lease that has passed on writes no log; one that is over may still send what was on its way.
fn may_write_log(core: &Core, key: &AttemptKey) -> Result<(), Refusal> {
    match known(core.durable(), key) {
        Known::Live | Known::Over => Ok(()),
        Known::Stale | Known::Unknown => Err(Refusal::Stale { what: format!("attempt {key}") }),
    }
}
