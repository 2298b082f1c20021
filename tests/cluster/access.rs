//! Who may talk to a coordinator, and what is said when nobody is there.

use crate::harness::Fleet;
use std::os::unix::fs::PermissionsExt;

#[test]
fn two_coordinators_on_one_folder_the_second_refuses_to_start() {
    let fleet = Fleet::new();
    let first = fleet.coordinator();
    let second = fleet.coordinator_unready(&[]).wait();
    assert!(!second.success());
    let said = std::fs::read_to_string(fleet.path("coordinator.log")).expect("a log");
    let pid = first.pid().to_string();
    assert!(said.contains(&format!("pid {pid}")), "it names who holds the folder: {said}");
    fleet.ok(&["campaigns"]);
}

#[test]
fn a_coordinator_that_cannot_be_reached_is_exit_code_5_with_a_remedy() {
    let fleet = Fleet::new();
    for args in [&["campaigns"][..], &["status", "x"], &["workers"], &["results", "x"]] {
        let output = fleet.client(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{args:?}: {said}");
        assert!(said.contains("windlass up"), "it says what to do: {said}");
        assert!(output.stdout.is_empty(), "nothing on stdout");
    }
}

#[test]
fn the_socket_is_the_owners_alone_and_loopback_asks_for_the_token() {
    let fleet = Fleet::new();
    let coordinator = fleet.coordinator_listening("127.0.0.1:0");
    let endpoint: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fleet.data_dir().join("endpoint.json")).expect("it"))
            .expect("JSON");
    let socket = endpoint["socket"].as_str().expect("a socket");
    let mode = std::fs::metadata(socket).expect("it").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = fleet.data_dir().join("token");
    assert_eq!(std::fs::metadata(&token).expect("it").permissions().mode() & 0o777, 0o600);

    let url = format!("http://{}", endpoint["tcp"].as_str().expect("an address"));
    let with_token = fleet.client(&["--coordinator", &url, "campaigns"]);
    assert!(with_token.status.success(), "{}", String::from_utf8_lossy(&with_token.stderr));
    std::fs::write(&token, "00000000000000000000000000000000").expect("another token");
    let without = fleet.client(&["--coordinator", &url, "campaigns"]);
    assert!(!without.status.success());
    let said = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(said.contains("token"), "it says what is asked for: {said}");
    drop(coordinator);
}

#[test]
fn beyond_loopback_tls_is_spoken_and_only_a_flag_that_says_what_it_does_ends_that() {
    let fleet = Fleet::new();
    let endpoint = || -> serde_json::Value {
        let text = std::fs::read(fleet.data_dir().join("endpoint.json")).expect("it");
        serde_json::from_slice(&text).expect("JSON")
    };
    let said = || std::fs::read_to_string(fleet.path("coordinator.log")).expect("a log");
    let coordinator = fleet.coordinator_listening("0.0.0.0:0");
    assert_eq!(endpoint()["tls"], true);
    assert!(!said().contains("NO TLS"), "{}", said());
    assert!(coordinator.terminate().success());
    for start in 1..=2 {
        let flags = ["--listen", "0.0.0.0:0", "--plaintext-i-accept-that-anyone-can-read-and-run"];
        let coordinator = fleet.coordinator_with(&flags);
        assert_eq!(endpoint()["tls"], false);
        assert_eq!(said().matches("NO TLS on").count(), start, "it is logged at every start: {}", said());
        assert!(coordinator.terminate().success());
    }
}

#[test]
fn names_are_found_by_prefix_and_what_is_not_there_is_exit_code_4() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator();
    let output = fleet.client(&["status", "nothing"]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let project = crate::project::Project::default().write(&fleet.path("project"));
    let first = fleet.submit(&project, false);
    assert_eq!(fleet.json(&["status", "ti"])["campaign"], first.as_str());
    fleet.submit(&project, false);
    let output = fleet.client(&["status", "ti"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&first), "the candidates are named");
}
