//! What an operator sees of real processes: figures, health, one request's way through every log, a hook that is
//! told, a quota that is kept.

use crate::harness::{Fleet, signal};
use crate::joining::{TLS, token};
use crate::project::Project;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// The answer of the page of figures to one request, head and body.
fn ask(fleet: &Fleet, request: &str) -> (String, String) {
    let address = std::fs::read_to_string(fleet.data_dir().join("metrics.addr")).expect("the address");
    let mut stream = TcpStream::connect(address.trim()).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

/// A page of OpenMetrics, read strictly: every family described once and before its samples, units in names,
/// nothing twice.
struct Page {
    types: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

fn parse(text: &str) -> Page {
    let (mut types, mut helps, mut samples) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(described) = line.strip_prefix("# ") {
            let mut words = described.splitn(3, ' ');
            let (what, name, rest) =
                (words.next(), words.next().expect("a name"), words.next().expect("a text"));
            match what {
                Some("HELP") => assert!(helps.insert(name.to_owned()) && rest.len() > 5, "{line}"),
                Some("TYPE") => assert_eq!(types.insert(name.to_owned(), rest.to_owned()), None, "{line}"),
                Some("UNIT") => {
                    assert!(["seconds", "bytes"].contains(&rest) && name.ends_with(rest), "{line}")
                }
                _ => panic!("no description: {line}"),
            }
            continue;
        }
        let (series, figure) = line.rsplit_once(' ').expect("a series and a figure");
        let name = series.split('{').next().expect("a name");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()), "{line}");
        let family = ["_total", "_bucket", "_sum", "_count", "_info"]
            .iter()
            .find_map(|ending| name.strip_suffix(ending).filter(|family| types.contains_key(*family)))
            .unwrap_or(name);
        let kind = types.get(family).unwrap_or_else(|| panic!("{family} has no TYPE before {line}"));
        assert!(helps.contains(family), "{family} has no HELP");
        // The rules of `promtool check metrics`: a counter ends in `_total`, and nothing else does.
        assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        assert!(name.starts_with("windlass_") || name.starts_with("process_"), "{line}");
        assert!(!name.contains("milli") && !name.contains("_ms"), "base units: {line}");
        let figure: f64 = figure.parse().expect("a number");
        assert_eq!(samples.insert(series.to_owned(), figure), None, "twice: {line}");
    }
    let page = Page { types, samples };
    for (family, _) in page.types.iter().filter(|(_, kind)| *kind == "histogram") {
        check_histogram(&page, family);
    }
    page
}

/// Buckets that each hold those below, up to one that holds all: without that no quantile can be told.
fn check_histogram(page: &Page, family: &str) {
    let bound = |series: &str| {
        let text = series.strip_prefix(&format!("{family}_bucket{{le=\""))?.strip_suffix("\"}")?.to_owned();
        let bound: f64 = text.parse().unwrap_or_else(|_| panic!("{series}"));
        assert_eq!(bound == f64::INFINITY, text == "+Inf", "{series}");
        assert!(bound < 1e9 || text == "+Inf", "{series} bounds nothing that there is");
        Some(bound)
    };
    let buckets = page.samples.iter().filter_map(|(series, count)| Some((bound(series)?, *count)));
    let mut buckets: Vec<(f64, f64)> = buckets.collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert!(buckets.len() > 3 && buckets.is_sorted_by_key(|(_, count)| *count), "{family}: {buckets:?}");
    let all = page.samples.get(&format!("{family}_count")).copied();
    assert_eq!(buckets.last().copied(), all.map(|all| (f64::INFINITY, all)), "{family}");
    assert!(page.samples.contains_key(&format!("{family}_sum")), "{family}");
}

fn page(fleet: &Fleet) -> Page {
    let (head, body) = ask(fleet, "GET /metrics");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/openmetrics-text"), "{head}");
    parse(&body)
}

#[test]
fn figures_are_what_happened_and_keep_to_the_rules_of_prometheus() {
    let fleet = Fleet::new();
    let coordinator = fleet.coordinator_with(&["--metrics", "127.0.0.1:0"]);
    let before = page(&fleet);
    let _worker = fleet.worker("one");
    let project = Project::default().write(&fleet.path("project"));
    Project::lever(&project, "better", "0.75");
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 2);
    let after = page(&fleet);
    for (series, figure) in [
        ("windlass_attempts_ended_total{kind=\"run\",ending=\"finished\"}", 2.0),
        ("windlass_attempts_ended_total{kind=\"run\",ending=\"crashed\"}", 0.0),
        ("windlass_iterations_decided_total{status=\"keep\"}", 2.0),
        ("windlass_attempts_leased_total", 2.0),
        ("windlass_campaigns{state=\"active\"}", 1.0),
        ("windlass_workers{state=\"ready\"}", 1.0),
        ("windlass_queued_levers", 0.0),
        ("windlass_ledger_read_only", 0.0),
    ] {
        assert_eq!(after.samples.get(series), Some(&figure), "{series} of {:#?}", after.samples);
    }
    for series in [
        "windlass_ledger_records_total",
        "windlass_commit_duration_seconds_count",
        "windlass_commit_records_count",
        "windlass_sync_handling_duration_seconds_count",
        "windlass_device_offered_seconds_total{kind=\"cpu\"}",
        "windlass_disk_free_bytes",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
    ] {
        let figure = after.samples.get(series).unwrap_or_else(|| panic!("{series} of {:#?}", after.samples));
        assert!(*figure > 0.0, "{series}");
    }
    // Whatever happens, no series is added: nothing that people name is in a label.
    let names = |page: &Page| page.samples.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&before), names(&after));
    assert!(after.types.len() > 15 && !names(&after).iter().any(|name| name.contains("tiny")));
    for (request, status) in [("GET /", "404"), ("POST /metrics", "405")] {
        let (head, _) = ask(&fleet, request);
        assert!(head.contains(status), "{request}: {head}");
    }
    check_alerts(&after);
    assert!(coordinator.terminate().success());
    assert!(!fleet.data_dir().join("metrics.addr").exists(), "no address of nobody is left");
}

/// Every figure that an alert or the page of operation speaks of is one that is served.
fn check_alerts(page: &Page) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let served: BTreeSet<&str> =
        page.samples.keys().map(|series| series.split('{').next().expect("a name")).collect();
    for file in ["deploy/prometheus/alerts.yml", "docs/operate.md"] {
        let text = std::fs::read_to_string(root.join(file)).expect(file);
        let is_part = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        let named: BTreeSet<&str> =
            text.split(is_part).filter(|word| word.starts_with("windlass_")).collect();
        assert!(named.len() >= 5, "{file} names {named:?}");
        for name in named {
            let is_family = page.types.contains_key(name);
            assert!(is_family || served.contains(name), "{file} names {name}, which is not served");
        }
    }
}

#[test]
fn figures_are_not_served_in_clear_beyond_this_machine() {
    let fleet = Fleet::new();
    let mut args = vec!["coordinator", "--metrics", "0.0.0.0:0"];
    let (code, _, said) = fleet.run_as("data", &args);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("loopback"), "{said}");
    args.push("--listen");
    args.push("nowhere");
    assert_eq!(fleet.run_as("data", &args).0, 2, "a wrong address is a wrong command line");
    // Where that was accepted it is served, and said at every start.
    for start in 1..=2 {
        let flag = "--plaintext-i-accept-that-anyone-can-read-and-run";
        let coordinator = fleet.coordinator_with(&["--metrics", "0.0.0.0:0", flag]);
        let said = std::fs::read_to_string(fleet.path("coordinator.log")).expect("a log");
        assert_eq!(said.matches("NO TLS on 0.0.0.0:").count(), start, "{said}");
        assert!(coordinator.terminate().success());
    }
}

/// The lines of a log as JSON.
fn lines(fleet: &Fleet, log: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(fleet.path(log)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{log}: {line}"))).collect()
}

#[test]
fn one_request_is_named_by_client_coordinator_worker_and_shim() {
    let fleet = Fleet::new();
    let said = [("WINDLASS_LOG", "debug"), ("WINDLASS_LOG_FORMAT", "json")];
    let _coordinator = fleet.coordinator_unready(&said);
    fleet.wait_until("the coordinator answers", || fleet.client(&["campaigns"]).status.success());
    let _worker = fleet.worker_in("one", &said);
    let project = Project::default().write(&fleet.path("project"));
    let request = uuid::Uuid::now_v7().to_string();
    let mut client =
        fleet.command_of("data", &["--request-id", &request, "submit", project.to_str().expect("UTF-8")]);
    let output = client.envs(said).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.contains(&request), "{told}");
    let names = |log: &str, message: &str| {
        lines(&fleet, log).iter().any(|line| {
            let of_span = &line["span"]["request"];
            line["message"] == message && (line["request"] == *request || *of_span == *request)
        })
    };
    for (log, message) in [
        ("coordinator.log", "answered"),
        ("coordinator.log", "recorded"),
        ("one.log", "an order came"),
        ("one.log", "its shim was started"),
        // Its record says what the shim was told.
        ("one.log", "its shim has ended"),
    ] {
        fleet.wait_until(&format!("{log} says {message:?} of the request"), || names(log, message));
    }
}

#[test]
fn a_hook_hears_of_a_pause_a_wait_and_a_new_best_and_one_that_fails_harms_nobody() {
    let fleet = Fleet::new();
    let told = fleet.path("told.jsonl");
    // It fails after it was told: it is not run again for the same.
    let hook = format!("cat >> {}; echo why >&2; exit 7", told.display());
    let flags = ["--hook", &hook, "--hook-after", "0 s", "--metrics", "127.0.0.1:0"];
    let _coordinator = fleet.coordinator_with(&flags);
    let _worker = fleet.worker("one");
    let project = Project::default().write(&fleet.path("project"));
    Project::lever(&project, "better", "0.75");
    let campaign = fleet.submit(&project, true);
    let heard = || -> Vec<Value> {
        let text = std::fs::read_to_string(&told).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    };
    let of = |event: &str| heard().into_iter().filter(|one| one["event"] == event).collect::<Vec<_>>();
    fleet.wait_until("the new best is told", || of("new_best").len() == 1);
    fleet.wait_until("the wait is told", || {
        of("campaign_waits")
            .iter()
            .any(|one| one["text"].as_str().is_some_and(|text| text.contains("a lever")))
    });
    fleet.ok(&["pause", &campaign]);
    fleet.wait_until("the pause is told", || of("campaign_paused").len() == 1);
    let best = of("new_best").remove(0);
    assert_eq!(
        (&best["schema"], &best["campaign"], &best["iteration"], &best["metric"]),
        (&"windlass.hook/1".into(), &campaign.clone().into(), &2.into(), &"0.75".into())
    );
    fleet.wait_until("every failure is counted", || {
        let failed = page(&fleet).samples["windlass_hook_runs_total{outcome=\"failed\"}"];
        failed as usize == heard().len()
    });
    let log = std::fs::read_to_string(fleet.path("coordinator.log")).expect("a log");
    assert!(log.contains("the hook failed") && log.contains("why"), "{log}");
    assert_eq!(of("new_best").len(), 1, "told once, whatever came of it");
}

#[tokio::test]
async fn health_is_told_for_each_service() {
    let fleet = Fleet::new();
    let coordinator = fleet.coordinator();
    let socket = fleet.data_dir().join("windlass.sock");
    let connect = tower::service_fn(move |_: tonic::transport::Uri| {
        let socket = socket.clone();
        async move { tokio::net::UnixStream::connect(socket).await.map(hyper_util::rt::TokioIo::new) }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://coordinator.invalid");
    let channel = endpoint.connect_with_connector(connect).await.expect("it answers");
    let mut health = HealthClient::new(channel);
    let of = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "windlass.v1.CampaignService", "windlass.v1.WorkerService", "windlass.v1.LogService"]
    {
        let answer = health.check(of(service)).await.expect(service).into_inner();
        assert_eq!(answer.status, 1, "{service:?} is serving");
    }
    assert!(health.check(of("windlass.v1.Nothing")).await.is_err(), "what is not served has no health");
    let mut watched = health.watch(of("")).await.expect("watched").into_inner();
    assert_eq!(watched.message().await.expect("a word").expect("one").status, 1);
    signal(coordinator.pid(), "TERM");
    let last = watched.message().await;
    assert!(
        !matches!(&last, Ok(Some(word)) if word.status == 1),
        "a coordinator that ends serves no more: {last:?}"
    );
}

#[test]
fn a_quota_is_kept_for_a_client_and_seen_by_it() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&TLS);
    let token = token(&fleet, "client", Some("ada"));
    let (code, _, said) = fleet.run_as("ada", &["join", &token]);
    assert_eq!(code, 0, "{said}");
    fleet.ok(&["quota", "set", "ada", "--devices", "0"]);
    let _worker = fleet.worker("one");
    let project = Project::default().write(&fleet.path("project"));
    let (code, printed, said) =
        fleet.run_as("ada", &["--output", "json", "submit", project.to_str().expect("UTF-8")]);
    assert_eq!(code, 0, "{said}");
    let answer: Value = serde_json::from_str(&printed).expect("JSON");
    let campaign = answer["campaign"].as_str().expect("an id").to_owned();
    fleet.wait_until("it waits for its quota", || {
        let (_, told, _) = fleet.run_as("ada", &["--output", "json", "explain", &campaign]);
        told.contains("larger quota") && told.contains("ada may have 0 at once")
    });
    let (_, listed, _) = fleet.run_as("ada", &["--output", "json", "quota", "list"]);
    assert!(listed.contains("\"owner\":\"ada\""), "{listed}");
    let (code, _, said) = fleet.run_as("ada", &["quota", "lift", "ada"]);
    assert_eq!(code, 3, "a client lifts no quota: {said}");
    assert_eq!(fleet.decided(&campaign), []);
    fleet.ok(&["quota", "lift", "ada"]);
    fleet.wait_decided(&campaign, 1);
    let usage = fleet.json(&["status", "--usage"]);
    assert_eq!(usage["owners"][0]["owner"], "ada");
    assert!(usage["campaigns"][0]["spent"]["kept_ms"].as_u64().is_some_and(|ms| ms > 0), "{usage}");
    assert!(usage["fleet"][0]["offered_ms"].as_u64().is_some_and(|ms| ms > 0), "{usage}");
    let (_, hers, _) = fleet.run_as("ada", &["--output", "json", "status", &campaign, "--usage"]);
    let hers: Value = serde_json::from_str(&hers).expect("JSON");
    assert_eq!(
        (hers["campaigns"].as_array().map(Vec::len), &hers["fleet"]),
        (Some(1), &serde_json::json!([]))
    );
}
