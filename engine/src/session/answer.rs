//! What a worker should have: the desired state of one worker, computed from the ledger alone.

use super::fleet::Fleet;
use super::member::Member;
use super::report::{Known, agrees, known};
use crate::core::Durable;
use windlass_shared::attempt::{AttemptKey, Phase};
use windlass_shared::device::{Device, DeviceState};
use windlass_shared::id::WorkerId;
use windlass_shared::session::{Answer, Release, Standing, Stop, StopReason};

/// That a worker was told something, and in the answer to which report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// What.
    pub what: What,
    /// The report that was answered so.
    pub number: u64,
}

/// What a worker can be told of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// To have it.
    Order,
    /// To end it.
    Stop(StopReason),
    /// To forget it.
    Acknowledged,
}

/// The answer to a worker's newest report.
pub fn answer(durable: &Durable, fleet: &Fleet, worker: &WorkerId) -> Option<Answer> {
    let member = fleet.member(worker)?;
    let mut answer = Answer {
        incarnation: durable.incarnation?,
        session: member.session.clone(),
        number: member.number,
        standing: Standing::Current,
        orders: Vec::new(),
        stop: Vec::new(),
        acknowledged: Vec::new(),
        releases: Vec::new(),
        keep: keep(durable, worker),
    };
    for id in durable.live.get(worker).into_iter().flat_map(|live| live.keys()) {
        let Some(campaign) = durable.campaigns.get(&id.campaign) else { continue };
        let Some((open, live)) = campaign.live_attempt(id) else { continue };
        if campaign.is_stopped() || open.is_cancelled {
            answer.stop.push(Stop { key: live.key.clone(), reason: StopReason::Cancelled });
        } else {
            answer.orders.push((*live.order).clone());
        }
    }
    answer.releases = releases(durable, member, worker);
    for (key, phase) in &member.attempts {
        judge_reported(durable, worker, key, phase, &mut answer);
    }
    Some(answer)
}

/// The runs whose workspaces a worker keeps, by key: the same is said in the same words.
fn keep(durable: &Durable, worker: &WorkerId) -> Vec<AttemptKey> {
    let mut keep = durable.kept.get(worker).cloned().unwrap_or_default();
    keep.sort();
    keep
}

/// The releases of devices that the worker says are quarantined. Whether one was carried out already is for
/// the worker to know: it may have quarantined the device anew since.
fn releases(durable: &Durable, member: &Member, worker: &WorkerId) -> Vec<Release> {
    let Some(released) = durable.releases.get(worker) else { return Vec::new() };
    let quarantined =
        member.devices.iter().filter(|device| matches!(device.state, DeviceState::Quarantined { .. }));
    let release = |device: &Device| {
        let number = *released.get(&device.id)?;
        Some(Release { device: device.id.clone(), number })
    };
    quarantined.filter_map(release).collect()
}

fn judge_reported(
    durable: &Durable,
    worker: &WorkerId,
    key: &AttemptKey,
    phase: &Phase,
    answer: &mut Answer,
) {
    let is_over = matches!(phase, Phase::Ended(_));
    let stop = |reason| Stop { key: key.clone(), reason };
    match known(durable, key) {
        Known::Live if durable.live.get(worker).is_some_and(|live| live.contains_key(&key.id)) => {}
        Known::Stale if matches!(phase, Phase::Ended(outcome) if agrees(outcome)) => {
            answer.acknowledged.push(key.clone());
        }
        Known::Over if is_over => answer.acknowledged.push(key.clone()),
        Known::Live | Known::Over | Known::Stale => answer.stop.push(stop(StopReason::Superseded)),
        Known::Unknown => answer.stop.push(stop(StopReason::Unknown)),
    }
}

/// Whether the answer says anything that the worker does not have or has not heard: then it is sent at
/// once, else it hangs.
pub fn is_news(member: &Member, answer: &Answer) -> bool {
    let release_is_news = |release: &Release| match member.told_releases.get(&release.device) {
        Some((number, report)) => *number != release.number || *report > member.seen,
        None => true,
    };
    if answer.releases.iter().any(release_is_news) {
        return true;
    }
    items(answer).any(|(key, what)| {
        if what == What::Order && member.attempts.contains_key(key) {
            return false;
        }
        match member.told.get(key) {
            Some(told) => told.what != what || told.number > member.seen,
            None => true,
        }
    })
}

/// Notes what the answer tells; what was told before and has arrived keeps its number.
pub(crate) fn note_told(member: &mut Member, answer: &Answer) {
    let before = std::mem::take(&mut member.told);
    for (key, what) in items(answer) {
        let told = match before.get(key) {
            Some(told) if told.what == what && told.number <= member.seen => *told,
            _ => Told { what, number: answer.number },
        };
        member.told.insert(key.clone(), told);
    }
    let before = std::mem::take(&mut member.told_releases);
    for release in &answer.releases {
        let told = match before.get(&release.device) {
            Some(told) if told.0 == release.number && told.1 <= member.seen => *told,
            _ => (release.number, answer.number),
        };
        member.told_releases.insert(release.device.clone(), told);
    }
    member.is_open = false;
}

fn items(answer: &Answer) -> impl Iterator<Item = (&AttemptKey, What)> {
    let orders = answer.orders.iter().map(|order| (&order.key, What::Order));
    let stops = answer.stop.iter().map(|stop| (&stop.key, What::Stop(stop.reason)));
    let acknowledged = answer.acknowledged.iter().map(|key| (key, What::Acknowledged));
    orders.chain(stops).chain(acknowledged)
}
