//! A second machine joins in two commands, is known by its certificate, renews it, loses it; and every way in which
//! that fails ends in one sentence that says what to do. The "other machine" is another folder and TLS on loopback.

use crate::harness::{Daemon, Fleet};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use time::OffsetDateTime;
use windlass_shared::digest::Hash;
use windlass_shared::join::JoinToken;

/// TLS on an address that is this machine's.
pub const TLS: [&str; 4] = ["--listen", "127.0.0.2:0", "--tls", "always"];

/// A token's text.
pub fn token(fleet: &Fleet, role: &str, name: Option<&str>) -> String {
    let mut args = vec!["token", "create", "--role", role];
    args.extend(name.iter().flat_map(|name| ["--name", name]));
    fleet.ok(&args).trim().to_owned()
}

/// A client that has joined: its folder has its name.
pub fn joined(fleet: &Fleet, name: &str) {
    let (code, _, said) = fleet.run_as(name, &["join", &token(fleet, "client", Some(name))]);
    assert_eq!(code, 0, "{said}");
}

/// A worker that has joined, of the same name.
pub fn worker(fleet: &Fleet, name: &str) -> Daemon {
    let text = token(fleet, "worker", Some(name));
    // A terminal breaks lines where it likes.
    let broken: Vec<&str> =
        text.as_bytes().chunks(60).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    let broken = format!("{}\n", broken.join("\r\n   "));
    let work_dir = fleet.path(&format!("{name}-work"));
    let work_dir = work_dir.to_str().expect("a UTF-8 path");
    let args = ["worker", "--join", &broken, "--work-dir", work_dir, "--cpu-slots", "1"];
    let daemon = fleet.daemon_of(&format!("{name}-data"), &args, &format!("{name}.log"));
    fleet.wait_until("the worker is ready", || fleet.worker_is_ready(name));
    daemon
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("metadata").permissions().mode() & 0o777
}

fn serials(fleet: &Fleet, name: &str) -> Vec<Value> {
    let all = fleet.json(&["certs", "list"])["certificates"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|one| one["name"] == name).collect()
}

#[test]
fn a_machine_and_a_person_join_with_one_token_each_and_an_experiment_runs_over_tls() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&TLS);
    let _worker = worker(&fleet, "gpu-1");
    joined(&fleet, "ada");
    let project = crate::project::Project::default().write(&fleet.path("project"));
    let project = project.to_str().expect("a UTF-8 path");
    let (code, printed, said) = fleet.run_as("ada", &["--output", "json", "submit", project]);
    assert_eq!(code, 0, "{said}");
    let campaign: Value = serde_json::from_str(&printed).expect("JSON");
    let campaign = campaign["campaign"].as_str().expect("an id").to_owned();
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign), [(1, "keep".to_owned(), "0.5".to_owned())]);
    let (code, log, said) = fleet.run_as("ada", &["logs", &campaign, "1"]);
    assert!(code == 0 && log.contains("val: 0.5"), "{said}{log}");
    let (code, value, said) = fleet.run_as("ada", &["get", &campaign, "1", "results/value.tsv"]);
    assert!(code == 0 && value.contains("0.5"), "{said}");
    for secret in
        ["ada/joined.json", "gpu-1-work/joined.json", "data/identity/ca.key", "data/identity/registry.json"]
    {
        assert_eq!(mode(&fleet.path(secret)), 0o600, "{secret}");
    }
    assert_eq!(serials(&fleet, "ada")[0]["state"], "valid");
    // Somebody else has joined too, and there is nothing to be seen, run or broken.
    joined(&fleet, "eve");
    for args in
        [&["status", &campaign][..], &["logs", &campaign, "1"], &["stop", &campaign], &["explain", &campaign]]
    {
        let (code, printed, said) = fleet.run_as("eve", args);
        assert_eq!((code, printed.as_str()), (4, ""), "{args:?}: {said}");
    }
    let (_, printed, _) = fleet.run_as("eve", &["--output", "json", "campaigns"]);
    assert!(!printed.contains(&campaign), "{printed}");
    let (code, _, said) = fleet.run_as("ada", &["share", &campaign, "eve", "--as", "read"]);
    assert_eq!(code, 0, "{said}");
    let (code, _, said) = fleet.run_as("eve", &["status", &campaign]);
    assert_eq!(code, 0, "{said}");
    let (code, _, said) = fleet.run_as("eve", &["pause", &campaign]);
    assert!(code == 3 && said.contains("needs `control`"), "{code} {said}");
    let (code, _, said) = fleet.run_as("eve", &["token", "create", "--role", "admin"]);
    assert!(code == 3 && said.contains("the client eve may not"), "{code} {said}");
}

#[test]
fn a_token_lets_one_in_once_also_after_a_kill_and_each_refusal_is_one_sentence() {
    let fleet = Fleet::new();
    let coordinator = fleet.coordinator_with(&TLS);
    let used = token(&fleet, "client", Some("ada"));
    let (code, _, said) = fleet.run_as("ada", &["join", &used]);
    assert_eq!(code, 0, "{said}");
    let for_worker = token(&fleet, "worker", Some("gpu-1"));
    let over = fleet.ok(&["token", "create", "--role", "client", "--ttl", "1ms"]).trim().to_owned();
    let open = token(&fleet, "client", None);
    let mut foreign = JoinToken::parse(&open).expect("a token");
    foreign.fingerprint = Hash::of(b"another CA");
    let mut unknown = JoinToken::parse(&open).expect("a token");
    unknown.secret = "0".repeat(64);
    let mut lost = JoinToken::parse(&open).expect("a token");
    lost.address = "no-such-host.invalid:7070".to_owned();
    let check = |token: &str, more: &[&str], want: &str| {
        let (code, _, said) = fleet.run_as("other", &[&["join", token], more].concat());
        assert!(code != 0 && said.contains(want), "{code} {want:?} is not in {said:?}");
        assert!(said.lines().count() <= 2, "a sentence, and what to do: {said}");
        assert!(!fleet.path("other/joined.json").exists(), "nothing is kept");
    };
    check(&used, &[], "was used before");
    check(&over, &["--name", "bob"], "expired");
    check(&for_worker, &[], "windlass worker --join");
    check(&token(&fleet, "client", Some("bob")), &["--name", "eve"], "for the name bob");
    check(&open, &["--name", "ada"], "is known here already");
    check(&open, &["--name", "a b"], "cannot name a machine");
    check(&foreign.to_string(), &["--name", "bob"], "another coordinator");
    check(&unknown.to_string(), &["--name", "bob"], "none of this coordinator's");
    check(&lost.to_string(), &["--name", "bob"], "cannot be resolved");
    check(&used[..used.len() - 4], &[], "cut or altered");
    check("hello", &[], "no join token");
    // A kill -9 takes nothing back: what is used stays used, and who is known is known.
    coordinator.kill();
    let address = JoinToken::parse(&open).expect("a token").address;
    let _coordinator = fleet.coordinator_with(&["--listen", &address, "--tls", "always"]);
    check(&used, &[], "was used before");
    let (code, _, said) = fleet.run_as("ada", &["campaigns"]);
    assert_eq!(code, 0, "the CA and its certificates outlive a kill: {said}");
    let (code, _, said) = fleet.run_as("other", &["join", &open, "--name", "bob"]);
    assert_eq!(code, 0, "an unused token too: {said}");
    let said = std::fs::read_to_string(fleet.path("coordinator.log")).expect("a log");
    assert!(said.contains("refused to let somebody join"), "refusals are logged");
    assert!(!said.contains(&JoinToken::parse(&open).expect("a token").secret), "secrets are not");
}

#[test]
fn a_certificate_is_renewed_beside_a_run_and_touches_neither_run_nor_stream() {
    let fleet = Fleet::new();
    let life = [&TLS[..], &["--certificate-life", "45 s"]].concat();
    let _coordinator = fleet.coordinator_with(&life);
    let _worker = worker(&fleet, "gpu-1");
    joined(&fleet, "ada");
    // It ends when a file says so: after the renewal, however long that takes.
    let mark = fleet.path("renewed");
    let run = format!("while [ ! -e '{}' ]; do sleep 0.2; done; echo \"val: $VALUE\"", mark.display());
    let project =
        crate::project::Project::default().run(&run).budget_minutes("10").write(&fleet.path("project"));
    let project = project.to_str().expect("a UTF-8 path");
    let (code, printed, said) = fleet.run_as("ada", &["--output", "json", "submit", project]);
    assert_eq!(code, 0, "{said}");
    let campaign: Value = serde_json::from_str(&printed).expect("JSON");
    let campaign = campaign["campaign"].as_str().expect("an id").to_owned();
    let mut watching = fleet.command_of("ada", &["--output", "json", "watch", &campaign]);
    let mut watching = watching.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    fleet.wait_until("the worker has renewed", || serials(&fleet, "gpu-1").len() >= 2);
    std::fs::write(&mark, "").expect("a mark");
    fleet.wait_decided(&campaign, 1);
    let shown = fleet.json(&["show", &campaign, "1"]);
    let runs = shown["attempts"]
        .as_array()
        .map_or(0, |attempts| attempts.iter().filter(|attempt| attempt["kind"] == "run").count());
    assert_eq!(runs, 1, "the run was not touched: {shown}");
    // The stream that began under the first certificate tells the decision.
    let lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    let told = lines.map_while(Result::ok).any(|line| line.contains("iteration_decided"));
    assert!(told, "the stream went on{}", fleet.logs());
    let _ = watching.kill();
    let _ = watching.wait();
}

#[test]
fn what_is_revoked_is_refused_at_once_and_its_streams_end_while_others_go_on() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&TLS);
    for name in ["ada", "bob"] {
        joined(&fleet, name);
    }
    let watch = |name: &str| {
        let mut command = fleet.command_of(name, &["--output", "json", "watch"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let (mut ada, mut bob) = (watch("ada"), watch("bob"));
    // Both streams are open once each has told of the coordinator's own start, or has asked for it.
    std::thread::sleep(Duration::from_millis(500));
    let revoked = fleet.json(&["certs", "revoke", "client/ada"]);
    assert_eq!(revoked["certificates"].as_array().map_or(0, Vec::len), 1);
    let (code, _, said) = fleet.run_as("ada", &["campaigns"]);
    assert!(code == 1 && said.contains("was revoked"), "{code} {said}");
    fleet.wait_until("the stream of ada has ended", || ada.try_wait().expect("a state").is_some());
    assert!(bob.try_wait().expect("a state").is_none(), "nobody else is cut off");
    let (code, _, said) = fleet.run_as("bob", &["campaigns"]);
    assert_eq!(code, 0, "{said}");
    let _ = bob.kill();
    let _ = bob.wait();
    let (code, _, said) = fleet.run_as("ada", &["join", &token(&fleet, "client", Some("ada"))]);
    assert_eq!(code, 0, "a token of the name lets it in again: {said}");
    assert_eq!(fleet.run_as("ada", &["campaigns"]).0, 0);
}

/// Puts another certificate and key into the file of somebody who has joined.
fn replace_certificate(file: &Path, issuer: &Issuer<'_, KeyPair>, (from_h, until_h): (i64, i64)) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "ada");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = OffsetDateTime::now_utc() + time::Duration::hours(from_h);
    params.not_after = OffsetDateTime::now_utc() + time::Duration::hours(until_h);
    let made = params.signed_by(&key, issuer).expect("a certificate");
    let mut identity: Value = serde_json::from_slice(&std::fs::read(file).expect("it")).expect("JSON");
    identity["certificate"] = STANDARD.encode(made.der()).into();
    identity["key"] = STANDARD.encode(key.serialize_der()).into();
    std::fs::write(file, identity.to_string()).expect("written");
}

#[test]
fn certificates_of_another_ca_expired_early_or_unlisted_are_refused_each_in_a_sentence() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&TLS);
    joined(&fleet, "ada");
    let file = fleet.path("ada/joined.json");
    let read =
        |name: &str| std::fs::read_to_string(fleet.data_dir().join("identity").join(name)).expect("it");
    let own =
        || Issuer::from_ca_cert_pem(&read("ca.pem"), KeyPair::from_pem(&read("ca.key")).expect("a key"));
    let own = own().expect("the CA");
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let foreign = Issuer::new(params, KeyPair::generate().expect("a key"));
    for (issuer, hours, want) in [
        (&own, (-48, -2), "expired"),
        (&own, (2, 48), "is not valid for another"),
        (&own, (-1, 24), "in no list of this coordinator's"),
        (&foreign, (-1, 24), "another CA made it"),
    ] {
        replace_certificate(&file, issuer, hours);
        let (code, _, said) = fleet.run_as("ada", &["campaigns"]);
        assert!(code == 1 && said.contains(want), "{code} {want:?} is not in {said:?}");
        assert!(said.contains("join (again)") || said.contains("join again"), "it says what to do: {said}");
    }
    // A certificate for another role: a worker's is no client's, and the other way round.
    let work = fleet.path("gpu-1-work/joined.json");
    let daemon = worker(&fleet, "gpu-1");
    drop(daemon);
    std::fs::copy(&work, &file).expect("copied");
    let (code, _, said) = fleet.run_as("ada", &["campaigns"]);
    assert!(code == 3 && said.contains("the worker gpu-1 may not"), "{code} {said}");
}

#[test]
fn a_ca_of_ones_own_is_taken_and_machines_join_by_it() {
    let fleet = Fleet::new();
    let folder = fleet.data_dir().join("identity");
    std::fs::create_dir_all(&folder).expect("a folder");
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "the lab's own");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(folder.join("ca.pem"), certificate.pem()).expect("written");
    std::fs::write(folder.join("ca.key"), key.serialize_pem()).expect("written");
    let _coordinator = fleet.coordinator_with(&TLS);
    let token = JoinToken::parse(&token(&fleet, "client", Some("ada"))).expect("a token");
    assert_eq!(token.fingerprint, Hash::of(certificate.der()));
    let (code, _, said) = fleet.run_as("ada", &["join", &token.to_string()]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(fleet.run_as("ada", &["campaigns"]).0, 0);
    assert_eq!(mode(&folder.join("ca.key")), 0o600);
}

#[test]
fn an_address_that_is_no_coordinators_is_told_in_a_sentence() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&TLS);
    joined(&fleet, "ada");
    // Something that answers, and speaks neither TLS nor gRPC.
    let web = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = web.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in web.incoming().take(8) {
            let Ok(mut stream) = stream else { return };
            let mut begun = [0; 16];
            let _ = stream.read(&mut begun);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let check = |url: &str, want: &str, code: i32| {
        let (got, _, said) = fleet.run_as("ada", &["--coordinator", url, "campaigns"]);
        assert!(got == code && said.contains(want), "{got} {want:?} is not in {said:?}");
    };
    check("https://no-such-host.invalid:7070", "cannot be resolved", 5);
    check(&format!("https://{closed}"), "nobody answers at", 5);
    check(&format!("https://{address}"), "no coordinator with TLS", 1);
    check("https://nonsense", "no coordinator's address", 2);
    check("http://192.0.2.1:7070", "https://", 2);
    // A whole other coordinator, whose CA is another.
    let elsewhere = Fleet::new();
    let _other = elsewhere.coordinator_with(&TLS);
    let there = JoinToken::parse(&token(&elsewhere, "client", None)).expect("a token").address;
    check(&format!("https://{there}"), "another coordinator", 1);
    let (code, _, said) =
        fleet.run_as("nobody", &["--coordinator", &format!("https://{there}"), "campaigns"]);
    assert!(code == 1 && said.contains("has joined no coordinator"), "{code} {said}");
}
