//! `windlass doctor`: what is well here, what is not, and what to do; and where each setting comes from.

use crate::client::{Client, socket_of};
use crate::config::Setting;
use crate::error::Error;
use crate::notice;
use crate::render::fleet;
use crate::render::page::Page;
use crate::render::text::neutral;
use crate::render::{style, units};
use crate::session::Session;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use windlass_proto::v1::{AboutRequest, AboutResponse};
use windlass_shared::size::Size;
use windlass_shared::view::{Finding, Level, WorkerView};
use windlass_worker::client::Endpoint;

/// Clocks that differ by more than this are a warning, milliseconds: wall times in the ledger mislead.
const CLOCK_WARN_MS: i64 = 2_000;
/// Fewer open files than this are a warning: a coordinator holds a log and a call per attempt.
const FILES_WARN: u64 = 4_096;
/// How long `git --version` may take.
const GIT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only print the fingerprint of this data set, for `windlass.data` of a campaign
    #[arg(long, value_name = "PATH")]
    pub fingerprint: Option<PathBuf>,
}

/// `windlass.fingerprint/1`.
#[derive(Serialize)]
struct Fingerprint {
    path: String,
    fingerprint: String,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    settings: Vec<Setting>,
    findings: Vec<Finding>,
}

/// Looks, prints, and fails when something failed.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    if let Some(path) = &args.fingerprint {
        return fingerprint(path, session);
    }
    let given = |key: &crate::config::Key| {
        let is_general = key.section == "client";
        let found = session.given.iter().find(|(arg, _)| *arg == key.arg && is_general);
        found.map(|(_, value)| value.clone())
    };
    let settings = session.layers.settings(given);
    let mut findings = Vec::new();
    reach(session, &mut findings).await;
    if session.coordinator.as_deref().is_none_or(|address| address.starts_with("unix:")) {
        findings.extend(windlass_coordinator::doctor::findings(&session.data_dir));
    }
    findings.push(open_files());
    findings.push(git().await);
    findings.extend(as_a_worker(session, &settings)?);
    let failed = findings.iter().filter(|finding| finding.level == Level::Fail).count();
    let report = Report { version: env!("CARGO_PKG_VERSION"), settings, findings };
    if session.is_json() {
        session.json("windlass.doctor/1", &report)?;
    } else {
        session.print(&page(&report, session.width()))?;
    }
    if failed == 0 { Ok(()) } else { Err(Error::Unwell { failed }) }
}

fn fingerprint(path: &Path, session: &Session) -> Result<(), Error> {
    let fingerprint =
        windlass_worker::data::fingerprint(path).map_err(|problem| Error::Worker(Box::new(problem)))?;
    if session.is_json() {
        let path = path.display().to_string();
        return session.json("windlass.fingerprint/1", &Fingerprint { path, fingerprint });
    }
    session.print(&format!("{fingerprint}\n"))
}

/// This machine as a worker with what is set for one here.
fn as_a_worker(session: &Session, settings: &[Setting]) -> Result<Vec<Finding>, Error> {
    let set = |key: &str| {
        let found = settings.iter().find(|setting| setting.key == key && setting.from != "default");
        found.map(|setting| setting.value.as_str())
    };
    let work_dir = set("worker.work_dir").map_or_else(|| session.data_dir.join("worker"), PathBuf::from);
    // What is looked at is the machine: how its worker would reach the coordinator does not matter.
    let way = Endpoint::Unix(socket_of(&session.data_dir));
    let mut worker = windlass_worker::settings::Settings::new(work_dir, way)
        .map_err(|source| Error::System { operation: "find this program's own file", source })?;
    let stop_below = set("worker.work_disk_stop_below").and_then(|size| Size::parse(size).ok());
    worker.marks.stop_bytes = stop_below.map(|size| size.bytes);
    Ok(windlass_worker::doctor::findings(&worker))
}

fn page(report: &Report, width: u16) -> String {
    let mut page = Page::new(&format!("windlass {}", report.version), width);
    for finding in &report.findings {
        let (color, word) = match finding.level {
            Level::Ok => (style::GOOD, "ok"),
            Level::Warn => (style::WARN, "warn"),
            Level::Fail => (style::ERROR, "fail"),
        };
        page.line(
            &format!("{color}{word:<10}{color:#}"),
            &format!("{}: {}", finding.check, neutral(&finding.text)),
        );
        if let Some(remedy) = &finding.remedy {
            page.line("", &format!("remedy: {}", neutral(remedy)));
        }
    }
    page.push("settings\n");
    for setting in &report.settings {
        page.line(
            &format!("{}:", setting.key),
            &format!("{} ({})", neutral(&setting.value), neutral(&setting.from)),
        );
    }
    page.finish()
}

/// The coordinator: whether it answers, its version and its workers', its clock.
async fn reach(session: &Session, findings: &mut Vec<Finding>) {
    const CHECK: &str = "coordinator";
    let client = match Client::connect(session).await {
        Ok(client) => client,
        Err(problem) => {
            let report = problem.to_report();
            let remedy = report.remedy.unwrap_or_else(|| "windlass up".to_owned());
            let was_never =
                session.coordinator.is_none() && !session.data_dir.join("ledger.sqlite3").exists();
            let text = format!("{} (looked at {})", report.message, address(session));
            findings.push(match was_never {
                true => Finding::warn(CHECK, text, &remedy),
                false => Finding::fail(CHECK, text, &remedy),
            });
            return;
        }
    };
    let begun = Instant::now();
    let about = match client.fleet().about(AboutRequest {}).await {
        Ok(about) => about.into_inner(),
        Err(status) => {
            let text = format!(
                "it answers at {}, and does not say what it is: {}",
                address(session),
                status.message()
            );
            findings.push(Finding::fail(CHECK, text, "run the same version of windlass everywhere"));
            return;
        }
    };
    findings.push(Finding::ok(CHECK, format!("it answers at {}", address(session))));
    findings.push(health(&client).await);
    findings.push(clock(&about, i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX)));
    match super::workers::list(&client).await {
        Ok(workers) => {
            versions(&about, &workers, findings);
            findings.extend(clocks(&workers));
        }
        Err(problem) => {
            let text = format!("the workers cannot be listed: {}", problem.to_report().message);
            findings.push(Finding::fail("workers", text, "try again"));
        }
    }
}

/// What the coordinator says of its own ledger and disk: it may serve a folder that this machine cannot see.
async fn health(client: &Client) -> Finding {
    const CHECK: &str = "ledger";
    let health = match notice::health(client).await {
        Ok(health) => health,
        Err(problem) => {
            let text = format!("the coordinator does not say how it is: {}", problem.to_report().message);
            return Finding::warn(CHECK, text, "run the same version of windlass everywhere");
        }
    };
    let text = format!(
        "{} in {}; {} of {} are free on its disk, and below {} it takes nothing new",
        units::count(health.records, "durable record"),
        health.data_dir,
        units::bytes(health.free_bytes),
        units::bytes(health.total_bytes),
        units::bytes(health.stop_bytes),
    );
    match (&health.read_only, health.notice) {
        (Some(why), _) => {
            let remedy = "free space on its disk, or look after it, then start the coordinator again";
            Finding::fail(CHECK, format!("{why}; {text}"), remedy)
        }
        (None, Some(notice)) => {
            let remedy = "free space there, or let `windlass gc` do it; the coordinator goes on by itself";
            Finding::fail(CHECK, notice, remedy)
        }
        (None, None) => Finding::ok(CHECK, text),
    }
}

fn address(session: &Session) -> String {
    session.coordinator.clone().unwrap_or_else(|| socket_of(&session.data_dir).display().to_string())
}

fn clock(about: &AboutResponse, call_ms: i64) -> Finding {
    // The answer was made somewhere within the call.
    let apart_ms = (units::now_ms() - about.wall_ms).abs().saturating_sub(call_ms);
    let text =
        format!("the coordinator's differs from this machine's by {} s at most", apart_ms.max(0) / 1000);
    match apart_ms <= CLOCK_WARN_MS {
        true => Finding::ok("clock", text),
        false => Finding::warn(
            "clock",
            text,
            "set both by NTP: times in listings mislead; leases and gates are not affected",
        ),
    }
}

/// The workers' clocks, by the coordinator's own.
fn clocks(workers: &[WorkerView]) -> impl Iterator<Item = Finding> + '_ {
    let apart = workers
        .iter()
        .filter(|worker| worker.state != "lost")
        .filter_map(|worker| fleet::clock(&worker.info));
    apart.map(|text| Finding::warn("clock", text, "set the clocks of both machines by NTP"))
}

fn versions(about: &AboutResponse, workers: &[WorkerView], findings: &mut Vec<Finding>) {
    let own = env!("CARGO_PKG_VERSION");
    let others = workers.iter().filter(|worker| worker.state != "lost" && worker.info.version != own);
    let mut apart: Vec<String> =
        others.map(|worker| format!("worker {} has {}", worker.info.name, worker.info.version)).collect();
    if about.version != own {
        apart.push(format!("the coordinator has {}", about.version));
    }
    findings.push(match apart.is_empty() {
        true => {
            let workers = units::count(workers.len() as u64, "worker");
            Finding::ok("versions", format!("client, coordinator and {workers} have {own}"))
        }
        false => Finding::warn(
            "versions",
            format!("this client has {own}; {}", apart.join("; ")),
            "run the same version of windlass everywhere",
        ),
    });
    let ready = workers.iter().filter(|worker| worker.state == "ready").count();
    findings.push(match ready {
        0 => Finding::warn(
            "workers",
            format!("none of {} is ready", workers.len()),
            "`windlass worker` starts one; `windlass explain W` says what keeps one back",
        ),
        _ => Finding::ok("workers", format!("{ready} of {} are ready", workers.len())),
    });
}

fn open_files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let text = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("at most {limit} of a process"));
    match limit.is_none_or(|limit| limit >= FILES_WARN) {
        true => Finding::ok("open files", text),
        false => {
            Finding::warn("open files", text, "raise it: `ulimit -n 65536`, or LimitNOFILE= of the service")
        }
    }
}

async fn git() -> Finding {
    const REMEDY: &str = "install git: workspaces are read without it, `iter_strategy: branches` needs it";
    let mut command = tokio::process::Command::new("git");
    command.arg("--version").stdin(std::process::Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(GIT_PATIENCE, command.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            Finding::ok("git", String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(Ok(output)) => Finding::warn("git", format!("it ended with {}", output.status), REMEDY),
        Ok(Err(_)) => Finding::warn("git", "it is not installed".to_owned(), REMEDY),
        Err(_) => Finding::warn("git", "it did not answer in 5 s".to_owned(), REMEDY),
    }
}
