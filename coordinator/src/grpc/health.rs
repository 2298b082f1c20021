//! What gRPC's own health service says of each service: whether it can do its work now. While the ledger cannot be
//! written, what changes it cannot be served, and what reads it can.

use super::artifact::Artifacts;
use super::campaign::Campaigns;
use super::fleet::Fleet;
use super::identity::Identities;
use super::log::LogFiles;
use super::upkeep::Keeper;
use super::worker::Workers;
use crate::driver::Handle;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use windlass_proto::v1::artifact_service_server::ArtifactServiceServer;
use windlass_proto::v1::campaign_service_server::CampaignServiceServer;
use windlass_proto::v1::fleet_service_server::FleetServiceServer;
use windlass_proto::v1::identity_service_server::IdentityServiceServer;
use windlass_proto::v1::log_service_server::LogServiceServer;
use windlass_proto::v1::upkeep_service_server::UpkeepServiceServer;
use windlass_proto::v1::worker_service_server::WorkerServiceServer;

/// Services that are of no use without a ledger that can be written, and the coordinator as a whole.
const WRITING: [&str; 3] = [
    "",
    <CampaignServiceServer<Campaigns> as NamedService>::NAME,
    <WorkerServiceServer<Workers> as NamedService>::NAME,
];
/// The others: they read, or write what is not in the ledger.
const READING: [&str; 5] = [
    <FleetServiceServer<Fleet> as NamedService>::NAME,
    <LogServiceServer<LogFiles> as NamedService>::NAME,
    <ArtifactServiceServer<Artifacts> as NamedService>::NAME,
    <UpkeepServiceServer<Keeper> as NamedService>::NAME,
    <IdentityServiceServer<Identities> as NamedService>::NAME,
];

/// Says that all is well, as it is at the start.
pub(super) async fn begin(reporter: &HealthReporter) {
    for service in WRITING.into_iter().chain(READING) {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
}

/// Says what is so until the coordinator ends; then nothing is served any more, and whoever watches hears of it.
pub(super) async fn report(reporter: HealthReporter, handle: Handle) {
    let mut frozen = handle.frozen.clone();
    let ending = handle.tasks.ending();
    tokio::pin!(ending);
    // Held no longer: a loop that ends must find nobody who asks.
    drop(handle);
    loop {
        let status = match frozen.borrow_and_update().is_some() {
            true => ServingStatus::NotServing,
            false => ServingStatus::Serving,
        };
        for service in WRITING {
            reporter.set_service_status(service, status).await;
        }
        tokio::select! {
            changed = frozen.changed() => if changed.is_err() { break },
            () = &mut ending => break,
        }
    }
    for service in WRITING.into_iter().chain(READING) {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
}
