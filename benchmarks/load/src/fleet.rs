//! A fleet of workers that are only their reports: each with a certificate, a connection and a hanging call of its own,
//! as the real ones have them, and with nothing to run.

use crate::cost;
use crate::service::Service;
use crate::{Failure, percentile, round};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Channel;
use windlass_proto::v1;
use windlass_proto::v1::identity_service_client::IdentityServiceClient;
use windlass_shared::device::{Device, DeviceKind, Load, WorkerInfo};
use windlass_shared::id::{Incarnation, SessionId, WorkerId};
use windlass_shared::join::JoinToken;
use windlass_shared::session::{Answer, Report, Standing};
use windlass_worker::client::{Client, Endpoint};
use windlass_worker::identity::{self, Wanted};

/// Machines that join at the same time: somebody with a list and a loop.
const JOIN_AT_ONCE: usize = 16;
/// GPUs of each machine.
const GPUS: usize = 8;
/// Between two of the probe's reports.
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// Before a worker dials again: as the real one's first pause.
const DIAL_PAUSE: Duration = Duration::from_millis(200);
/// Between two looks at how many workers are ready.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The longest that a fleet may take to be there, seconds: it ends a measurement that hangs.
const READY_MAX_S: u64 = 300;

/// `count` workers join, are there, stay there for `seconds`, and come back after a kill -9 of their coordinator.
pub async fn measure(windlass: &Path, count: u64, seconds: u64) -> Result<(), Failure> {
    let count = usize::try_from(count)?;
    let mut service = Service::coordinator(windlass)?;
    service.until_it_answers().await?;
    let idle_bytes = cost::resident_bytes(service.pids()[0]);
    let began = Instant::now();
    let identities = join(&service, count).await?;
    let join_ms = began.elapsed().as_secs_f64() * 1000.0 / count as f64;
    let reports = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut fleet = JoinSet::new();
    for joined in identities {
        fleet.spawn(speak(
            Client::new(&joined.endpoint)?,
            report(joined.id, joined.name),
            Arc::clone(&reports),
        ));
    }
    until_ready(&service, count, &mut fleet).await?;
    let there_s = began.elapsed().as_secs_f64();

    let pid = service.pids()[0];
    let (cpu_ms, told, began) = (cost::process_ms(pid), reports.load(Ordering::Relaxed), Instant::now());
    let mut latency_ms = probe(&service, Duration::from_secs(seconds)).await?;
    let elapsed_s = began.elapsed().as_secs_f64();
    let cpu_percent = (cost::process_ms(pid) - cpu_ms) / elapsed_s / 10.0;
    let syncs_per_second = (reports.load(Ordering::Relaxed) - told) as f64 / elapsed_s;
    let (bytes, files) = (cost::resident_bytes(pid), cost::open_files(pid));

    service.kill_and_start(windlass)?;
    let began = Instant::now();
    service.until_it_answers().await?;
    until_ready(&service, count, &mut fleet).await?;
    let line = serde_json::json!({
        "measured": "fleet",
        "workers": count,
        "join_ms_each": round(join_ms),
        "there_s": round(there_s),
        "coordinator_cpu_percent": round(cpu_percent),
        "syncs_per_second": round(syncs_per_second),
        "sync_ms_p50": round(percentile(&mut latency_ms, 50)),
        "sync_ms_p99": round(percentile(&mut latency_ms, 99)),
        "idle_mb": round(idle_bytes as f64 / 1e6),
        "coordinator_mb": round(bytes as f64 / 1e6),
        "kb_each": round((bytes.saturating_sub(idle_bytes)) as f64 / 1e3 / count as f64),
        "open_files": files,
        "back_after_kill_s": round(began.elapsed().as_secs_f64()),
    });
    crate::print(&line);
    Ok(())
}

/// A machine that has joined.
struct Joined {
    endpoint: Endpoint,
    id: WorkerId,
    name: String,
}

/// One machine joins by a token of its own.
async fn join_one(
    mut office: IdentityServiceClient<Channel>,
    name: String,
    file: PathBuf,
) -> Result<Joined, Failure> {
    let request =
        v1::CreateTokenRequest { role: "worker".to_owned(), name: name.clone(), ..Default::default() };
    let made = office.create_token(request).await?.into_inner();
    let id = WorkerId(uuid::Uuid::now_v7().to_string());
    let wanted = Wanted { worker: Some(id.clone()), name: None, default_name: String::new() };
    let identity = identity::join(&JoinToken::parse(&made.token)?, wanted, &file).await?;
    Ok(Joined { endpoint: Endpoint::Tls { identity, file }, id, name })
}

/// All of them, as an operator's script would have it.
async fn join(service: &Service, count: usize) -> Result<Vec<Joined>, Failure> {
    let places = Arc::new(Semaphore::new(JOIN_AT_ONCE));
    let mut joining = JoinSet::new();
    for index in 0..count {
        let (places, office) = (Arc::clone(&places), service.identities());
        let file = service.folder().join(format!("joined-{index}.json"));
        joining.spawn(async move {
            let _place = places.acquire().await.map_err(|error| error.to_string())?;
            join_one(office, format!("gpu-{index}"), file).await.map_err(|error| error.to_string())
        });
    }
    let mut joined = Vec::with_capacity(count);
    while let Some(one) = joining.join_next().await {
        joined.push(one??);
    }
    Ok(joined)
}

/// What a machine with GPUs says of itself.
fn report(id: WorkerId, name: String) -> Report {
    let short = &id.as_str()[id.as_str().len() - 12..];
    let gpu = |index| {
        let name = format!("GPU-{short}-0000-0000-0000-{index:012}");
        let mut device =
            Device::plain(name.as_str().into(), DeviceKind::Gpu, "NVIDIA H100 80GB HBM3".to_owned());
        device.memory_bytes = Some(80 << 30);
        device.compute_capability = Some("9.0".to_owned());
        device
    };
    let devices = (0..GPUS).map(gpu).collect();
    let worker = WorkerInfo {
        labels: vec!["h100".to_owned(), "fast-disk".to_owned()],
        driver: Some("580.65.06".to_owned()),
        cpus: 192,
        memory_bytes: Some(2 << 40),
        ..WorkerInfo::named(id, name, env!("CARGO_PKG_VERSION").to_owned())
    };
    let (incarnation, session, attempts) = (None, draw_session(), Vec::new());
    let load = Load { average_hundredths: Some(1_250), memory_available_bytes: Some(1 << 40) };
    Report { worker, incarnation, session, number: 0, seen: 0, devices, attempts, load }
}

fn draw_session() -> SessionId {
    SessionId(uuid::Uuid::new_v4().to_string())
}

/// Says a report and takes its answer in, as the host machine does.
async fn sync(client: &Client, report: &mut Report) -> Result<(), tonic::Status> {
    report.number += 1;
    let answer = client.workers().sync(v1::SyncRequest::from(&*report)).await?.into_inner();
    let answer = Answer::try_from(answer).map_err(|error| tonic::Status::internal(error.to_string()))?;
    report.seen = answer.number;
    report.incarnation = Some(Incarnation(answer.incarnation.0));
    if answer.standing == Standing::Closed {
        (report.session, report.number, report.seen) = (draw_session(), 0, 0);
    }
    Ok(())
}

/// A worker, for as long as the measurement lasts; it ends with what the coordinator would hold against it for ever.
async fn speak(client: Client, mut report: Report, reports: Arc<AtomicU64>) -> tonic::Status {
    loop {
        match sync(&client, &mut report).await {
            Ok(()) => drop(reports.fetch_add(1, Ordering::Relaxed)),
            Err(status) if matches!(status.code(), Code::NotFound | Code::FailedPrecondition) => {
                return status;
            }
            Err(_) => tokio::time::sleep(DIAL_PAUSE).await,
        }
    }
}

/// How long a report takes that is answered at once: one of an earlier life of the coordinator, sent beside the fleet.
async fn probe(service: &Service, length: Duration) -> Result<Vec<f64>, Failure> {
    let file = service.folder().join("joined-probe.json");
    let Joined { endpoint, id, name } = join_one(service.identities(), "probe".to_owned(), file).await?;
    let client = Client::new(&endpoint)?;
    let first = report(id, name);
    let mut taken_ms = Vec::new();
    let began = Instant::now();
    while began.elapsed() < length {
        let mut stale = Report { session: draw_session(), ..first.clone() };
        let asked = Instant::now();
        sync(&client, &mut stale).await?;
        taken_ms.push(asked.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(PROBE_EVERY).await;
    }
    Ok(taken_ms)
}

/// Waits until so many workers are ready.
async fn until_ready(
    service: &Service,
    count: usize,
    fleet: &mut JoinSet<tonic::Status>,
) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        if let Some(refused) = fleet.try_join_next() {
            return Err(format!("a worker was refused: {}", refused?).into());
        }
        // After a restart the connection may be the old one's for a moment.
        let ready = service.ready_workers().await.unwrap_or(0);
        if ready >= count {
            return Ok(());
        }
        if began.elapsed().as_secs() > READY_MAX_S {
            return Err(format!("{ready} of {count} workers are ready after {READY_MAX_S} s").into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
