//! FleetService: the fleet, for people.

use super::access::permitted;
use super::convert::{answered, name, request_key};
use super::dry;
use crate::driver::{Asked, Call, Event, Handle, Query};
use tonic::{Request, Response, Status};
use windlass_engine::core::RequestKey;
use windlass_proto::v1::fleet_service_server::FleetService;
use windlass_proto::{document, refusal::to_status, v1};
use windlass_shared::access::Access;

/// The service over one coordinator.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    handle: Handle,
}

impl Fleet {
    /// Serves what `handle` reaches.
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }

    async fn change(&self, access: Access, request: RequestKey, asked: Asked) -> Result<(), Status> {
        let intent = dry::intent();
        let event = |reply| Event::Call(Call { access, request, asked, reply, gathered_times: 0, intent });
        answered(self.handle.ask(event).await).map(|_| ())
    }
}

#[tonic::async_trait]
impl FleetService for Fleet {
    async fn about(&self, _: Request<v1::AboutRequest>) -> Result<Response<v1::AboutResponse>, Status> {
        let about = answered(self.handle.ask(|reply| Event::Query(Query::About { reply })).await)?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Response::new(v1::AboutResponse {
            version,
            incarnation: about.incarnation.0,
            wall_ms: about.wall_ms,
        }))
    }

    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let access = permitted(&request)?;
        let views = answered(self.handle.ask(|reply| Event::Query(Query::Workers { access, reply })).await)?;
        let view_documents = views.iter().map(document::write).collect();
        Ok(Response::new(v1::ListWorkersResponse { view_documents }))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "FleetService/Drain", id, &message);
        let worker = name("worker", message.worker)?;
        self.change(access, key, Asked::Drain { worker }).await?;
        Ok(Response::new(v1::DrainResponse {}))
    }

    async fn undrain(
        &self,
        request: Request<v1::UndrainRequest>,
    ) -> Result<Response<v1::UndrainResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "FleetService/Undrain", id, &message);
        let worker = name("worker", message.worker)?;
        self.change(access, key, Asked::Undrain { worker }).await?;
        Ok(Response::new(v1::UndrainResponse {}))
    }

    async fn release_device(
        &self,
        request: Request<v1::ReleaseDeviceRequest>,
    ) -> Result<Response<v1::ReleaseDeviceResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "FleetService/ReleaseDevice", id, &message);
        let (worker, device) = (name("worker", message.worker)?, name("device", message.device)?);
        self.change(access, key, Asked::ReleaseDevice { worker, device }).await?;
        Ok(Response::new(v1::ReleaseDeviceResponse {}))
    }

    async fn get_usage(
        &self,
        request: Request<v1::GetUsageRequest>,
    ) -> Result<Response<v1::GetUsageResponse>, Status> {
        let access = permitted(&request)?;
        let view = answered(self.handle.ask(|reply| Event::Query(Query::Usage { access, reply })).await)?;
        Ok(Response::new(v1::GetUsageResponse { usage_document: document::write(&view) }))
    }

    async fn set_quota(
        &self,
        request: Request<v1::SetQuotaRequest>,
    ) -> Result<Response<v1::SetQuotaResponse>, Status> {
        let access = permitted(&request)?;
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key(&access, "FleetService/SetQuota", id, &message);
        let owner = name("owner", message.owner)?;
        let quota = match message.quota_document.is_empty() {
            true => None,
            false => Some(
                document::read("quota_document", &message.quota_document)
                    .map_err(|refusal| to_status(&refusal))?,
            ),
        };
        self.change(access, key, Asked::SetQuota { owner, quota }).await?;
        Ok(Response::new(v1::SetQuotaResponse {}))
    }

    async fn list_quotas(
        &self,
        request: Request<v1::ListQuotasRequest>,
    ) -> Result<Response<v1::ListQuotasResponse>, Status> {
        let access = permitted(&request)?;
        let views = answered(self.handle.ask(|reply| Event::Query(Query::Quotas { access, reply })).await)?;
        let view_documents = views.iter().map(document::write).collect();
        Ok(Response::new(v1::ListQuotasResponse { view_documents }))
    }
}
