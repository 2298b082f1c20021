//! Addresses and tokens that lead nowhere, or to something else: a command ends, and a worker goes on trying, each with
//! one sentence that says what to do.

use crate::harness::Fleet;
use crate::joining::{TLS, joined, token};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use windlass_shared::join::JoinToken;

/// Something that answers whatever comes with these bytes.
fn answering(with: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut read = [0; 4096];
                let _ = stream.read(&mut read);
                let _ = stream.write_all(with);
                while let Ok(1..) = stream.read(&mut read) {}
            });
        }
    });
    address
}

const WEB: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
/// A fatal alert: what a TLS server says to one who does not speak it.
const ALERT: &[u8] = &[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x32];

#[test]
fn a_command_says_in_a_sentence_what_its_address_leads_to() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&TLS);
    joined(&fleet, "ada");
    let closed = |host: &str| TcpListener::bind((host, 0)).expect("a port").local_addr().expect("an address");
    let (v4, v6) = (closed("127.0.0.1"), closed("::1"));
    let (web, tls, mail) = (answering(WEB), answering(ALERT), answering(b"220 mail ESMTP\r\n"));
    let check = |url: &str, want: &str, code: i32| {
        let (got, printed, said) = fleet.run_as("ada", &["--coordinator", url, "campaigns"]);
        assert!(got == code && said.contains(want), "{url}: {got}, {want:?} is not in {said:?}");
        assert!(printed.is_empty() && said.lines().count() <= 2, "a sentence, and what to do: {said}");
        assert!(said.to_lowercase().matches("connection refused").count() <= 1, "said once: {said}");
        assert!(!said.contains(['{', '}', '\\']), "nothing of how a program prints its own values: {said}");
        assert!(
            !said.contains("transport error") || said.contains("answers at"),
            "no inner words alone: {said}"
        );
    };
    check(&format!("https://{v6}"), "nobody answers at [::1]", 5);
    check(&format!("https://{v4}"), "nobody answers at 127.0.0.1", 5);
    check(&format!("http://{v6}"), "nobody answers at [::1]", 5);
    check(&format!("http://{v4}"), "nobody answers at 127.0.0.1", 5);
    check(&format!("http://{web}"), "speaks no HTTP/2); check the port", 1);
    check(&format!("http://{mail}"), "speaks no HTTP/2); check the port", 1);
    check(&format!("http://{tls}"), "it speaks TLS: write https://", 1);
    check(&format!("https://{web}"), "is no coordinator with TLS", 1);
    check(&format!("https://{mail}"), "is no coordinator with TLS", 1);
    check("https://no-such-host.invalid:7070", "cannot be resolved", 5);
    check("https://:7070", "resolve", 5);
    check("ftp://127.0.0.1:7070", "no coordinator's address", 2);
    check("127.0.0.1", "no coordinator's address", 2);
}

#[test]
fn a_token_says_in_a_sentence_where_it_led_and_a_broken_one_is_pasted_as_it_is() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&TLS);
    let good = token(&fleet, "client", Some("bob"));
    let at = |address: &str| {
        let token = JoinToken::parse(&good).expect("a token");
        JoinToken { address: address.to_owned(), ..token }.to_string()
    };
    let closed = TcpListener::bind("[::1]:0").expect("a port").local_addr().expect("an address");
    let check = |token: &str, want: &str| {
        let (code, _, said) = fleet.run_as("bob", &["join", token]);
        assert!(code != 0 && said.contains(want), "{code} {want:?} is not in {said:?}");
        assert!(said.lines().count() <= 2 && !fleet.path("bob/joined.json").exists(), "{said}");
    };
    check(&at("no-such-host.invalid:7070"), "cannot be resolved");
    check(&at(&closed.to_string()), "nobody answers at [::1]");
    check(&at(&answering(WEB).to_string()), "is no coordinator with TLS");
    check(&good[..good.len() / 2], "cut or altered");
    check(&good.replacen("windlass", "wind1ass", 1), "no join token");
    // As a mail breaks it, with blanks and the other system's line ends: it is the token still.
    let broken: Vec<String> =
        good.as_bytes().chunks(40).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let (code, _, said) = fleet.run_as("bob", &["join", &format!("\r\n  {}\r\n", broken.join(" \r\n\t"))]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(fleet.run_as("bob", &["campaigns"]).0, 0);
}

#[test]
fn a_worker_says_in_a_sentence_what_its_address_leads_to_and_tries_on() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator();
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    for (name, address, want) in [
        ("web", answering(WEB), "is no coordinator without TLS (it speaks no HTTP/2); check the port"),
        ("tls", answering(ALERT), "it speaks TLS: write https://"),
        ("closed", closed, "nobody answers at 127.0.0.1"),
    ] {
        let log = format!("{name}.log");
        let work_dir = fleet.path(name);
        let url = format!("http://{address}");
        let args = ["--coordinator", &url, "worker", "--work-dir", work_dir.to_str().expect("UTF-8")];
        let mut daemon = fleet.daemon_of(&format!("{name}-data"), &args, &log);
        let said = || std::fs::read_to_string(fleet.path(&log)).unwrap_or_default();
        fleet.wait_until("the worker says what is wrong", || said().contains(want));
        assert!(!daemon.has_ended(), "it tries on: {}", said());
        assert!(daemon.terminate().success(), "{}", said());
    }
}

#[test]
fn a_coordinator_on_ipv6_is_reached_as_any_other() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&["--listen", "[::1]:0", "--tls", "always"]);
    joined(&fleet, "ada");
    let (code, _, said) = fleet.run_as("ada", &["campaigns"]);
    assert_eq!(code, 0, "{said}");
    let address = JoinToken::parse(&token(&fleet, "client", None)).expect("a token").address;
    assert!(address.starts_with("[::1]:"), "{address}");
}
