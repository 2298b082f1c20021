//! A coordinator that only recites a scene, for pages whose every byte is known.

use super::fixture::Scene;
use super::store::STORE;
use std::path::Path;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use windlass_proto::v1::artifact_service_server::{ArtifactService, ArtifactServiceServer};
use windlass_proto::v1::campaign_service_server::{CampaignService, CampaignServiceServer};
use windlass_proto::v1::fleet_service_server::{FleetService, FleetServiceServer};
use windlass_proto::v1::log_service_server::{LogService, LogServiceServer};
use windlass_proto::v1::upkeep_service_server::{UpkeepService, UpkeepServiceServer};
use windlass_proto::v1::watch_response::Event;
use windlass_proto::v1::*;
use windlass_proto::{document, refusal};
use windlass_shared::digest::Digest;
use windlass_shared::record::{Body, Record};
use windlass_shared::refusal::Refusal;
use windlass_shared::upkeep::Health;
use windlass_shared::view::Explanation;

/// What every run wrote.
const LOG: &[u8] = b"epoch 1\nepoch 2\nval_acc: 0.9025\n\x1b[31mred\x1b[0m\n";

/// Serves at `<data_dir>/windlass.sock` for as long as the answer lives.
pub fn serve(data_dir: &Path, scene: Scene) -> Runtime {
    let runtime = Runtime::new().expect("a runtime");
    let socket = data_dir.join("windlass.sock");
    let listener = runtime.block_on(async { UnixListener::bind(socket) }).expect("bound");
    let server = Server::builder()
        .add_service(CampaignServiceServer::new(Fake(scene)))
        .add_service(ArtifactServiceServer::new(Fake(scene)))
        .add_service(LogServiceServer::new(Fake(scene)))
        .add_service(FleetServiceServer::new(Fake(scene)))
        .add_service(UpkeepServiceServer::new(Fake(scene)));
    runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    runtime
}

struct Fake(Scene);

type Answer<T> = Result<Response<T>, Status>;
type Listed<T> = tokio_stream::Iter<std::vec::IntoIter<Result<T, Status>>>;

fn refuse<T>(refusal: Refusal) -> Answer<T> {
    Err(refusal::to_status(&refusal))
}

fn not_here<T>() -> Answer<T> {
    refuse(Refusal::Unsupported { key: "this" })
}

fn known(campaign: &str) -> Result<(), Status> {
    if !campaign.is_empty() && "digits-0a1b2c".starts_with(campaign) {
        return Ok(());
    }
    Err(refusal::to_status(&Refusal::NotFound { what: "campaign", name: campaign.to_owned() }))
}

fn iteration_of(record: &Record) -> Option<u32> {
    Some(match &record.body {
        Body::IterationOpened { iteration, .. }
        | Body::FixApplied { iteration, .. }
        | Body::DeliverableAdded { iteration, .. }
        | Body::DeliverableAccepted { iteration, .. }
        | Body::ConclusionWritten { iteration, .. }
        | Body::IterationDecided { iteration, .. } => iteration.0,
        Body::AttemptLeased { order, .. } => order.key.id.iteration.0,
        Body::AttemptEnded { attempt, .. } => attempt.iteration.0,
        _ => return None,
    })
}

#[tonic::async_trait]
impl CampaignService for Fake {
    async fn create(&self, _: Request<CreateRequest>) -> Answer<CreateResponse> {
        not_here()
    }

    async fn give_secrets(&self, _: Request<GiveSecretsRequest>) -> Answer<GiveSecretsResponse> {
        not_here()
    }

    async fn get(&self, request: Request<GetRequest>) -> Answer<GetResponse> {
        known(&request.get_ref().campaign)?;
        let view_document = document::write(&self.0.view());
        let dimensions = vec!["errors".to_owned()];
        let claim_documents = self.0.claims().iter().map(document::write).collect();
        Ok(Response::new(GetResponse {
            view_document,
            dimensions,
            claim_documents,
            ..GetResponse::default()
        }))
    }

    async fn claim(&self, request: Request<ClaimRequest>) -> Answer<ClaimResponse> {
        known(&request.get_ref().campaign)?;
        let claim_documents = self.0.claims().iter().map(document::write).collect();
        Ok(Response::new(ClaimResponse { claim_documents }))
    }

    async fn list(&self, _: Request<ListRequest>) -> Answer<ListResponse> {
        let view_documents = self.0.views().iter().map(document::write).collect();
        Ok(Response::new(ListResponse { view_documents }))
    }

    async fn pause(&self, request: Request<PauseRequest>) -> Answer<PauseResponse> {
        known(&request.get_ref().campaign)?;
        Ok(Response::new(PauseResponse {}))
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Answer<ResumeResponse> {
        refuse(Refusal::State {
            what: "campaign digits-0a1b2c".to_owned(),
            state: "stopped".to_owned(),
            wanted: "only a paused one goes on",
        })
    }

    async fn stop(&self, _: Request<StopRequest>) -> Answer<StopResponse> {
        Ok(Response::new(StopResponse {}))
    }

    async fn update(&self, request: Request<UpdateRequest>) -> Answer<UpdateResponse> {
        known(&request.get_ref().campaign)?;
        Ok(Response::new(UpdateResponse { campaign: "digits-0a1b2c".to_owned() }))
    }

    async fn move_lever(&self, _: Request<MoveLeverRequest>) -> Answer<MoveLeverResponse> {
        Ok(Response::new(MoveLeverResponse {}))
    }

    async fn import_ledger(&self, _: Request<ImportLedgerRequest>) -> Answer<ImportLedgerResponse> {
        Ok(Response::new(ImportLedgerResponse { campaign: "old-0a1b2c".to_owned() }))
    }
    async fn retry_lever(&self, request: Request<RetryLeverRequest>) -> Answer<RetryLeverResponse> {
        if request.get_ref().lever == 2 {
            let frozen = Refusal::Frozen { path: "evaluate.py".to_owned() };
            let problems = vec![frozen, Refusal::NoChange, Refusal::Duplicate { iteration: 2 }];
            return Err(refusal::to_status(&Refusal::several(problems)));
        }
        if request.get_ref().lever == 3 {
            return Ok(Response::new(RetryLeverResponse::default()));
        }
        Err(refusal::to_status(&Refusal::Settled {
            rule: "P10",
            what: "lever L1".to_owned(),
            state: "was tried by iteration 2: keep (better)".to_owned(),
            remedy: "propose it again with `changed_assumption` if something is different now",
        }))
    }

    async fn cancel_iteration(&self, _: Request<CancelIterationRequest>) -> Answer<CancelIterationResponse> {
        Ok(Response::new(CancelIterationResponse {}))
    }
    async fn submit_fix(&self, request: Request<SubmitFixRequest>) -> Answer<SubmitFixResponse> {
        known(&request.into_inner().campaign)?;
        Ok(Response::new(SubmitFixResponse {}))
    }
    async fn add_deliverable(
        &self,
        request: Request<AddDeliverableRequest>,
    ) -> Answer<AddDeliverableResponse> {
        known(&request.into_inner().campaign)?;
        Ok(Response::new(AddDeliverableResponse {}))
    }
    async fn write_conclusion(
        &self,
        request: Request<WriteConclusionRequest>,
    ) -> Answer<WriteConclusionResponse> {
        known(&request.into_inner().campaign)?;
        Ok(Response::new(WriteConclusionResponse {}))
    }

    async fn add_findings(&self, request: Request<AddFindingsRequest>) -> Answer<AddFindingsResponse> {
        known(&request.get_ref().campaign)?;
        let records = Scene::Every.records();
        let is_finding = |record: &&Record| matches!(record.body, Body::FindingRecorded { .. });
        let record_documents = records.iter().filter(is_finding).map(document::write).collect();
        Ok(Response::new(AddFindingsResponse { campaign: "digits-0a1b2c".to_owned(), record_documents }))
    }

    async fn list_findings(&self, request: Request<ListFindingsRequest>) -> Answer<ListFindingsResponse> {
        known(&request.get_ref().campaign)?;
        let record_documents = match self.0 {
            Scene::Fresh => Vec::new(),
            _ => Scene::Every.records().iter().map(document::write).collect(),
        };
        let (campaign, next_page_token) = ("digits-0a1b2c".to_owned(), String::new());
        Ok(Response::new(ListFindingsResponse { campaign, record_documents, next_page_token }))
    }

    async fn share(&self, request: Request<ShareRequest>) -> Answer<ShareResponse> {
        known(&request.get_ref().campaign)?;
        Ok(Response::new(ShareResponse {}))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Answer<ExplainResponse> {
        known(&request.get_ref().name)?;
        let explanation: Explanation =
            serde_json::from_str(include_str!("../explanation.json")).expect("an explanation");
        Ok(Response::new(ExplainResponse { explanation_document: document::write(&explanation) }))
    }

    async fn propose_lever(&self, _: Request<ProposeLeverRequest>) -> Answer<ProposeLeverResponse> {
        if self.0 == Scene::Every {
            return Ok(Response::new(ProposeLeverResponse { lever: 7, warnings: vec!["late".to_owned()] }));
        }
        let frozen = Refusal::Frozen { path: "evaluate.py".to_owned() };
        refuse(Refusal::several(vec![frozen, Refusal::NoChange]))
    }

    async fn list_levers(&self, _: Request<ListLeversRequest>) -> Answer<ListLeversResponse> {
        let view_documents = self.0.levers().iter().map(document::write).collect();
        let refused_documents = self.0.refused().iter().map(document::write).collect();
        let next_page_token = String::new();
        Ok(Response::new(ListLeversResponse { view_documents, next_page_token, refused_documents }))
    }

    async fn get_lever(&self, request: Request<GetLeverRequest>) -> Answer<GetLeverResponse> {
        let asked = request.get_ref().lever;
        let lever = self.0.levers().into_iter().find(|view| view.lever.0 == asked);
        let is_it =
            |record: &&Record| matches!(&record.body, Body::LeverQueued { lever, .. } if lever.0 == asked);
        let records = self.0.records();
        match (lever, records.iter().find(is_it)) {
            (Some(lever), Some(record)) => Ok(Response::new(GetLeverResponse {
                view_document: document::write(&lever),
                record_document: document::write(record),
            })),
            _ => refuse(Refusal::NotFound { what: "lever", name: format!("L{asked} of digits-0a1b2c") }),
        }
    }

    async fn retire_lever(&self, _: Request<RetireLeverRequest>) -> Answer<RetireLeverResponse> {
        Ok(Response::new(RetireLeverResponse {}))
    }

    async fn get_iteration(&self, request: Request<GetIterationRequest>) -> Answer<GetIterationResponse> {
        let asked = request.into_inner();
        let of_it = |record: &&Record| iteration_of(record) == Some(asked.iteration);
        let record_documents = self.0.records().iter().filter(of_it).map(document::write).collect();
        let campaign = asked.campaign;
        Ok(Response::new(GetIterationResponse { campaign, record_documents, next_page_token: String::new() }))
    }

    async fn list_iterations(
        &self,
        request: Request<ListIterationsRequest>,
    ) -> Answer<ListIterationsResponse> {
        let campaign = request.into_inner().campaign;
        let record_documents = self.0.decisions().iter().map(document::write).collect();
        Ok(Response::new(ListIterationsResponse {
            campaign,
            metric: self.0.view().metric,
            record_documents,
            next_page_token: String::new(),
        }))
    }

    type WatchStream = Listed<WatchResponse>;

    async fn watch(&self, request: Request<WatchRequest>) -> Answer<Self::WatchStream> {
        known(&request.get_ref().campaign)?;
        let is_followed = request.get_ref().follow;
        let mut records: Vec<Record> = self.0.records();
        if self.0 != Scene::Every {
            records.retain(|record| record.campaign.is_some());
        }
        if let Some(last) = records.last().filter(|_| is_followed).cloned() {
            // A watch ends with the campaign.
            let reason = windlass_shared::record::StopReason::Owner;
            records.push(Record { seq: last.seq + 1, body: Body::CampaignStopped { reason }, ..last });
        }
        let mut told: Vec<_> = records
            .iter()
            .map(|record| {
                let event = Some(Event::RecordDocument(document::write(record)));
                Ok(WatchResponse { incarnation: 7, seq: record.seq, event })
            })
            .collect();
        if is_followed {
            let event = Some(Event::ViewDocument(document::write(&self.0.view())));
            told.insert(1, Ok(WatchResponse { incarnation: 7, seq: 2, event }));
        }
        Ok(Response::new(tokio_stream::iter(told)))
    }
}

#[tonic::async_trait]
impl ArtifactService for Fake {
    async fn find_missing(&self, _: Request<FindMissingRequest>) -> Answer<FindMissingResponse> {
        Ok(Response::new(FindMissingResponse::default()))
    }

    async fn write(&self, _: Request<Streaming<WriteRequest>>) -> Answer<WriteResponse> {
        not_here()
    }

    type ReadStream = Listed<ReadResponse>;

    async fn read(&self, request: Request<ReadRequest>) -> Answer<Self::ReadStream> {
        let piece = |digest: String| {
            let data = Digest::parse(&digest).and_then(|key| STORE.blobs.get(&key)).cloned();
            match data {
                Some(data) => Ok(ReadResponse { digest, data: data.into(), made_of: String::new() }),
                None => Err(refusal::to_status(&Refusal::NotFound { what: "blob", name: digest })),
            }
        };
        let pieces: Vec<_> = request.into_inner().digests.into_iter().map(piece).collect();
        Ok(Response::new(tokio_stream::iter(pieces)))
    }
}

#[tonic::async_trait]
impl LogService for Fake {
    async fn write_log(&self, _: Request<Streaming<WriteLogRequest>>) -> Answer<WriteLogResponse> {
        not_here()
    }

    type ReadLogStream = Listed<ReadLogResponse>;

    async fn read_log(&self, request: Request<ReadLogRequest>) -> Answer<Self::ReadLogStream> {
        let asked = request.into_inner();
        if asked.iteration > 4 {
            let name = format!("{} of {}", asked.iteration, self.0.view().campaign);
            return refuse(Refusal::NotFound { what: "iteration", name });
        }
        if asked.grep.is_empty() {
            let whole = ReadLogResponse { data: LOG.to_vec().into(), ..ReadLogResponse::default() };
            return Ok(Response::new(tokio_stream::iter(vec![Ok(whole)])));
        }
        let lines = LOG.split(|&byte| byte == b'\n').zip(1..);
        let matching = lines.filter(|(line, _)| String::from_utf8_lossy(line).contains(&asked.grep));
        let found = matching.map(|(data, line)| {
            Ok(ReadLogResponse { data: data.into(), line, ..ReadLogResponse::default() })
        });
        Ok(Response::new(tokio_stream::iter(found.collect::<Vec<_>>())))
    }
}

#[tonic::async_trait]
impl FleetService for Fake {
    async fn about(&self, _: Request<AboutRequest>) -> Answer<AboutResponse> {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let wall_ms = i64::try_from(since.as_millis()).expect("this millennium");
        Ok(Response::new(AboutResponse { version: "0.0.9".to_owned(), incarnation: 7, wall_ms }))
    }

    async fn list_workers(&self, _: Request<ListWorkersRequest>) -> Answer<ListWorkersResponse> {
        let view_documents = self.0.workers().iter().map(document::write).collect();
        Ok(Response::new(ListWorkersResponse { view_documents }))
    }

    async fn drain(&self, _: Request<DrainRequest>) -> Answer<DrainResponse> {
        Ok(Response::new(DrainResponse {}))
    }

    async fn undrain(&self, request: Request<UndrainRequest>) -> Answer<UndrainResponse> {
        refuse(Refusal::NotFound { what: "worker", name: request.get_ref().worker.clone() })
    }

    async fn release_device(&self, _: Request<ReleaseDeviceRequest>) -> Answer<ReleaseDeviceResponse> {
        Ok(Response::new(ReleaseDeviceResponse {}))
    }

    async fn get_usage(&self, _: Request<GetUsageRequest>) -> Answer<GetUsageResponse> {
        Ok(Response::new(GetUsageResponse { usage_document: document::write(&self.0.usage()) }))
    }

    async fn set_quota(&self, _: Request<SetQuotaRequest>) -> Answer<SetQuotaResponse> {
        Ok(Response::new(SetQuotaResponse {}))
    }

    async fn list_quotas(&self, _: Request<ListQuotasRequest>) -> Answer<ListQuotasResponse> {
        let view_documents = self.0.quotas().iter().map(document::write).collect();
        Ok(Response::new(ListQuotasResponse { view_documents }))
    }
}

#[tonic::async_trait]
impl UpkeepService for Fake {
    async fn collect_garbage(&self, _: Request<CollectGarbageRequest>) -> Answer<CollectGarbageResponse> {
        not_here()
    }

    async fn get_health(&self, _: Request<GetHealthRequest>) -> Answer<GetHealthResponse> {
        let notice =
            "the disk of /data has 1.5 GiB left, and below 2.0 GiB the coordinator takes nothing new";
        let health = Health {
            version: "0.0.9".to_owned(),
            data_dir: "/data".to_owned(),
            records: 31,
            free_bytes: if self.0 == Scene::Every { 3 << 29 } else { 60 << 30 },
            total_bytes: 100 << 30,
            stop_bytes: 2 << 30,
            read_only: None,
            notice: (self.0 == Scene::Every).then(|| notice.to_owned()),
        };
        Ok(Response::new(GetHealthResponse { health_document: document::write(&health) }))
    }
}
