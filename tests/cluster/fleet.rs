//! The fleet as its operator has it: who is there and how they are, machines that are taken out, set up anew, or of
//! another version.

use crate::harness::{Daemon, Fleet, signal};
use crate::joining::{TLS, token};
use crate::project::Project;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::Path;
use tokio::net::UnixStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};
use windlass_proto::refusal::from_status;
use windlass_proto::v1;
use windlass_proto::v1::fleet_service_client::FleetServiceClient;
use windlass_proto::v1::worker_service_client::WorkerServiceClient;
use windlass_shared::version::{CLIENT, HEADER, ROLE_HEADER, WORKER};

/// Soon, so that the tests do not wait; a report comes at least every two thirds of it.
const LOST_AFTER: [&str; 2] = ["--worker-lost-after", "8 s"];

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// The workers of a name, each as clients are shown it.
fn listed(fleet: &Fleet, name: &str) -> Vec<Value> {
    let workers = fleet.json(&["workers"])["workers"].as_array().cloned().unwrap_or_default();
    workers.into_iter().filter(|worker| worker["info"]["name"] == name).collect()
}

fn has_state(fleet: &Fleet, name: &str, state: &str) -> bool {
    listed(fleet, name).iter().any(|worker| worker["state"] == state)
}

/// A worker that joins over TLS, with a work folder of its own choice.
fn joining(fleet: &Fleet, name: &str, work_dir: &Path) -> Daemon {
    let token = token(fleet, "worker", Some(name));
    let args = ["worker", "--join", &token, "--work-dir", text(work_dir), "--cpu-slots", "1"];
    fleet.daemon_of("elsewhere", &args, &format!("{name}.log"))
}

/// A project whose runs wait for a mark, and the folder of marks.
fn waiting(fleet: &Fleet, more: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let marks = fleet.path("marks");
    std::fs::create_dir_all(&marks).expect("a folder");
    let lines = format!("  env: {{MARKS: {}}}\n{more}", marks.display());
    let script = "while [ ! -e \"$MARKS/go\" ]; do sleep 0.05; done; echo \"val: $VALUE\"";
    (
        Project::default().run(script).budget_minutes("10").windlass(&lines).write(&fleet.path("project")),
        marks,
    )
}

#[test]
fn a_worker_says_how_it_is_and_is_shown_as_it_is() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&LOST_AFTER);
    let work_dir = fleet.path("one");
    let args =
        ["worker", "--name", "one", "--label", "a100", "--work-dir", text(&work_dir), "--cpu-slots", "2"];
    let worker = fleet.daemon_of("data", &args, "one.log");
    fleet.wait_until("the worker is ready", || fleet.worker_is_ready("one"));
    let one = &listed(&fleet, "one")[0];
    assert_eq!(one["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(one["info"]["labels"][0], "a100");
    assert_eq!(one["devices"].as_array().map_or(0, Vec::len), 2);
    assert!(one["silent_ms"].as_u64().is_some(), "{one}");
    assert!(one["load"]["average_hundredths"].is_u64(), "{one}");
    assert!(one["load"]["memory_available_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{one}");
    let wide = fleet.command_of("data", &["workers"]).env("COLUMNS", "250").output().expect("it runs");
    let page = String::from_utf8_lossy(&wide.stdout).into_owned();
    for part in ["one", "ready", "now", "2 CPU slots", "2 free", "a100", env!("CARGO_PKG_VERSION"), " of "] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    // Drained by its name, taken back by the beginning of its id.
    fleet.ok(&["drain", "one"]);
    assert!(has_state(&fleet, "one", "drained"));
    let id = one["info"]["id"].as_str().expect("an id");
    fleet.ok(&["undrain", &id[..8]]);
    assert!(has_state(&fleet, "one", "ready"));
    // A machine that freezes is suspected first, lost later, and back by its own word.
    signal(worker.pid(), "STOP");
    fleet.wait_until("it is suspected", || has_state(&fleet, "one", "suspected"));
    fleet.wait_until("it is lost", || has_state(&fleet, "one", "lost"));
    signal(worker.pid(), "CONT");
    fleet.wait_until("it is back", || has_state(&fleet, "one", "ready"));
}

#[test]
fn a_campaign_that_asks_for_a_label_runs_where_it_is_and_waits_in_words_where_it_is_not() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator();
    let _plain = fleet.worker("plain");
    let project =
        Project::default().windlass("  resources: {labels: [fast]}\n").write(&fleet.path("project"));
    let campaign = fleet.submit(&project, false);
    fleet.wait_until("it waits for the label", || {
        fleet.json(&["explain", &campaign]).to_string().contains("fast")
    });
    let work_dir = fleet.path("quick");
    let args = ["worker", "--name", "quick", "--label", "fast", "--work-dir", text(&work_dir)];
    let _quick = fleet.daemon_of("data", &args, "quick.log");
    fleet.wait_decided(&campaign, 1);
    let records = fleet.json(&["show", &campaign, "1"])["records"].clone();
    let quick = listed(&fleet, "quick")[0]["info"]["id"].clone();
    let leases: Vec<Value> = records.as_array().into_iter().flatten().cloned().collect();
    let leased = leases.iter().filter(|record| record["body"]["kind"] == "attempt_leased");
    assert!(leased.clone().count() > 0 && leased.clone().all(|record| record["body"]["worker"] == quick));
}

#[test]
fn a_drained_worker_finishes_what_it_runs_and_takes_nothing_new_until_it_is_taken_back() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let (project, marks) = waiting(&fleet, "");
    Project::lever(&project, "a", "0.75");
    let campaign = fleet.submit(&project, true);
    fleet.wait_until("it runs", || {
        fleet.json(&["status", &campaign])["open"]["attempt"]["phase"] == "running"
    });
    fleet.ok(&["drain", "one"]);
    std::fs::write(marks.join("go"), "").expect("a mark");
    // Its analysis is new work: the iteration waits for it, and says why.
    fleet.wait_until("the run has ended, and what comes next waits", || {
        let free = listed(&fleet, "one")[0]["devices"][0]["state"] == "free";
        free && fleet.json(&["explain", &campaign]).to_string().contains("drained")
    });
    assert!(fleet.decided(&campaign).len() < 2, "the lever was not pulled");
    fleet.ok(&["undrain", "one"]);
    fleet.wait_decided(&campaign, 2);
    let ended = fleet.exported(&[]);
    let runs = ended.iter().filter(|line| {
        let body = &line["record"]["body"];
        body["kind"] == "attempt_leased" && body["order"]["kind"] == "run"
    });
    assert_eq!(runs.count(), 2, "what ran was not started again");
}

#[test]
fn a_machine_that_was_set_up_anew_under_its_name_is_another_worker_and_the_one_before_is_dead() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&[&TLS[..], &LOST_AFTER].concat());
    let (before_dir, now_dir) = (fleet.path("before"), fleet.path("now"));
    let before = joining(&fleet, "gpu-1", &before_dir);
    fleet.wait_until("the worker is ready", || fleet.worker_is_ready("gpu-1"));
    let before_id = listed(&fleet, "gpu-1")[0]["info"]["id"].as_str().expect("an id").to_owned();
    let (project, marks) = waiting(&fleet, "");
    let campaign = fleet.submit(&project, false);
    fleet.wait_until("it runs", || {
        fleet.json(&["status", &campaign])["open"]["attempt"]["phase"] == "running"
    });
    // The machine goes off with all that ran on it, and its disk is put aside.
    before.kill();
    for (pid, command) in fleet.processes() {
        if command.contains(text(&before_dir)) || command.contains("run.sh") {
            signal(pid, "KILL");
        }
    }
    let _now = joining(&fleet, "gpu-1", &now_dir);
    fleet.wait_until("the new one is ready", || fleet.worker_is_ready("gpu-1"));
    fleet.wait_until("the one before is lost", || has_state(&fleet, "gpu-1", "lost"));
    let both = listed(&fleet, "gpu-1");
    let lost: Vec<&Value> = both.iter().filter(|worker| worker["state"] == "lost").collect();
    assert_eq!((both.len(), lost.len()), (2, 1), "{both:?}");
    assert_eq!(lost[0]["info"]["id"], before_id.as_str());
    // Its name is the new one's.
    fleet.ok(&["drain", "gpu-1"]);
    assert!(has_state(&fleet, "gpu-1", "drained"));
    fleet.ok(&["undrain", "gpu-1"]);
    // The old disk comes back: nobody listens to it, and what it knew of is run elsewhere.
    let mut again = {
        let args = ["worker", "--work-dir", text(&before_dir), "--cpu-slots", "1"];
        fleet.daemon_of("elsewhere", &args, "before.log")
    };
    fleet.wait_until("it is told that it was revoked", || {
        let said = std::fs::read_to_string(fleet.path("before.log")).unwrap_or_default();
        said.contains("revoked")
    });
    std::fs::write(marks.join("go"), "").expect("a mark");
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign), [(1, "keep".to_owned(), "0.5".to_owned())], "P20: not blamed");
    assert!(has_state(&fleet, "gpu-1", "lost") && !again.has_ended());
    let certificates = fleet.json(&["certs", "list"])["certificates"].as_array().cloned().unwrap_or_default();
    let states: Vec<&Value> = certificates.iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["valid", "revoked"], "{certificates:?}");
    drop(again);
    fleet.verify();
}

#[test]
fn a_worker_that_was_revoked_is_let_in_by_a_new_token_and_an_old_one_in_its_unit_file_does_no_harm() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&TLS);
    let work_dir = fleet.path("work");
    let start = |token: &str| {
        let args = ["worker", "--join", token, "--work-dir", text(&work_dir), "--cpu-slots", "1"];
        fleet.daemon_of("elsewhere", &args, "gpu-1.log")
    };
    let first = token(&fleet, "worker", Some("gpu-1"));
    let daemon = start(&first);
    fleet.wait_until("the worker is ready", || fleet.worker_is_ready("gpu-1"));
    let id = listed(&fleet, "gpu-1")[0]["info"]["id"].clone();
    fleet.ok(&["certs", "revoke", "worker/gpu-1"]);
    daemon.kill();
    fleet.wait_until("it is away", || !fleet.worker_is_ready("gpu-1"));
    let second = token(&fleet, "worker", Some("gpu-1"));
    // The new one, the same again, and one that lets nobody in: each start finds its worker let in.
    for given in [&second, &second, &first] {
        let daemon = start(given);
        fleet.wait_until("it is let in", || fleet.worker_is_ready("gpu-1"));
        assert_eq!(listed(&fleet, "gpu-1")[0]["info"]["id"], id, "it is the worker that it was");
        daemon.kill();
        fleet.wait_until("it is away", || !fleet.worker_is_ready("gpu-1"));
    }
    let said = std::fs::read_to_string(fleet.path("gpu-1.log")).expect("a log");
    assert!(said.contains("was used before"), "the last one was tried, and told of: {said}");
}

/// Says a version and a role with every call.
#[derive(Clone)]
struct Announcing(&'static str, String);

impl tonic::service::Interceptor for Announcing {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert(ROLE_HEADER, self.0.parse().expect("ASCII"));
        metadata.insert(HEADER, self.1.parse().expect("ASCII"));
        Ok(request)
    }
}

async fn announcing(
    fleet: &Fleet,
    role: &'static str,
    version: &str,
) -> InterceptedService<Channel, Announcing> {
    let socket = fleet.data_dir().join("windlass.sock");
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://coordinator.invalid");
    let channel = endpoint.connect_with_connector(connector).await.expect("connected");
    InterceptedService::new(channel, Announcing(role, version.to_owned()))
}

/// A version some minor releases from this one.
fn apart(minors: i64) -> String {
    let mut parts = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<i64>().expect("a number"));
    let (major, minor) = (parts.next().expect("major"), parts.next().expect("minor"));
    format!("{major}.{}.7", (minor + minors).max(0))
}

#[tokio::test]
async fn a_version_one_minor_release_apart_works_and_two_are_refused_with_what_to_upgrade() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator();
    for (minors, is_taken) in [(-1, true), (0, true), (1, true), (2, false)] {
        let version = apart(minors);
        let mut client = FleetServiceClient::new(announcing(&fleet, CLIENT, &version).await);
        let listed = client.list_workers(v1::ListWorkersRequest {}).await;
        let mut worker = WorkerServiceClient::new(announcing(&fleet, WORKER, &version).await);
        let id = uuid::Uuid::now_v7().to_string();
        let (name, session) = (format!("apart{minors}"), "session-0".to_owned());
        let report =
            v1::SyncRequest { worker: id, name, version: version.clone(), session, ..Default::default() };
        let synced = worker.sync(report).await;
        if is_taken {
            let answered = listed.expect("a client one release apart is served");
            let ours = answered.metadata().get(HEADER).expect("the coordinator says its own");
            assert_eq!(ours, env!("CARGO_PKG_VERSION"));
            synced.expect("and so is a worker");
            continue;
        }
        for (status, remedy) in [
            (listed.expect_err("too far"), "upgrade the coordinator"),
            (synced.expect_err("too far"), "upgrade the coordinator"),
        ] {
            assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
            assert!(status.message().contains(&version), "it names the version: {}", status.message());
            let told = from_status(&status);
            assert_eq!((told.reason.as_str(), told.remedy.as_deref()), ("VERSION", Some(remedy)), "{told:?}");
        }
    }
}
