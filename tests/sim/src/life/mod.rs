//! A small model of a campaign's life over kinds of records, written apart from the engine: which record
//! may follow which (I13), who may open what (I12), which lease counts (I5), and whose metric it is (I2).
//! It decides nothing; it says when the engine did what it may not.

mod attempt;
mod campaign;
mod iteration;
mod literature;
mod truth;

pub(crate) use campaign::CampaignLife;
pub(crate) use truth::{Made, Truth};

use crate::violation::{Checked, broken, hold};
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::{CampaignId, DeviceId, FencingNumber, Incarnation, RequestId, WorkerId};
use windlass_shared::record::{Body, Record, Request};

/// The model of the whole ledger.
#[derive(Clone, Default)]
pub(crate) struct Life {
    seq: u64,
    present: Option<Incarnation>,
    incarnations: BTreeSet<Incarnation>,
    fences: BTreeSet<FencingNumber>,
    /// Devices under a lease.
    held: BTreeMap<(WorkerId, DeviceId), AttemptKey>,
    pub(crate) drained: BTreeSet<WorkerId>,
    /// Devices that the one owner may have at once.
    pub(crate) quota: Option<u32>,
    pub(crate) requests: BTreeMap<RequestId, Request>,
    pub(crate) campaigns: BTreeMap<CampaignId, CampaignLife>,
}

impl Life {
    /// Takes the next record, or says why it may not follow.
    pub(crate) fn take(&mut self, record: &Record, truth: &Truth) -> Checked {
        hold(record.seq == self.seq + 1, "I3", || format!("record {} follows {}", record.seq, self.seq))?;
        self.seq = record.seq;
        self.take_request(record)?;
        match &record.body {
            Body::IncarnationStarted { incarnation, .. } => {
                self.present = Some(*incarnation);
                return hold(self.incarnations.insert(*incarnation), "I15", || {
                    format!("incarnation {incarnation} began twice")
                });
            }
            Body::WorkerDrained { worker, .. } => {
                self.drained.insert(worker.clone());
                return Ok(());
            }
            Body::WorkerUndrained { worker } => {
                self.drained.remove(worker);
                return Ok(());
            }
            Body::DeviceReleased { .. } => {
                return hold(record.request.is_some(), "I13", || "nobody asked for a release".to_owned());
            }
            Body::QuotaSet { quota, .. } => {
                self.quota = quota.and_then(|quota| quota.devices);
                return hold(record.request.is_some(), "I13", || "nobody asked for a quota".to_owned());
            }
            Body::RequestAnswered {} => {
                return hold(record.request.is_some(), "I4", || "no request was answered".to_owned());
            }
            _ => {}
        }
        let Some(id) = &record.campaign else {
            return broken("I13", format!("{} belongs to no campaign", record.body.kind()));
        };
        if let Body::CampaignCreated { bindings, tree, .. } = &record.body {
            let before = self.campaigns.insert(id.clone(), CampaignLife::new(bindings, *tree));
            return hold(before.is_none(), "I13", || format!("{id} was created twice"));
        }
        self.take_lease(record)?;
        let Some(campaign) = self.campaigns.get_mut(id) else {
            return broken("I13", format!("{} of {id}, which was never created", record.body.kind()));
        };
        campaign.take(&record.body, record.request.is_some(), truth)
    }

    fn take_request(&mut self, record: &Record) -> Checked {
        let Some(request) = &record.request else { return Ok(()) };
        let before = self.requests.insert(request.id.clone(), request.clone());
        hold(before.is_none(), "I4", || format!("request {} was recorded twice", request.id))
    }

    fn take_lease(&mut self, record: &Record) -> Checked {
        match &record.body {
            Body::AttemptLeased { order, worker, .. } => {
                let fence = order.key.fence;
                hold(Some(fence.incarnation) == self.present && self.fences.insert(fence), "I5", || {
                    format!("{fence} was used before, or belongs to another life")
                })?;
                for device in &order.devices {
                    let before = self.held.insert((worker.clone(), device.clone()), order.key.clone());
                    hold(before.is_none(), "I6", || {
                        format!("{device} of {worker} is leased to {} and {}", order.key, show(&before))
                    })?;
                }
                let (held, quota) = (self.held.len(), self.quota.unwrap_or(u32::MAX));
                hold(order.devices.is_empty() || held <= quota as usize, "a quota", || {
                    format!("{} is leased, and its owner has {held} devices of {quota}", order.key)
                })?;
            }
            Body::AttemptEnded { attempt, fence, .. } => {
                let key = AttemptKey { id: attempt.clone(), fence: *fence };
                self.held.retain(|_, holder| *holder != key);
            }
            _ => {}
        }
        Ok(())
    }
}

fn show(key: &Option<AttemptKey>) -> String {
    key.as_ref().map_or_else(String::new, ToString::to_string)
}
