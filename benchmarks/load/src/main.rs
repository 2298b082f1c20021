//! `windlass-load WINDLASS NOOP throughput|latency|log [COUNT] [WINDOW] [SLOTS]`: starts a coordinator and a
//! worker, sends no-op experiments over one open connection, and prints one JSON line with what it measured.
//! `windlass-load WINDLASS NOOP fleet [WORKERS] [SECONDS]`: workers that are only their reports, over TLS.
//!
//! A no-op experiment is a campaign's baseline whose command is NOOP, built from `benchmarks/noop.c`.

#![expect(clippy::print_stdout, reason = "its figures are its output")]

mod cost;
mod fleet;
mod service;

use service::Service;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio_stream::StreamExt;
use windlass_proto::v1::watch_response::Event;
use windlass_proto::v1::{CreateRequest, ReadLogRequest, WatchRequest};
use windlass_shared::digest::Digest;
use windlass_shared::record::{Body, Record};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: windlass-load WINDLASS NOOP throughput|latency|log|fleet [COUNT] [WINDOW] [SLOTS]";
    let [windlass, noop, mode, numbers @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    let number = |index: usize, default: u64| -> Result<u64, Failure> {
        numbers.get(index).map_or(Ok(default), |text| text.parse().map_err(|_| usage.into()))
    };
    let windlass = PathBuf::from(windlass);
    let noop = std::path::absolute(noop)?;
    match mode.as_str() {
        "throughput" => {
            throughput(&windlass, &noop, number(0, 2_000)?, number(1, 64)?, number(2, 8)? as u32).await
        }
        "latency" => latency(&windlass, &noop, number(0, 200)?).await,
        "fleet" => fleet::measure(&windlass, number(0, 1_000)?, number(1, 60)?).await,
        "log" => log(&windlass, &noop, number(0, 2_000_000_000)?).await,
        _ => Err(usage.into()),
    }
}

fn bindings(noop: &Path, argument: &str, log_bytes: u64) -> Result<Vec<u8>, Failure> {
    let document = serde_json::json!({
        "metric": "val",
        "metric_direction": "maximize",
        "entrypoint": format!("{} {argument}", noop.display()),
        "editable_files": ["a.txt"],
        "gate": "time",
        "budget": 10,
        "windlass": {"limits": {"log_bytes": log_bytes}},
    });
    Ok(serde_json::to_vec(&document)?)
}

fn request(number: u64, bindings: &[u8], tree: &Digest) -> CreateRequest {
    CreateRequest {
        request_id: uuid::Uuid::now_v7().to_string(),
        name: format!("noop{number}"),
        bindings_document: bindings.to_vec().into(),
        tree: tree.to_string(),
        git_document: Default::default(),
    }
}

/// Decisions as they become durable.
async fn decisions(service: &Service) -> Result<impl StreamExt<Item = String> + Unpin, Failure> {
    let watch = WatchRequest { follow: true, ..WatchRequest::default() };
    let stream = service.campaigns().watch(watch).await?.into_inner();
    Ok(stream.filter_map(|response| match response.ok()?.event? {
        Event::RecordDocument(document) => {
            let record: Record = serde_json::from_slice(&document).ok()?;
            match record.body {
                Body::IterationDecided { .. } => Some(record.campaign?.0),
                _ => None,
            }
        }
        Event::ViewDocument(_) => None,
    }))
}

/// Experiments a second with `window` submissions under way: submit and finish durable.
async fn throughput(
    windlass: &Path,
    noop: &Path,
    count: u64,
    window: u64,
    slots: u32,
) -> Result<(), Failure> {
    let service = Service::start(windlass, slots).await?;
    let tree = service.workspace().await?;
    let bindings = bindings(noop, "", 1 << 20)?;
    let mut decided = decisions(&service).await?;
    let (machine_ms, role_ms) = (cost::machine_ms(), roles_ms(&service));
    let start = Instant::now();
    let mut submitted = 0;
    let mut done = 0;
    let mut creating = tokio::task::JoinSet::new();
    while done < count {
        while submitted < count && submitted - done < window {
            submitted += 1;
            let mut campaigns = service.campaigns();
            let request = request(submitted, &bindings, &tree);
            creating.spawn(async move { campaigns.create(request).await.map(|_| ()) });
        }
        tokio::select! {
            Some(created) = creating.join_next() => created??,
            decided = decided.next() => {
                decided.ok_or("the watch ended")?;
                done += 1;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let count = count as f64;
    let line = serde_json::json!({
        "measured": "throughput",
        "per_second": round(count / seconds),
        "machine_cpu_ms_each": round((cost::machine_ms() - machine_ms) / count),
        "coordinator_cpu_ms_each": round((roles_ms(&service)[0] - role_ms[0]) / count),
        "worker_cpu_ms_each": round((roles_ms(&service)[1] - role_ms[1]) / count),
    });
    print(&line);
    Ok(())
}

/// From the call to the program's first instruction, and to the decision; one at a time.
async fn latency(windlass: &Path, noop: &Path, count: u64) -> Result<(), Failure> {
    let service = Service::start(windlass, 2).await?;
    let tree = service.workspace().await?;
    let bindings = bindings(noop, "", 1 << 20)?;
    let mut decided = decisions(&service).await?;
    let mut called_ns = BTreeMap::new();
    let (mut accepted, mut known) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let start = Instant::now();
        let wall_ns = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let created = service.campaigns().create(request(number, &bindings, &tree)).await?.into_inner();
        accepted.push(start.elapsed().as_secs_f64() * 1000.0);
        decided.next().await.ok_or("the watch ended")?;
        known.push(start.elapsed().as_secs_f64() * 1000.0);
        called_ns.insert(created.campaign, wall_ns);
    }
    let mut started = Vec::new();
    for (campaign, called_ns) in called_ns {
        let read = ReadLogRequest { campaign, iteration: 1, ..ReadLogRequest::default() };
        let mut parts = service.logs().read_log(read).await?.into_inner();
        let mut text = Vec::new();
        while let Some(part) = parts.message().await? {
            text.extend(part.data);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let stamp = text
            .lines()
            .find_map(|line| line.strip_prefix("started_ns "))
            .ok_or("a log without its stamp")?;
        started.push((stamp.parse::<u128>()? - called_ns) as f64 / 1e6);
    }
    let line = serde_json::json!({
        "measured": "latency",
        "accepted_ms_p50": round(percentile(&mut accepted, 50)),
        "started_ms_p50": round(percentile(&mut started, 50)),
        "started_ms_p99": round(percentile(&mut started, 99)),
        "known_ms_p50": round(percentile(&mut known, 50)),
        "known_ms_p99": round(percentile(&mut known, 99)),
    });
    print(&line);
    Ok(())
}

/// One run that writes `bytes` of log as fast as it can: from the call to the decision, with all of the log
/// durable on the head node.
async fn log(windlass: &Path, noop: &Path, bytes: u64) -> Result<(), Failure> {
    let service = Service::start(windlass, 2).await?;
    let tree = service.workspace().await?;
    let mut decided = decisions(&service).await?;
    let bindings = bindings(noop, &bytes.to_string(), bytes * 2)?;
    let (machine_ms, start) = (cost::machine_ms(), Instant::now());
    service.campaigns().create(request(1, &bindings, &tree)).await?;
    decided.next().await.ok_or("the watch ended")?;
    let seconds = start.elapsed().as_secs_f64();
    let megabytes = bytes as f64 / 1e6;
    let line = serde_json::json!({
        "measured": "log",
        "mb_per_second": round(megabytes / seconds),
        "machine_cpu_ms_per_mb": round((cost::machine_ms() - machine_ms) / megabytes),
    });
    print(&line);
    Ok(())
}

fn roles_ms(service: &Service) -> Vec<f64> {
    service.pids().into_iter().map(cost::process_ms).collect()
}

fn print(line: &serde_json::Value) {
    println!("{line}");
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * percent / 100).or(values.last()).copied().unwrap_or_default()
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
