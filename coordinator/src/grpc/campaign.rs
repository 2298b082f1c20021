//! CampaignService: campaigns, their levers, their iterations.

use super::access::permitted;
use super::convert::{answered, digest, known, ledger_failure, name, request_key, shared};
use super::reach::Reach;
use super::room::{Room, Rooms};
use super::{claims, delivered, dry, findings, iterations, levers, secrets, watch};
use crate::driver::{Asked, Call, Event, Handle, Intent, Query, blocking};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use windlass_engine::core::RequestKey;
use windlass_engine::explain::Subject;
use windlass_proto::v1::campaign_service_server::CampaignService;
use windlass_proto::{document, refusal::to_status, v1};
use windlass_shared::access::Access;
use windlass_shared::bindings::Bindings;
use windlass_shared::conclusion::Conclusion;
use windlass_shared::foreign::Foreign;
use windlass_shared::id::{CampaignId, IterationNumber, LeverNumber};
use windlass_shared::lever::{Change, Lever};
use windlass_shared::plan::Deliverable;
use windlass_shared::record::Answer;
use windlass_shared::refusal::Refusal;

/// The service over one coordinator.
#[derive(Clone, Debug)]
pub(super) struct Campaigns {
    handle: Handle,
    reach: Reach,
    rooms: Rooms,
}

impl Campaigns {
    /// Serves what `handle` reaches.
    pub fn new(handle: Handle, reach: Reach, each: Room) -> Self {
        Self { handle, reach, rooms: Rooms::new(each) }
    }

    async fn change(&self, access: Access, request: RequestKey, asked: Asked) -> Result<Answer, Status> {
        self.reach.refuse_named(&self.handle, &access, &asked).await?;
        if let Some(campaign) = asked.campaign().filter(|_| Rooms::is_asked_by(&asked)) {
            let (id, _) = self.resolve(&access, campaign.to_owned()).await?;
            self.rooms.refuse(&self.handle, &self.reach, &id).map_err(|refusal| to_status(&refusal))?;
        }
        let intent = dry::intent();
        let event = |reply| Event::Call(Call { access, request, asked, reply, gathered_times: 0, intent });
        answered(self.handle.ask(event).await)
    }

    async fn resolve(&self, access: &Access, campaign: String) -> Result<(CampaignId, String), Status> {
        let name = known("campaign", campaign)?;
        let access = access.clone();
        answered(self.handle.ask(|reply| Event::Query(Query::Resolve { access, name, reply })).await)
    }
}

/// An answer of a shape that its call does not have: a fault of ours.
fn unexpected(answer: &Answer) -> Status {
    tracing::error!(?answer, "a call was given another call's answer");
    Status::internal("the coordinator answered something else")
}

#[tonic::async_trait]
impl CampaignService for Campaigns {
    type WatchStream = ReceiverStream<Result<v1::WatchResponse, Status>>;

    async fn create(
        &self,
        request: Request<v1::CreateRequest>,
    ) -> Result<Response<v1::CreateResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/Create", id, &message);
        let bindings: Bindings = document::read("bindings_document", &message.bindings_document)
            .map_err(|refusal| to_status(&refusal))?;
        let asked = Asked::Create {
            name: name("name", message.name)?,
            bindings: Box::new(bindings),
            tree: digest("tree", &message.tree)?,
            git: match message.git_document.is_empty() {
                true => None,
                false => {
                    let read = document::read("git_document", &message.git_document);
                    Some(Box::new(read.map_err(|refusal| to_status(&refusal))?))
                }
            },
        };
        match self.change(access, key, asked).await? {
            Answer::Campaign { id, levers_taken } => {
                Ok(Response::new(v1::CreateResponse { campaign: id.0, levers_taken }))
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn import_ledger(
        &self,
        request: Request<v1::ImportLedgerRequest>,
    ) -> Result<Response<v1::ImportLedgerResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/ImportLedger", id, &message);
        let ledger: Foreign = document::read("ledger_document", &message.ledger_document)
            .map_err(|refusal| to_status(&refusal))?;
        name("name", ledger.name.clone())?;
        match self.change(access, key, Asked::Import { ledger: Box::new(ledger) }).await? {
            Answer::Campaign { id, .. } => Ok(Response::new(v1::ImportLedgerResponse { campaign: id.0 })),
            other => Err(unexpected(&other)),
        }
    }

    async fn give_secrets(
        &self,
        request: Request<v1::GiveSecretsRequest>,
    ) -> Result<Response<v1::GiveSecretsResponse>, Status> {
        let access = permitted(&request)?;
        let message = request.into_inner();
        self.handle.writes().map_err(|refusal| to_status(&refusal))?;
        let (campaign, _) = self.resolve(&access, message.campaign).await?;
        if dry::intent() == Intent::Do {
            secrets::give(&self.handle, campaign, message.secrets.into_iter().collect()).await?;
        }
        Ok(Response::new(v1::GiveSecretsResponse {}))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        let access = permitted(&request)?;
        let message = request.into_inner();
        let name = known("campaign", message.campaign)?;
        let dimensions = answered(self.handle.dimensions(&access, &name, message.dimensions).await)?;
        let claim_documents = claims::asked(&self.handle, &access, &name, message.dimensions).await?;
        let found = self.handle.ask(|reply| Event::Query(Query::Campaign { access, name, reply })).await;
        let (view, bindings) = answered(found)?;
        Ok(Response::new(v1::GetResponse {
            view_document: document::write(&view),
            bindings_document: document::write(&bindings),
            dimensions,
            claim_documents,
        }))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let access = permitted(&request)?;
        let views =
            answered(self.handle.ask(|reply| Event::Query(Query::Campaigns { access, reply })).await)?;
        let view_documents = views.iter().map(document::write).collect();
        Ok(Response::new(v1::ListResponse { view_documents }))
    }

    async fn pause(&self, request: Request<v1::PauseRequest>) -> Result<Response<v1::PauseResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/Pause", id, &message);
        let campaign = known("campaign", message.campaign)?;
        self.change(access, key, Asked::Pause { campaign }).await?;
        Ok(Response::new(v1::PauseResponse {}))
    }

    async fn resume(
        &self,
        request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/Resume", id, &message);
        let campaign = known("campaign", message.campaign)?;
        self.change(access, key, Asked::Resume { campaign }).await?;
        Ok(Response::new(v1::ResumeResponse {}))
    }

    async fn stop(&self, request: Request<v1::StopRequest>) -> Result<Response<v1::StopResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/Stop", id, &message);
        let campaign = known("campaign", message.campaign)?;
        self.change(access, key, Asked::Stop { campaign }).await?;
        Ok(Response::new(v1::StopResponse {}))
    }

    async fn update(
        &self,
        request: Request<v1::UpdateRequest>,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/Update", id, &message);
        let campaign = known("campaign", message.campaign)?;
        let new_name = message.name.map(|new| name("name", new)).transpose()?;
        let (priority, weight) = (message.priority, message.weight);
        let asked = Asked::Update { campaign, priority, weight, name: new_name };
        match self.change(access, key, asked).await? {
            Answer::Campaign { id, .. } => Ok(Response::new(v1::UpdateResponse { campaign: id.0 })),
            other => Err(unexpected(&other)),
        }
    }

    async fn share(&self, request: Request<v1::ShareRequest>) -> Result<Response<v1::ShareResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/Share", id, &message);
        let campaign = known("campaign", message.campaign)?;
        let share = shared(&message.with, &message.r#as)?;
        self.change(access, key, Asked::Share { campaign, with: message.with, share }).await?;
        Ok(Response::new(v1::ShareResponse {}))
    }

    async fn propose_lever(
        &self,
        request: Request<v1::ProposeLeverRequest>,
    ) -> Result<Response<v1::ProposeLeverResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/ProposeLever", id, &message);
        let lever: Lever = document::read("lever_document", &message.lever_document)
            .map_err(|refusal| to_status(&refusal))?;
        let campaign = known("campaign", message.campaign)?;
        let researcher = Some(message.researcher).filter(|name| !name.is_empty());
        match self
            .change(access, key, Asked::Propose { campaign, lever: Box::new(lever), researcher })
            .await?
        {
            Answer::Lever { number, warnings } => {
                Ok(Response::new(v1::ProposeLeverResponse { lever: number.0, warnings }))
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn claim(&self, request: Request<v1::ClaimRequest>) -> Result<Response<v1::ClaimResponse>, Status> {
        let access = permitted(&request)?;
        let message = request.into_inner();
        Ok(Response::new(claims::claim(&self.handle, access, message).await?))
    }

    async fn list_levers(
        &self,
        request: Request<v1::ListLeversRequest>,
    ) -> Result<Response<v1::ListLeversResponse>, Status> {
        let access = permitted(&request)?;
        levers::page(&self.handle, access, request.into_inner()).await.map(Response::new)
    }

    async fn get_lever(
        &self,
        request: Request<v1::GetLeverRequest>,
    ) -> Result<Response<v1::GetLeverResponse>, Status> {
        let access = permitted(&request)?;
        let message = request.into_inner();
        let name = known("campaign", message.campaign)?;
        let lever = LeverNumber(message.lever);
        let found = self.handle.ask(|reply| Event::Query(Query::Lever { access, name, lever, reply })).await;
        let (campaign, listed) = answered(found)?;
        let readers = self.handle.stores.readers.clone();
        let asked = campaign.clone();
        let found = blocking(move || levers::whole(&readers, &asked, listed))
            .await
            .map_err(|error| ledger_failure(&error))?;
        let missing = || Refusal::NotFound { what: "lever", name: format!("{lever} of {campaign}") };
        let (view, record) = found.ok_or_else(|| to_status(&missing()))?;
        Ok(Response::new(v1::GetLeverResponse {
            view_document: document::write(&view),
            record_document: document::write(&record),
        }))
    }

    async fn retire_lever(
        &self,
        request: Request<v1::RetireLeverRequest>,
    ) -> Result<Response<v1::RetireLeverResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/RetireLever", id, &message);
        let campaign = known("campaign", message.campaign)?;
        self.change(access, key, Asked::Retire { campaign, lever: LeverNumber(message.lever) }).await?;
        Ok(Response::new(v1::RetireLeverResponse {}))
    }

    async fn move_lever(
        &self,
        request: Request<v1::MoveLeverRequest>,
    ) -> Result<Response<v1::MoveLeverResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/MoveLever", id, &message);
        let place = levers::place(message.place)?;
        let campaign = known("campaign", message.campaign)?;
        self.change(access, key, Asked::Move { campaign, lever: LeverNumber(message.lever), place }).await?;
        Ok(Response::new(v1::MoveLeverResponse {}))
    }

    async fn retry_lever(
        &self,
        request: Request<v1::RetryLeverRequest>,
    ) -> Result<Response<v1::RetryLeverResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/RetryLever", id, &message);
        let campaign = known("campaign", message.campaign)?;
        self.change(access, key, Asked::Retry { campaign, lever: LeverNumber(message.lever) }).await?;
        Ok(Response::new(v1::RetryLeverResponse {}))
    }

    async fn cancel_iteration(
        &self,
        request: Request<v1::CancelIterationRequest>,
    ) -> Result<Response<v1::CancelIterationResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/CancelIteration", id, &message);
        let campaign = known("campaign", message.campaign)?;
        let iteration = IterationNumber(message.iteration);
        self.change(access, key, Asked::Cancel { campaign, iteration }).await?;
        Ok(Response::new(v1::CancelIterationResponse {}))
    }

    async fn submit_fix(
        &self,
        request: Request<v1::SubmitFixRequest>,
    ) -> Result<Response<v1::SubmitFixResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/SubmitFix", id, &message);
        let change: Change = document::read("change_document", &message.change_document)
            .map_err(|refusal| to_status(&refusal))?;
        let campaign = known("campaign", message.campaign)?;
        let iteration = IterationNumber(message.iteration);
        self.change(access, key, Asked::Fix { campaign, iteration, change }).await?;
        Ok(Response::new(v1::SubmitFixResponse {}))
    }

    async fn add_deliverable(
        &self,
        request: Request<v1::AddDeliverableRequest>,
    ) -> Result<Response<v1::AddDeliverableResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/AddDeliverable", id, &message);
        let deliverable: Deliverable = document::read("deliverable_document", &message.deliverable_document)
            .map_err(|refusal| to_status(&refusal))?;
        let campaign = known("campaign", message.campaign)?;
        let iteration = IterationNumber(message.iteration);
        let asked = Asked::AddDeliverable { campaign, iteration, deliverable: Box::new(deliverable) };
        self.change(access, key, asked).await?;
        Ok(Response::new(v1::AddDeliverableResponse {}))
    }

    async fn write_conclusion(
        &self,
        request: Request<v1::WriteConclusionRequest>,
    ) -> Result<Response<v1::WriteConclusionResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/WriteConclusion", id, &message);
        let conclusion: Conclusion = document::read("conclusion_document", &message.conclusion_document)
            .map_err(|refusal| to_status(&refusal))?;
        let (campaign, _) = self.resolve(&access, message.campaign).await?;
        let iteration = IterationNumber(message.iteration);
        let delivered = delivered::outputs(&self.handle, campaign.clone(), iteration).await?;
        let campaign = campaign.0;
        let conclusion = Box::new(conclusion);
        self.change(access, key, Asked::Conclude { campaign, iteration, conclusion, delivered }).await?;
        Ok(Response::new(v1::WriteConclusionResponse {}))
    }

    async fn add_findings(
        &self,
        request: Request<v1::AddFindingsRequest>,
    ) -> Result<Response<v1::AddFindingsResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "CampaignService/AddFindings", id, &message);
        let (review, scopes) = findings::read(&message).map_err(|refusal| to_status(&refusal))?;
        let (campaign, _) = self.resolve(&access, message.campaign).await?;
        let asked = Asked::AddFindings { campaign: campaign.0.clone(), review, scopes };
        let Answer::Findings { count, .. } = self.change(access, key.clone(), asked).await? else {
            return Err(Status::internal("the coordinator answered something else"));
        };
        findings::added(&self.handle, campaign, key, count).await.map(Response::new)
    }

    async fn list_findings(
        &self,
        request: Request<v1::ListFindingsRequest>,
    ) -> Result<Response<v1::ListFindingsResponse>, Status> {
        let access = permitted(&request)?;
        let message = request.into_inner();
        let (campaign, _) = self.resolve(&access, message.campaign).await?;
        findings::page(&self.handle, campaign, &message.page_token).await.map(Response::new)
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        use v1::explain_request::Part;
        let access = permitted(&request)?;
        let message = request.into_inner();
        let name = known("campaign or worker", message.name)?;
        let subject = match message.part {
            None => Subject::Campaign,
            Some(Part::Lever(lever)) => Subject::Lever(LeverNumber(lever)),
            Some(Part::Iteration(iteration)) => {
                let (campaign, _) = self.resolve(&access, name.clone()).await?;
                let iteration = IterationNumber(iteration);
                Subject::Iteration(iteration, iterations::records(&self.handle, campaign, iteration).await?)
            }
        };
        let found =
            self.handle.ask(|reply| Event::Query(Query::Explain { access, name, subject, reply })).await;
        let explanation_document = document::write(&answered(found)?);
        Ok(Response::new(v1::ExplainResponse { explanation_document }))
    }

    async fn get_iteration(
        &self,
        request: Request<v1::GetIterationRequest>,
    ) -> Result<Response<v1::GetIterationResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let (campaign, _) = self.resolve(&access, std::mem::take(&mut message.campaign)).await?;
        iterations::page_of_one(&self.handle, campaign, &message).await.map(Response::new)
    }

    async fn list_iterations(
        &self,
        request: Request<v1::ListIterationsRequest>,
    ) -> Result<Response<v1::ListIterationsResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let named = self.resolve(&access, std::mem::take(&mut message.campaign)).await?;
        iterations::page(&self.handle, named, &message).await.map(Response::new)
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let access = permitted(&request)?;
        let message = request.into_inner();
        let campaign = match message.campaign.is_empty() {
            true => None,
            false => Some(self.resolve(&access, message.campaign).await?.0),
        };
        let cursor = watch::Cursor {
            access,
            campaign,
            after_seq: message.after_seq,
            incarnation: message.incarnation,
        };
        watch::start(&self.handle, cursor, message.follow).await.map(Response::new)
    }
}
