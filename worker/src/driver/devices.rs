//! The machine's devices, looked at again and again; and after a run, until its GPUs are clean. What was
//! seen is told in the order in which it was seen.

use super::{Event, blocking, send_blocking};
use crate::device::{Machine, Seen};
use crate::error::Error;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;
use tokio::sync::{Mutex, Notify, watch};
use windlass_engine::attempt;
use windlass_shared::attempt::Order;
use windlass_shared::device::{Device, DeviceKind, DeviceState};
use windlass_shared::id::DeviceId;
use windlass_shared::session::Release;

/// Between looks at GPUs: an outsider who is gone is seen to be gone within 5 s.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between looks whether there is a driver by now, where there was none.
const LOOK_FOR_DRIVER_EVERY: Duration = Duration::from_secs(10);
/// How long one look may take. NVML answers in milliseconds, and in seconds where it wakes a GPU first; on a
/// sick GPU a call may never return.
const LOOK_MAX: Duration = Duration::from_secs(15);
/// How long a dead run's memory may take to come back: a driver takes seconds to tear a large one down.
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// Between looks meanwhile.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

/// The devices, shared by whoever looks at them.
#[derive(Clone, Debug)]
pub(super) struct Devices {
    /// Locked without a thread, so that whoever waits behind a call that hangs costs none.
    machine: Arc<Mutex<Machine>>,
    sender: Sender<Event>,
    look: Arc<Notify>,
    /// What the last look that returned has found.
    last: watch::Sender<Vec<Device>>,
}

impl Devices {
    pub fn new(machine: Machine, sender: Sender<Event>) -> Self {
        let last = watch::Sender::new(Vec::new());
        Self { machine: Arc::new(Mutex::new(machine)), sender, look: Arc::new(Notify::new()), last }
    }

    /// Something may have changed.
    pub fn hint(&self) {
        self.look.notify_one();
    }

    /// Looks until nobody listens. The first look opens the first report.
    pub async fn watch(self) {
        loop {
            let Ok(seen) = self.look().await else { return };
            let has_gpus = seen.devices.iter().any(|device| device.kind == DeviceKind::Gpu);
            let pause = if has_gpus { LOOK_EVERY } else { LOOK_FOR_DRIVER_EVERY };
            // Only a hint that something may have changed: the time is up, or it was asked for.
            drop(tokio::time::timeout(pause, self.look.notified()).await);
        }
    }

    /// Waits until the GPUs of an order whose processes are dead are clean, at most some seconds: then they
    /// are quarantined instead (I9). What was seen, if one of them has failed.
    pub async fn settle(&self, order: &Order) -> Option<String> {
        let is_gpu = |id: &&DeviceId| !id.as_str().starts_with("cpu-");
        let gpus: Vec<&DeviceId> = order.devices.iter().filter(is_gpu).collect();
        let until = Instant::now() + SETTLE_MAX;
        while !gpus.is_empty() {
            let Ok(seen) = self.look().await else { return None };
            let failed = gpus.iter().find_map(|id| failure(id, &seen));
            if failed.is_some() || gpus.iter().all(|id| is_clean(id, &seen)) || Instant::now() > until {
                return failed;
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
        None
    }

    /// Lifts a quarantine, and looks again.
    pub async fn release(self, release: Release) {
        let mut machine = Arc::clone(&self.machine).lock_owned().await;
        let released = blocking(move || {
            machine.release(&release);
            Ok(())
        });
        if released.await.is_ok() {
            self.hint();
        }
    }

    async fn look(&self) -> Result<Seen, Error> {
        match tokio::time::timeout(LOOK_MAX, self.look_and_tell()).await {
            Ok(looked) => looked,
            Err(_) => self.tell_stuck().await,
        }
    }

    async fn look_and_tell(&self) -> Result<Seen, Error> {
        // Held until all is told: an older look is never told after a newer one.
        let mut machine = Arc::clone(&self.machine).lock_owned().await;
        let (sender, last) = (self.sender.clone(), self.last.clone());
        blocking(move || {
            let seen = machine.look();
            last.send_replace(seen.devices.clone());
            let events = [
                attempt::Event::Driver(seen.driver.clone()),
                attempt::Event::Broken(seen.broken.clone()),
                attempt::Event::Devices(seen.devices.clone()),
            ];
            for event in events {
                send_blocking(&sender, Event::Host(event))?;
            }
            Ok(seen)
        })
        .await
    }

    /// NVML hangs: what cannot be looked at is not leased. The call that hangs tells what it sees when it
    /// returns after all.
    async fn tell_stuck(&self) -> Result<Seen, Error> {
        let reason = format!("NVML has not answered for {} s", LOOK_MAX.as_secs());
        let mut devices = self.last.borrow().clone();
        for device in devices.iter_mut().filter(|device| device.kind == DeviceKind::Gpu) {
            device.state = DeviceState::Quarantined { reason: reason.clone() };
        }
        let event = Event::Host(attempt::Event::Devices(devices.clone()));
        self.sender.send(event).await.map_err(|_| Error::Ending)?;
        Ok(Seen { devices, broken: BTreeMap::new(), driver: None })
    }
}

/// Why a run on this GPU does not count, if it does not.
fn failure(id: &DeviceId, seen: &Seen) -> Option<String> {
    let is_there = seen.devices.iter().any(|device| device.id == *id);
    match seen.broken.get(id) {
        Some(what) => Some(format!("{id}: {what}")),
        // Without a driver nobody can say so.
        None if !is_there && seen.driver.is_some() => Some(format!("{id} is not there any more")),
        None => None,
    }
}

fn is_clean(id: &DeviceId, seen: &Seen) -> bool {
    let is_it = |device: &&Device| device.id == *id;
    seen.devices.iter().find(is_it).is_none_or(|device| device.state == DeviceState::Free)
}
