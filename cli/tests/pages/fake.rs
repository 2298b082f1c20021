//! A coordinator that only recites: the records and views of two files, for pages whose every byte is
//! known.

use std::path::Path;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use windlass_proto::v1::campaign_service_server::{CampaignService, CampaignServiceServer};
use windlass_proto::v1::fleet_service_server::{FleetService, FleetServiceServer};
use windlass_proto::v1::watch_response::Event;
use windlass_proto::v1::*;
use windlass_proto::{document, refusal};
use windlass_shared::record::{Body, Record};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::{CampaignView, Explanation, LeverView, WorkerView};

/// Serves at `<data_dir>/windlass.sock` for as long as the answer lives.
pub fn serve(data_dir: &Path) -> Runtime {
    let runtime = Runtime::new().expect("a runtime");
    let socket = data_dir.join("windlass.sock");
    let listener = runtime.block_on(async { UnixListener::bind(socket) }).expect("bound");
    let server = Server::builder()
        .add_service(CampaignServiceServer::new(Fake))
        .add_service(FleetServiceServer::new(Fake));
    runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    runtime
}

struct Fake;

type Answer<T> = Result<Response<T>, Status>;

fn records() -> Vec<Record> {
    serde_json::from_str(include_str!("../records.json")).expect("records")
}

fn view() -> CampaignView {
    serde_json::from_str(include_str!("../view.json")).expect("a view")
}

fn known(campaign: &str) -> Result<(), Status> {
    if !campaign.is_empty() && "digits-0a1b2c".starts_with(campaign) {
        return Ok(());
    }
    Err(refusal::to_status(&Refusal::NotFound { what: "campaign", name: campaign.to_owned() }))
}

fn levers() -> Vec<LeverView> {
    serde_json::from_str(include_str!("../levers.json")).expect("levers")
}

#[tonic::async_trait]
impl CampaignService for Fake {
    async fn create(&self, _: Request<CreateRequest>) -> Answer<CreateResponse> {
        Err(refusal::to_status(&Refusal::Unsupported { key: "create" }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Answer<GetResponse> {
        known(&request.get_ref().campaign)?;
        let view_document = document::write(&view());
        Ok(Response::new(GetResponse { view_document, ..GetResponse::default() }))
    }

    async fn list(&self, _: Request<ListRequest>) -> Answer<ListResponse> {
        Ok(Response::new(ListResponse { view_documents: vec![document::write(&view())] }))
    }

    async fn pause(&self, request: Request<PauseRequest>) -> Answer<PauseResponse> {
        known(&request.get_ref().campaign)?;
        Ok(Response::new(PauseResponse {}))
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Answer<ResumeResponse> {
        let refused = Refusal::State {
            what: "campaign digits-0a1b2c".to_owned(),
            state: "stopped".to_owned(),
            wanted: "only a paused one goes on",
        };
        Err(refusal::to_status(&refused))
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

    async fn retry_lever(&self, request: Request<RetryLeverRequest>) -> Answer<RetryLeverResponse> {
        if request.get_ref().lever == 2 {
            let frozen = Refusal::Frozen { path: "evaluate.py".to_owned() };
            let problems = vec![frozen, Refusal::NoChange, Refusal::Duplicate { iteration: 2 }];
            return Err(refusal::to_status(&Refusal::several(problems)));
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

    async fn explain(&self, request: Request<ExplainRequest>) -> Answer<ExplainResponse> {
        known(&request.get_ref().name)?;
        let explanation: Explanation =
            serde_json::from_str(include_str!("../explanation.json")).expect("an explanation");
        Ok(Response::new(ExplainResponse { explanation_document: document::write(&explanation) }))
    }

    async fn propose_lever(&self, _: Request<ProposeLeverRequest>) -> Answer<ProposeLeverResponse> {
        Err(refusal::to_status(&Refusal::Frozen { path: "evaluate.py".to_owned() }))
    }

    async fn list_levers(&self, _: Request<ListLeversRequest>) -> Answer<ListLeversResponse> {
        let view_documents = levers().iter().map(document::write).collect();
        Ok(Response::new(ListLeversResponse { view_documents }))
    }

    async fn get_lever(&self, _: Request<GetLeverRequest>) -> Answer<GetLeverResponse> {
        let records = records();
        let queued = records.iter().find(|record| matches!(record.body, Body::LeverQueued { .. }));
        let record_document = document::write(queued.expect("a lever was queued"));
        Ok(Response::new(GetLeverResponse { view_document: document::write(&levers()[2]), record_document }))
    }

    async fn retire_lever(&self, _: Request<RetireLeverRequest>) -> Answer<RetireLeverResponse> {
        Ok(Response::new(RetireLeverResponse {}))
    }

    async fn get_iteration(&self, request: Request<GetIterationRequest>) -> Answer<GetIterationResponse> {
        let campaign = request.get_ref().campaign.clone();
        let opened = |record: &&Record| matches!(record.body, Body::IterationOpened { .. });
        let record_documents = records().iter().filter(opened).take(1).map(document::write).collect();
        Ok(Response::new(GetIterationResponse { campaign, record_documents }))
    }

    async fn list_iterations(&self, _: Request<ListIterationsRequest>) -> Answer<ListIterationsResponse> {
        Err(refusal::to_status(&Refusal::Unsupported { key: "list" }))
    }

    type WatchStream = tokio_stream::Iter<std::vec::IntoIter<Result<WatchResponse, Status>>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Answer<Self::WatchStream> {
        known(&request.get_ref().campaign)?;
        let told: Vec<_> = records()
            .iter()
            .filter(|record| record.campaign.is_some())
            .map(|record| {
                let event = Some(Event::RecordDocument(document::write(record)));
                Ok(WatchResponse { incarnation: 7, seq: record.seq, event })
            })
            .collect();
        Ok(Response::new(tokio_stream::iter(told)))
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
        let workers: Vec<WorkerView> =
            serde_json::from_str(include_str!("../workers.json")).expect("workers");
        let view_documents = workers.iter().map(document::write).collect();
        Ok(Response::new(ListWorkersResponse { view_documents }))
    }

    async fn drain(&self, _: Request<DrainRequest>) -> Answer<DrainResponse> {
        Ok(Response::new(DrainResponse {}))
    }

    async fn undrain(&self, request: Request<UndrainRequest>) -> Answer<UndrainResponse> {
        let name = request.get_ref().worker.clone();
        Err(refusal::to_status(&Refusal::NotFound { what: "worker", name }))
    }

    async fn release_device(&self, _: Request<ReleaseDeviceRequest>) -> Answer<ReleaseDeviceResponse> {
        Ok(Response::new(ReleaseDeviceResponse {}))
    }
}
