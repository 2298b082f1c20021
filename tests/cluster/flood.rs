//! A coordinator that the whole network throws at: junk, half-open connections, headers and messages without an end,
//! a thousand clients at once. It goes on serving a good client, says figure and limit, and its memory stays bounded
//! (I18).

use crate::access_table::{join, submit};
use crate::harness::{Daemon, Fleet};
use crate::joining::{TLS, token};
use crate::project::Project;
use prost::bytes::Bytes;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Request};
use windlass_proto::v1;
use windlass_proto::v1::artifact_service_client::ArtifactServiceClient;
use windlass_proto::v1::campaign_service_client::CampaignServiceClient;
use windlass_proto::v1::log_service_client::LogServiceClient;
use windlass_shared::join::JoinToken;
use windlass_worker::identity::{self, Identity};

/// What a coordinator of this size may ever have had in memory, KiB: ten times what it takes idle, and a few hundred
/// KiB for each of a thousand connections. What is thrown at it is many times as much.
const MEMORY_MAX_KIB: u64 = 1 << 20;
/// Connections that say nothing.
const SILENT: usize = 300;
/// Connections that say something that is no TLS.
const JUNK: usize = 200;
/// Clients at once.
const CLIENTS: usize = 1_000;

/// How often one of them begins anew.
const TRIES_MAX: u32 = 1_000;

/// The most memory that a process has had, KiB.
fn peak_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

fn address(fleet: &Fleet) -> SocketAddr {
    let token = JoinToken::parse(&token(fleet, "client", None)).expect("a token");
    token.address.parse().expect("an address by number")
}

/// A good client does its work over TLS: it reads, it writes, and nothing is in its way.
fn is_served(fleet: &Fleet, campaign: &str) {
    for args in [&["campaigns"][..], &["status", campaign], &["update", campaign, "--priority", "1"]] {
        let (code, _, said) = fleet.run_as("client-good", args);
        assert_eq!(code, 0, "{args:?}: {said}{}", fleet.logs());
    }
}

/// The beginning of a TLS record whose rest never comes.
const HALF_A_HELLO: [u8; 9] = [0x16, 0x03, 0x01, 0x3f, 0xff, 0x01, 0x00, 0x3f, 0xfb];

fn silent(to: SocketAddr) -> Vec<TcpStream> {
    (0..SILENT)
        .map(|n| {
            let mut stream = TcpStream::connect(to).expect("it listens");
            if n % 2 == 0 {
                stream.write_all(&HALF_A_HELLO).expect("there is room in the line");
            }
            stream
        })
        .collect()
}

/// A handshake takes so long at most: whoever says nothing, or half of it, is hung up on.
fn hung_up_on(held: Vec<TcpStream>) {
    for mut stream in held {
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("set");
        let mut answer = [0; 1024];
        let ended = loop {
            match stream.read(&mut answer) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        };
        assert!(ended, "a connection that says nothing was held for two minutes");
    }
}

/// Bytes that are no TLS: each is hung up on.
fn junk(to: SocketAddr) {
    for n in 0..JUNK {
        let mut stream = TcpStream::connect(to).expect("it listens");
        let byte = u8::try_from(n % 251).expect("below 251");
        let bytes: Vec<u8> = match n % 3 {
            0 => vec![byte; 70_000],
            1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".repeat(50),
            _ => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        };
        // It may have hung up in the middle.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        let mut answer = [0; 1024];
        while let Ok(1..) = stream.read(&mut answer) {}
    }
}

/// Messages that no coordinator should take, by somebody who has joined.
async fn huge_and_endless(channel: &Channel) {
    let vast = Bytes::from(vec![b'x'; 64 << 20]);
    let mut campaigns = CampaignServiceClient::new(channel.clone());
    let lever = v1::ProposeLeverRequest {
        request_id: uuid::Uuid::now_v7().to_string(),
        campaign: "any".to_owned(),
        lever_document: vast,
        ..Default::default()
    };
    let refused = campaigns.propose_lever(lever).await.expect_err("64 MiB in one message");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(refused.message().contains("; at most 16777216 is taken"), "figure and limit: {refused:?}");
    // A name without an end, of which only the beginning is said back.
    let name = "n".repeat(8 << 20);
    let refused = campaigns.get(v1::GetRequest { campaign: name, ..Default::default() }).await;
    let refused = refused.expect_err("8 MiB of a name");
    assert_eq!(refused.code(), Code::NotFound, "{refused:?}");
    assert!(refused.message().len() < 1_000, "{refused:?}");
    // Headers without an end.
    let mut request = Request::new(v1::GetRequest { campaign: "any".to_owned(), ..Default::default() });
    request.metadata_mut().insert("x-endless", "y".repeat(1 << 20).parse().expect("ASCII"));
    campaigns.get(request).await.expect_err("1 MiB of headers");
    // A blob that says that it is larger than any disk, and one that goes on after its end.
    let mut artifacts = ArtifactServiceClient::new(channel.clone());
    let piece = Bytes::from(vec![7; 256 << 10]);
    for size in [u64::MAX / 2, 10] {
        let digest = format!("{}:{size}", "ab".repeat(32));
        let data = piece.clone();
        let messages = (0..4096).map(move |n| {
            let digest = if n == 0 { digest.clone() } else { String::new() };
            v1::WriteRequest { digest, data: data.clone() }
        });
        artifacts.write(tokio_stream::iter(messages)).await.expect_err("a gigabyte of it");
    }
    // A log of somebody who is no worker.
    let messages = (0..4096).map(move |n| v1::WriteLogRequest { key: None, offset: n, data: piece.clone() });
    let refused = LogServiceClient::new(channel.clone()).write_log(tokio_stream::iter(messages)).await;
    assert_eq!(refused.expect_err("no worker").code(), Code::PermissionDenied);
}

/// A connection of its own, over which a client asks and then goes on watching.
async fn one_client(identity: Identity) -> Result<tonic::Streaming<v1::WatchResponse>, tonic::Status> {
    let channel = identity::channel(&identity, |endpoint| endpoint).expect("TLS");
    let mut campaigns = CampaignServiceClient::new(channel);
    campaigns.list(v1::ListRequest::default()).await?;
    let follow = v1::WatchRequest { follow: true, ..Default::default() };
    Ok(campaigns.watch(follow).await?.into_inner())
}

/// The same, and again when its connection was cut: a thousand clients on a machine with two cores do not all answer the
/// coordinator's pings in time, and all of one name have so many calls at a time: they begin anew, as any client does.
async fn one_of_many(identity: Identity) -> Result<tonic::Streaming<v1::WatchResponse>, tonic::Status> {
    let mut tries = 1;
    loop {
        match one_client(identity.clone()).await {
            Err(status)
                if tries < TRIES_MAX
                    && (status.details().is_empty() || status.code() == Code::ResourceExhausted) =>
            {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            done => return done,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i18_a_coordinator_under_a_flood_serves_a_good_client_in_bounded_memory() {
    let fleet = Fleet::new();
    let coordinator = fleet.coordinator_with(&TLS);
    let to = address(&fleet);
    join(&fleet, "client", "good").await;
    let (bad, _) = join(&fleet, "client", "bad").await;
    let project = Project::default().write(&fleet.path("project"));
    let campaign = submit(&fleet, "client-good", &project);
    is_served(&fleet, &campaign);

    let held = silent(to);
    is_served(&fleet, &campaign);
    let (throwing, unknown) = (tokio::task::spawn_blocking(move || junk(to)), unknown(&fleet));
    huge_and_endless(&bad).await;
    is_served(&fleet, &campaign);
    // Somebody without a certificate is told what is asked for, however much it sends.
    let lever = v1::ProposeLeverRequest { lever_document: vec![b'x'; 8 << 20].into(), ..Default::default() };
    let refused = CampaignServiceClient::new(unknown).propose_lever(lever).await.expect_err("no certificate");
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
    throwing.await.expect("thrown");
    tokio::task::spawn_blocking(move || hung_up_on(held)).await.expect("each is");

    let file = identity::file_in(&fleet.path("client-bad"));
    let bad = Identity::read(&file).expect("readable").expect("joined");
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(one_of_many(bad.clone()));
    }
    // While they come.
    is_served(&fleet, &campaign);
    let mut watching = Vec::new();
    while let Some(client) = clients.join_next().await {
        watching.push(client.expect("no panic").expect("served like any other"));
    }
    assert_eq!(watching.len(), CLIENTS);
    // While all of them are there.
    is_served(&fleet, &campaign);
    drop(watching);
    is_served(&fleet, &campaign);
    let peak_kib = peak_kib(&coordinator);
    eprintln!("the coordinator had {} MiB at most", peak_kib >> 10);
    assert!(peak_kib < MEMORY_MAX_KIB, "{peak_kib} KiB{}", fleet.logs());
    assert!(coordinator.terminate().success(), "it ends as if nothing had been");
    fleet.verify();
}

/// A connection without a certificate.
fn unknown(fleet: &Fleet) -> Channel {
    let token = JoinToken::parse(&token(fleet, "client", None)).expect("a token");
    identity::unknown_channel(&token, |endpoint| endpoint).expect("TLS")
}
