//! The one loop of a worker over one closed `enum Event`. It waits and carries out; what is to be done is
//! decided by the pure host machine. All tasks are spawned here and end with it; runs do not: their shims
//! live on, and the next start finds them.

mod blocking;
mod calls;
mod collecting;
mod devices;
mod end_runs;
mod own_secrets;
mod sampling;
mod shipping;
mod space;
mod starting;
mod sweeping;
mod watch;

pub(crate) use blocking::{aside, blocking};
pub use end_runs::end_runs;
pub use watch::readable_when;
pub(crate) use watch::shim as shim_ended;

use crate::client::Client;
use crate::device::{self, LoadMeter, Machine};
use crate::error::Error;
use crate::logs::Beginning;
use crate::prepare;
use crate::settings::Settings;
use crate::shim;
use crate::shop::{Backoff, Shop};
use crate::spool::{self, State, WorkDir};
use crate::telemetry::Telemetry;
use calls::{keep, sync};
use devices::Devices;
use shipping::Shipment;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use windlass_engine::attempt::{
    self, Action, CpuShares, ExitRecord, Host, REPORT_SOON_MS, Recovered, Recovery,
};
use windlass_shared::attempt::{AttemptKey, Order};
use windlass_shared::device::{Device, DeviceKind, WorkerInfo};
use windlass_shared::id::{Incarnation, SessionId};
use windlass_shared::session::Answer;
use windlass_shared::time::Time;

/// Events that wait for the loop: a worker has dozens of attempts at most, each with one event at a time.
const EVENTS_MAX: usize = 1024;
/// How long file work in hand may take at the end: a shim that is being started says so within seconds.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// All that can happen to a worker.
#[derive(Debug)]
enum Event {
    /// Something for the host machine.
    Host(attempt::Event),
    /// The hanging call of this number was answered.
    Answered(Answer),
    /// What an ended attempt names was sent once more.
    SentAgain,
    /// It failed, and the wait after it is over.
    SyncFailed(Box<Error>),
    /// An attempt's shim has ended.
    ShimEnded(AttemptKey, Option<Box<ExitRecord>>),
}

/// Runs a worker until `shutdown`. Its runs live on, unless [`end_runs`] is called then. Fails when the work folder cannot be used.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), Error> {
    // Among its tasks, on their threads: on the thread that waits for it each of its words would be one thread waking
    // another.
    AbortOnDropHandle::new(tokio::spawn(work(settings, shutdown))).await.map_err(Error::Task)?
}

async fn work(settings: Settings, shutdown: CancellationToken) -> Result<(), Error> {
    let client = Client::new(&settings.coordinator)?;
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    let (shop, found) = open(&settings, client).await?;
    let mut driver = Driver::new(&settings, shop, sender);
    driver.tasks.spawn(sweeping::sweep(driver.shop.clone(), Arc::clone(&driver.litter)));
    driver.recover(found);
    driver.tasks.spawn(driver.devices.clone().watch());
    driver.tasks.spawn(sampling::sample(driver.telemetry.clone()));
    driver.tasks.spawn(space::watch(settings.work_dir.clone(), settings.marks, driver.sender.clone()));
    driver.tasks.spawn(driver.shop.client.clone().keep_renewed(settings.coordinator.clone()));
    driver.tasks.spawn(own_secrets::watch(driver.shop.secrets.clone(), driver.sender.clone()));
    let turned = driver.turn(&mut events, &shutdown).await;
    driver.tasks.shutdown().await;
    // Whatever starts a shim or writes to the work folder is over before the folder is let go.
    if !blocking::settle(SETTLE_MAX).await {
        tracing::warn!("file work goes on past the worker's end");
    }
    turned
}

async fn open(settings: &Settings, client: Client) -> Result<(Shop, Vec<spool::Found>), Error> {
    let settings = settings.clone();
    blocking(move || {
        let work = WorkDir::open(&settings.work_dir)?;
        let found = spool::recover(&work)?;
        Ok((Shop::open(&settings, work, client)?, found))
    })
    .await
}

struct Driver {
    host: Host,
    shop: Shop,
    began: Instant,
    sender: Sender<Event>,
    tasks: JoinSet<()>,
    orders: BTreeMap<AttemptKey, Order>,
    /// Ends the waits of attempts that are being prepared.
    preparing: BTreeMap<AttemptKey, CancellationToken>,
    shipments: BTreeMap<AttemptKey, Shipment>,
    /// Something was put away and can be removed.
    litter: Arc<Notify>,
    devices: Devices,
    telemetry: Telemetry,
    load: LoadMeter,
    /// What the last look found.
    seen: Vec<Device>,
    /// Which CPUs are whose.
    cpus: CpuShares,
    /// Whether the devices have been looked at.
    looked: bool,
    /// Prepared before that: which CPUs and device nodes are theirs is not known yet.
    early: Vec<AttemptKey>,
    sync: Option<AbortHandle>,
    backoff: Backoff,
    /// The life of the coordinator that answered last.
    life: Option<Incarnation>,
    /// In which life the results of an attempt that is being collected began to be sent.
    sent_in: BTreeMap<AttemptKey, Option<Incarnation>>,
    /// The last failure to reach the coordinator, empty after an answer.
    trouble: String,
    report_due: bool,
    /// A report is due within [`REPORT_SOON_MS`].
    report_soon: bool,
}

impl Driver {
    fn new(settings: &Settings, shop: Shop, sender: Sender<Event>) -> Self {
        let name = settings.name.clone().or_else(|| sysinfo::System::host_name().ok());
        let name = name.unwrap_or_else(|| "worker".to_owned());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let topology = device::topology();
        let info = WorkerInfo {
            labels: settings.labels.clone(),
            secrets: shop.secrets.names(),
            isolation: shop.ground.machine().levels(),
            containment: Some(shop.ground.machine().containment()),
            cpus: u32::try_from(topology.len()).unwrap_or(u32::MAX),
            memory_bytes: device::host_memory_bytes(),
            ..WorkerInfo::named(shop.work.id().clone(), name, version)
        };
        let health_file = shop.work.root().join("gpus.json");
        let machine = Machine::new(settings.cpu_slots, settings.nvml_library.clone(), health_file);
        Self {
            devices: Devices::new(machine, sender.clone()),
            telemetry: Telemetry::new(settings.nvml_library.clone()),
            load: LoadMeter::default(),
            seen: Vec::new(),
            cpus: CpuShares::new(topology),
            host: Host::new(info, draw_session()),
            shop,
            began: Instant::now(),
            sender,
            tasks: JoinSet::new(),
            orders: BTreeMap::new(),
            preparing: BTreeMap::new(),
            shipments: BTreeMap::new(),
            litter: Arc::default(),
            looked: false,
            early: Vec::new(),
            sync: None,
            backoff: Backoff::default(),
            life: None,
            sent_in: BTreeMap::new(),
            trouble: String::new(),
            report_due: false,
            report_soon: false,
        }
    }

    async fn turn(
        &mut self,
        events: &mut Receiver<Event>,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let soon = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(soon);
        let mut waits = false;
        loop {
            let event = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = &mut soon, if waits => {
                    self.report();
                    waits = false;
                    continue;
                }
                Some(event) = events.recv() => event,
                Some(ended) = self.tasks.join_next() => {
                    match ended {
                        // A panic of our own: the next start recovers from the spool.
                        Err(error) if error.is_panic() => return Err(Error::Task(error)),
                        _ => continue,
                    }
                }
            };
            self.take(event);
            while let Ok(event) = events.try_recv() {
                self.take(event);
            }
            if self.report_due {
                self.report();
                waits = false;
            } else if self.report_soon && !waits {
                soon.as_mut().reset(tokio::time::Instant::now() + Duration::from_millis(REPORT_SOON_MS));
                waits = true;
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Host(event) => self.tell(event),
            Event::Answered(answer) => {
                self.backoff = Backoff::default();
                self.shop.reach.note(true);
                self.trouble.clear();
                let life = answer.incarnation;
                self.tell(attempt::Event::Answer(answer));
                if self.life.replace(life) != Some(life) {
                    let ended: Vec<_> = self.host.unacknowledged().collect();
                    ended.into_iter().for_each(|(key, outcome)| self.send_again(key, outcome));
                }
            }
            Event::SentAgain => self.report_due = true,
            Event::SyncFailed(error) => {
                self.shop.reach.note(false);
                // Said once, not at every try.
                let problem = error.told();
                if problem != self.trouble {
                    tracing::warn!(problem, "the coordinator does not answer; trying on");
                    self.trouble = problem;
                }
                self.backoff.lengthen();
                self.report_due = true;
            }
            Event::ShimEnded(key, exit) => {
                self.cpus.take_back(&key);
                self.telemetry.end(&key);
                self.hint();
                self.tell(attempt::Event::ShimEnded(key, exit.map(|exit| *exit)));
            }
        }
    }

    /// Tells the host machine, and does what it says.
    fn tell(&mut self, event: attempt::Event) {
        match &event {
            attempt::Event::Started(key) => self.ship(key.clone(), Beginning::Fresh),
            attempt::Event::Devices(devices) => self.note_devices(devices),
            attempt::Event::Collected(key, outcome) => {
                self.hint();
                if self.sent_in.remove(key).is_some_and(|life| life != self.life) {
                    self.send_again(key.clone(), outcome.clone());
                }
            }
            attempt::Event::PrepareFailed(key, _) => self.cpus.take_back(key),
            _ => {}
        }
        let now = self.now();
        for action in self.host.handle(now, event) {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Prepare(order) => self.prepare(*order),
            Action::StartShim(key) => self.start(&key),
            Action::Terminate(key) => {
                if let Some(stop) = self.preparing.get(&key) {
                    stop.cancel();
                }
                if let Ok(dir) = self.shop.work.attempt(&key) {
                    shim::cancel(dir.path());
                }
            }
            Action::Collect(key, exit) => self.collect(&key, exit),
            Action::Forget(key) => {
                let keep = self.host.keep().clone();
                self.forget(&key, |shop, order, dir| prepare::forget(shop, order, dir, &keep));
            }
            Action::Keep(key) => self.forget(&key, |shop, _, dir| shop.work.set_aside(dir)),
            Action::Release(release) => {
                self.tasks.spawn(self.devices.clone().release(release));
            }
            Action::DrawSession => self.tell(attempt::Event::SessionDrawn(draw_session())),
            Action::Report => self.report_due = true,
            Action::ReportSoon => self.report_soon = true,
        }
    }

    fn now(&self) -> Time {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time {
            wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
            mono_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn note_devices(&mut self, devices: &[Device]) {
        // Also one that has nothing says so: else nobody knows that it is there.
        self.report_due |= !self.looked;
        if devices.is_empty() && (!self.looked || !self.seen.is_empty()) {
            tracing::warn!("this worker offers no device: nothing will be run on it");
        }
        self.looked = true;
        self.shop.ground.note(devices);
        self.seen = devices.to_vec();
        for key in std::mem::take(&mut self.early) {
            self.start(&key);
        }
    }

    /// A run has ended: what it leaves on a GPU is looked for. CPU slots are the same before and after.
    fn hint(&self) {
        if self.seen.iter().any(|device| device.kind == DeviceKind::Gpu) {
            self.devices.hint();
        }
    }

    /// The models of an order's devices, each once.
    fn model(&self, order: &Order) -> String {
        let leased = self.seen.iter().filter(|device| order.devices.contains(&device.id));
        let models: std::collections::BTreeSet<&str> = leased.map(|device| device.model.as_str()).collect();
        models.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// Takes up what the spool holds.
    fn recover(&mut self, found: Vec<spool::Found>) {
        let now = self.now();
        let mut recovered = Vec::new();
        for spool::Found { order, dir, state } in found {
            self.orders.insert(order.key.clone(), order.clone());
            let state = match state {
                State::Unstarted => Recovery::Unstarted,
                State::Exited(exit) => Recovery::Exited(exit.record),
                State::Gone => Recovery::Gone,
                State::Ended(ended) => {
                    let spool::Ended { outcome, parcels } = *ended;
                    let has_parcels = !parcels.is_empty();
                    match (self.shop.parcels.offer(&order.key, parcels), dir.exit()) {
                        // There is no room for what the outcome names: it is made again, and sends it.
                        (false, Ok(Some(exit))) if has_parcels => Recovery::Exited(exit.record),
                        _ => Recovery::Ended(Box::new(outcome)),
                    }
                }
                State::Running(pidfd, started_wall_ms) => {
                    let key = order.key.clone();
                    self.hold_cpus(&key, &dir);
                    self.ship(key.clone(), Beginning::Resumed);
                    let sender = self.sender.clone();
                    self.tasks.spawn(async move {
                        let exit = watch::shim(Some(pidfd), &dir).await;
                        send(&sender, Event::ShimEnded(key, exit)).await;
                    });
                    let elapsed_ms = u64::try_from(now.wall_ms - started_wall_ms).unwrap_or(0);
                    Recovery::Running { elapsed_ms }
                }
            };
            recovered.push(Recovered { order, state });
        }
        tracing::info!(attempts = recovered.len(), worker = %self.shop.work.id(), "worker starts");
        self.tell(attempt::Event::Recovered(recovered));
        self.litter.notify_one();
    }

    /// A run that is found again keeps the CPUs that it was bound to.
    fn hold_cpus(&mut self, key: &AttemptKey, dir: &spool::AttemptDir) {
        if let Ok(Some(spec)) = dir.spec() {
            self.cpus.hold(key.clone(), &spec.cpus);
        }
    }

    fn forget(
        &mut self,
        key: &AttemptKey,
        end: impl FnOnce(&Shop, &Order, &spool::AttemptDir) -> Result<(), Error>,
    ) {
        self.shipments.remove(key);
        self.preparing.remove(key);
        self.shop.parcels.forget(key);
        self.shop.secrets.forget(key);
        let Some(order) = self.orders.remove(key) else { return };
        let ended = self
            .shop
            .work
            .attempt(key)
            .and_then(|dir| if dir.path().exists() { end(&self.shop, &order, &dir) } else { Ok(()) });
        if let Err(error) = ended {
            // It will be found at the next start, and acknowledged again.
            tracing::warn!(attempt = %key, problem = error.chain(), "failed to put a spool away");
        }
        self.litter.notify_one();
    }

    /// Sends the state as it is, in place of the call that hangs.
    fn report(&mut self) {
        (self.report_due, self.report_soon) = (false, false);
        let now = self.now();
        let mut report = self.host.report(now);
        report.load = self.load.read();
        if let Some(hanging) = self.sync.take() {
            hanging.abort();
        }
        let (shop, sender) = (self.shop.clone(), self.sender.clone());
        // Each failure in a row waits longer; an answer begins anew.
        let mut backoff = self.backoff;
        self.sync = Some(self.tasks.spawn(async move {
            let event = match sync(&shop, &report).await {
                Ok(answer) => Event::Answered(answer),
                Err(error) => {
                    backoff.wait().await;
                    Event::SyncFailed(Box::new(error))
                }
            };
            send(&sender, event).await;
        }));
    }
}

/// The loop's end is the only reader that can be gone; then nothing more needs to be said.
async fn send(sender: &Sender<Event>, event: Event) {
    drop(sender.send(event).await);
}

/// The same from a thread for blocking calls; the error ends whoever would speak on.
fn send_blocking(sender: &Sender<Event>, event: Event) -> Result<(), Error> {
    sender.blocking_send(event).map_err(|_| Error::Ending)
}

fn draw_session() -> SessionId {
    SessionId(uuid::Uuid::new_v4().to_string())
}
