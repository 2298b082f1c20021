//! FleetService: the fleet, for people.

use super::convert::{answered, name, request_key};
use super::dry;
use crate::driver::{Asked, Call, Event, Handle, Query};
use tonic::{Request, Response, Status};
use windlass_engine::core::RequestKey;
use windlass_proto::v1::fleet_service_server::FleetService;
use windlass_proto::{document, v1};

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

    async fn change(&self, request: RequestKey, asked: Asked) -> Result<(), Status> {
        let intent = dry::intent();
        let event = |reply| Event::Call(Call { request, asked, reply, gathered_times: 0, intent });
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
        _: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let views = answered(self.handle.ask(|reply| Event::Query(Query::Workers { reply })).await)?;
        let view_documents = views.iter().map(document::write).collect();
        Ok(Response::new(v1::ListWorkersResponse { view_documents }))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key("FleetService/Drain", id, &message);
        let worker = name("worker", message.worker)?;
        self.change(key, Asked::Drain { worker }).await?;
        Ok(Response::new(v1::DrainResponse {}))
    }

    async fn undrain(
        &self,
        request: Request<v1::UndrainRequest>,
    ) -> Result<Response<v1::UndrainResponse>, Status> {
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key("FleetService/Undrain", id, &message);
        let worker = name("worker", message.worker)?;
        self.change(key, Asked::Undrain { worker }).await?;
        Ok(Response::new(v1::UndrainResponse {}))
    }

    async fn release_device(
        &self,
        request: Request<v1::ReleaseDeviceRequest>,
    ) -> Result<Response<v1::ReleaseDeviceResponse>, Status> {
        let mut message = request.into_inner();
        let id = std::mem::take(&mut message.request_id);
        let key = request_key("FleetService/ReleaseDevice", id, &message);
        let (worker, device) = (name("worker", message.worker)?, name("device", message.device)?);
        self.change(key, Asked::ReleaseDevice { worker, device }).await?;
        Ok(Response::new(v1::ReleaseDeviceResponse {}))
    }
}
