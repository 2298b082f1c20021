//! The coordinator's life: open, replay, record a new incarnation, serve, and end cleanly.

use crate::blobs::{self, Blobs};
use crate::driver::{self, Driver, Ended, Stores, Tasks, among_tasks, blocking};
use crate::grpc::listen::{self, Endpoint, Listeners, Transport};
use crate::grpc::room::Room;
use crate::grpc::serve::{self, ReflectionError};
use crate::hook::{self, Hook};
use crate::identity::{self, Office, Terms, Token, tls};
use crate::ledger::{self, Ledger, Opening};
use crate::logs::{Logs, keep_sealing};
use crate::metrics::serve::Page;
use crate::metrics::{self, Metrics};
use crate::open_files;
use crate::secrets;
use crate::snapshot::{self, EVERY_RECORDS};
use crate::space;
use crate::upkeep::{self, Retention, Upkeep};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use windlass_engine::core::Core;
use windlass_engine::share::HALF_LIFE_MS;
use windlass_shared::space::Marks;

/// How long open connections are given at shutdown.
const GRACE: Duration = Duration::from_secs(2);
/// A shutdown takes a snapshot when the next start would otherwise replay at least this many records; fewer
/// take it a hundredth of a second.
const LAST_SNAPSHOT_MIN_RECORDS: u64 = 1_000;
/// How long that snapshot may take before the coordinator ends without it.
const LAST_SNAPSHOT_MAX: Duration = Duration::from_secs(5);

/// How long certificates live by default; renewed at two thirds.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What a coordinator needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything durable lies.
    pub data_dir: PathBuf,
    /// An address to listen on beside the Unix socket.
    pub listen: Option<SocketAddr>,
    /// What is spoken there.
    pub transport: Transport,
    /// `HOST:PORT` under which other machines reach it; by default what it listens on.
    pub advertise: Option<String>,
    /// How long certificates live.
    pub certificate_life: Duration,
    /// How long a silent worker keeps its leases.
    pub worker_lost_after: Duration,
    /// In which time half of what campaigns had of the fleet is forgotten; at least a minute.
    pub share_half_life: Duration,
    /// At which marks a disk that fills up matters.
    pub marks: Marks,
    /// How much of it one campaign may take.
    pub room: Room,
    /// How long what nobody needs any more is kept.
    pub retention: Retention,
    /// Where figures for Prometheus are served, if anywhere; on loopback.
    pub metrics: Option<SocketAddr>,
    /// What is run when a campaign pauses, waits or finds a new best.
    pub hook: Option<Hook>,
}

impl Settings {
    /// A data folder with everything else as it is by default.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            listen: None,
            transport: Transport::Auto,
            advertise: None,
            certificate_life: CERTIFICATE_LIFE,
            worker_lost_after: Duration::from_secs(30),
            share_half_life: Duration::from_millis(HALF_LIFE_MS),
            marks: Marks::default(),
            room: Room::default(),
            retention: Retention::default(),
            metrics: None,
            hook: None,
        }
    }
}

/// A coordinator that cannot start or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The blobs.
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    /// The secrets.
    #[error(transparent)]
    Secrets(#[from] secrets::Error),
    /// The token, or the CA.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// Where to listen.
    #[error(transparent)]
    Listen(#[from] listen::Error),
    /// Reflection.
    #[error(transparent)]
    Reflection(#[from] ReflectionError),
    /// The disk cannot be looked at.
    #[error("failed to look at the disk of {folder}")]
    Space {
        /// The data folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A copy that was never finished.
    #[error(transparent)]
    Upkeep(#[from] upkeep::Error),
    /// Where figures are served.
    #[error(transparent)]
    Metrics(#[from] metrics::serve::Error),
    /// The loop.
    #[error(transparent)]
    Driver(#[from] driver::Error),
}

/// Runs a coordinator until `shutdown`; `ready` is called once, when it can be reached. A disk that was full
/// and has room again has everything opened anew, as a restart would.
pub async fn run(
    mut settings: Settings,
    ready: impl FnOnce(&Endpoint),
    shutdown: CancellationToken,
) -> Result<(), Error> {
    open_files::raise();
    let mut ready = Some(ready);
    loop {
        let on_ready = |endpoint: &Endpoint| {
            if let Some(ready) = ready.take() {
                ready(endpoint);
            }
            endpoint.tcp
        };
        let (ended, tcp) = serve_once(&settings, on_ready, &shutdown).await?;
        // Whoever has been given a free port goes on with that one.
        settings.listen = tcp;
        match ended {
            Ended::Asked => return Ok(()),
            Ended::ForRoom => tracing::warn!("there is room again: the ledger is opened anew"),
        }
    }
}

/// One life: from opening the ledger to closing it.
async fn serve_once(
    settings: &Settings,
    ready: impl FnOnce(&Endpoint) -> Option<SocketAddr>,
    shutdown: &CancellationToken,
) -> Result<(Ended, Option<SocketAddr>), Error> {
    let data_dir = settings.data_dir.clone();
    upkeep::refuse_unfinished(&data_dir)?;
    let lease_period_ms = u64::try_from(settings.worker_lost_after.as_millis()).unwrap_or(u64::MAX / 4);
    let half_life_ms = u64::try_from(settings.share_half_life.as_millis()).unwrap_or(u64::MAX);
    let folder = data_dir.clone();
    let core = Core::with_lease_period_ms(lease_period_ms).with_half_life_ms(half_life_ms);
    let Opened { ledger, core, snapshot_seq } = blocking(move || open(&folder, core)).await?;
    let ledger::Ledger { writer, readers, head, lock } = ledger;
    tracing::info!(records = head.seq, head = %head.hash, snapshot = snapshot_seq, "ledger open");
    let token = Token::ensure(&data_dir)?;
    let blobs = Blobs::open(&data_dir.join("blobs"), readers.clone(), writer.blob_writer())?;
    let secrets = secrets::Store::open(&data_dir)?;
    let logs = Logs::new(data_dir.join("logs"));
    let stores = Stores { readers, blobs, logs, secrets, metrics: Metrics::new() };
    let space = space::look(&data_dir, settings.marks)
        .map_err(|source| Error::Space { folder: data_dir.clone(), source })?;
    let (looks, space) = watch::channel(space);
    // The loop may end by itself; what is served then ends with it.
    let stop = shutdown.child_token();
    let tasks = Tasks::new(stop.clone());
    tasks.start(snapshot::keep(data_dir.clone(), writer.durable(), snapshot_seq, stop.clone()));
    let (mut driver, handle) = Driver::new(core, writer, stores, tasks.clone(), space);
    let incarnation = driver.begin().await?;
    let listeners = Listeners::bind(&data_dir, settings.listen, settings.transport).await?;
    let terms = Terms { life: settings.certificate_life, address: address(settings, &listeners.endpoint) };
    let office = Office::open(&data_dir, terms)?;
    let sealing = keep_sealing(handle.stores.clone(), handle.durable.clone(), stop.clone());
    let upkeep = Upkeep::new(&data_dir, settings.retention, handle.clone());
    let routes = serve::routes(&handle, &upkeep, &office, settings.room).await?;
    let mut traces: Vec<PathBuf> = listeners.traces().into();
    if let Some(address) = settings.metrics {
        let is_accepted = settings.transport == Transport::Plaintext;
        let page = Page::bind(&data_dir, address, is_accepted).await?;
        traces.push(page.file.clone());
        tasks.until_shutdown(page.serve(handle.clone(), tasks.clone()));
    }
    if let Some(hook) = &settings.hook {
        tasks.until_shutdown(hook::watch(handle.clone(), hook.clone()));
    }
    drop(handle);
    tasks.until_shutdown(space::watch(data_dir.clone(), settings.marks, looks));
    tasks.until_shutdown(upkeep.sweep_regularly());
    let endpoint = listeners.endpoint.clone();
    tasks.until_shutdown(office.clone().sweep());
    match listeners.tcp {
        Some(listener) if endpoint.tls => {
            let connections = office.connections().clone();
            let incoming = tls::incoming(listener, office.tls()?, connections, &tasks, stop.clone());
            tasks.start(serve::tls(incoming, routes.clone(), office, stop.clone()));
        }
        Some(listener) => {
            warn_of_plaintext(&endpoint);
            tasks.start(serve::tcp(listener, routes.clone(), token, stop.clone()));
        }
        None => {}
    }
    tasks.start(serve::unix(listeners.unix, routes, stop.clone()));
    tasks.start(sealing);
    let tcp = endpoint.tcp.map(tracing::field::display);
    tracing::info!(%incarnation, socket = %endpoint.socket.display(), tcp, tls = endpoint.tls, "ready");
    let tcp = ready(&endpoint);
    let ran = among_tasks(driver.run()).await;
    stop.cancel();
    tasks.end(GRACE).await;
    for trace in traces {
        if let Err(error) = std::fs::remove_file(&trace) {
            tracing::warn!(path = %trace.display(), error = &error as &dyn std::error::Error, "left behind");
        }
    }
    if ran.is_ok() {
        blocking(move || take_last_snapshot(&data_dir)).await;
    }
    drop(lock);
    Ok((ran?, tcp))
}

/// Where other machines reach this one, as far as it knows: tokens carry that.
fn address(settings: &Settings, endpoint: &Endpoint) -> Option<String> {
    let listens = endpoint.tcp.filter(|_| endpoint.tls);
    let own = || {
        listens.map(|address| match address.ip().is_unspecified() {
            false => address.to_string(),
            true => format!("{}:{}", rustix::system::uname().nodename().to_string_lossy(), address.port()),
        })
    };
    settings.advertise.clone().or_else(own)
}

/// Said at every start, so that nobody forgets it.
fn warn_of_plaintext(endpoint: &Endpoint) {
    if let Some(address) = endpoint.tcp.filter(|address| !address.ip().is_loopback()) {
        tracing::warn!(
            %address,
            "NO TLS on {address}: anyone on the way can read what is sent, take the token, and run code here"
        );
    }
}

/// A ledger with the state that its records fold to.
struct Opened {
    ledger: Ledger,
    core: Core,
    /// The last record that the snapshot beside it rests on; 0 without one.
    snapshot_seq: u64,
}

/// Opens the ledger and replays what is after the snapshot. After a long replay the next start is spared it.
fn open(data_dir: &Path, core: Core) -> Result<Opened, ledger::Error> {
    let opening = Opening::begin(data_dir)?;
    let (state, from) = snapshot::load(data_dir, |head| opening.holds(head))?;
    let mut core = core.resumed(state);
    let ledger = opening.finish(from, |record| core.apply(&record))?;
    let mut snapshot_seq = from.seq;
    if ledger.head.seq >= snapshot_seq + EVERY_RECORDS {
        match snapshot::write(data_dir, ledger.head, core.durable()) {
            Ok(()) => snapshot_seq = ledger.head.seq,
            Err(error) => note_no_snapshot(&error),
        }
    }
    Ok(Opened { ledger, core, snapshot_seq })
}

/// Leaves a snapshot behind that the next start can go on from at once.
fn take_last_snapshot(data_dir: &Path) {
    let began = Instant::now();
    match snapshot::take(data_dir, LAST_SNAPSHOT_MIN_RECORDS, || began.elapsed() > LAST_SNAPSHOT_MAX) {
        Ok(_) => {}
        Err(error) => note_no_snapshot(&error),
    }
}

fn note_no_snapshot(error: &snapshot::Error) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "no snapshot was taken; the next start replays more records");
}
