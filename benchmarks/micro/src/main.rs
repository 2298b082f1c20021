//! A restart on a large ledger: `windlass-micro make DIR ITERATIONS` makes one, `windlass-micro open DIR`
//! starts a coordinator on it in this process, and says how long that took and what memory it has.

#![expect(clippy::print_stdout, reason = "a tool that prints what it measured")]

use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use windlass_coordinator::ledger::{self, Batch, Ledger};
use windlass_coordinator::{Settings, run};
use windlass_micro::Story;

/// Campaigns in a made ledger.
const CAMPAIGNS: usize = 8;
/// Records appended at once.
const BATCH_RECORDS: usize = 4_096;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["make", folder, iterations] => {
            make(Path::new(folder), iterations.parse().expect("a number of iterations")).await;
        }
        ["open", folder] => start(PathBuf::from(folder)).await,
        _ => panic!("usage: windlass-micro make DIR ITERATIONS | windlass-micro open DIR"),
    }
}

async fn make(folder: &Path, iterations: u64) {
    let ledger = ledger::open(folder, |_| panic!("a fresh folder")).expect("open");
    let mut story = Story::new(CAMPAIGNS);
    let mut waiting = story.take();
    for _ in 0..iterations {
        story.iterate();
        waiting.extend(story.take());
        if waiting.len() >= BATCH_RECORDS {
            append(&ledger, std::mem::take(&mut waiting)).await;
        }
    }
    append(&ledger, waiting).await;
    println!("{} records of {iterations} iterations", story.core.durable().seq);
}

async fn append(ledger: &Ledger, records: Vec<windlass_shared::record::Record>) {
    let mut durable = ledger.writer.durable();
    let wanted = durable.borrow().batches + 1;
    ledger.writer.append(Batch { records, blobs: Vec::new() }).expect("hand over");
    let state = durable.wait_for(|state| state.batches >= wanted || state.failure.is_some()).await;
    assert!(state.expect("the writer lives").failure.is_none(), "the disk took it");
}

async fn start(data_dir: PathBuf) {
    let shutdown = CancellationToken::new();
    let began = Instant::now();
    let stop = shutdown.clone();
    let settings = Settings::new(data_dir);
    let ready = move |_: &_| {
        println!("ready after {} ms; {}", began.elapsed().as_millis(), memory());
        stop.cancel();
    };
    run(settings, ready, shutdown).await.expect("it starts and ends");
    println!("ended after {} ms; {}", began.elapsed().as_millis(), memory());
}

/// Resident memory now and at its highest, as Linux counts it.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let wanted =
        |line: &&str| line.starts_with("VmRSS") || line.starts_with("VmHWM") || line.starts_with("RssAnon");
    status
        .lines()
        .filter(wanted)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}
