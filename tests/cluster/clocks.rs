//! A worker whose wall clock is two hours off: it is told by name and by how much, and no lease is harmed, since
//! leases go by clocks that nobody sets.

use crate::access_table::{hello, join, submit};
use crate::harness::Fleet;
use crate::joining::TLS;
use std::time::{SystemTime, UNIX_EPOCH};
use windlass_proto::v1;
use windlass_proto::v1::worker_service_client::WorkerServiceClient;
use windlass_shared::attempt::Phase;
use windlass_shared::session::{Answer, AttemptReport};

const TWO_HOURS_MS: i64 = 2 * 3_600_000;

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_millis()).expect("before the year 292 million")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_two_hours_apart_is_told_and_harms_no_lease() {
    let fleet = Fleet::new();
    let flags = [&TLS[..], &["--worker-lost-after", "20 min"]].concat();
    let _coordinator = fleet.coordinator_with(&flags);
    join(&fleet, "client", "ada").await;
    let project = crate::project::Project::default().write(&fleet.path("project"));
    for (name, ahead_ms, side) in [("fast", TWO_HOURS_MS, "ahead of"), ("slow", -TWO_HOURS_MS, "behind")] {
        let (channel, id) = join(&fleet, "worker", name).await;
        let mut report = hello(&channel, &id, name).await;
        submit(&fleet, "client-ada", &project);
        let mut client = WorkerServiceClient::new(channel);
        let mut attempts = Vec::new();
        // Until it is given an attempt, and until it has said that it has it.
        while report.attempts.is_empty() {
            report.attempts.append(&mut attempts);
            report.number += 1;
            let message = v1::SyncRequest { wall_ms: now_ms() + ahead_ms, ..v1::SyncRequest::from(&report) };
            let answer = client.sync(message).await.expect("an answer").into_inner();
            report.seen = answer.number;
            let answer = Answer::try_from(answer).expect("a readable answer");
            let phase = Phase::Running { elapsed_ms: 1 };
            attempts.extend(
                answer.orders.into_iter().map(|order| AttemptReport { key: order.key, phase: phase.clone() }),
            );
        }
        let workers = fleet.json(&["workers"]);
        let all = workers["workers"].as_array().cloned().unwrap_or_default();
        let own = all.iter().find(|worker| worker["info"]["name"] == name).expect("listed");
        let apart_ms = own["info"]["clock_apart_ms"].as_i64().unwrap_or(0);
        assert!((apart_ms - ahead_ms).abs() <= 60_000, "{own}");
        assert_eq!(
            (own["state"].as_str(), own["attempts"].as_array().map(Vec::len)),
            (Some("ready"), Some(1))
        );
        let said = format!("{name}: its clock is");
        let page = fleet.ok(&["workers"]);
        let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            flat.contains(&said) && flat.contains(side) && flat.contains("leases and gates are not"),
            "{page}"
        );
        let doctor = fleet.client(&["doctor"]);
        let told = String::from_utf8_lossy(&doctor.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(&said), "{told}");
    }
}
