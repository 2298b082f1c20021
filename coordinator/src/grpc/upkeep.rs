//! UpkeepService: garbage, and how the coordinator is.

use super::convert::upkeep_failure;
use super::dry;
use crate::driver::Intent;
use crate::upkeep::{Request as Collect, Upkeep};
use std::time::Duration;
use tonic::{Request, Response, Status};
use windlass_proto::v1::upkeep_service_server::UpkeepService;
use windlass_proto::{document, v1};

/// The service over one coordinator.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    upkeep: Upkeep,
}

impl Keeper {
    /// Serves this.
    pub fn new(upkeep: Upkeep) -> Self {
        Self { upkeep }
    }
}

#[tonic::async_trait]
impl UpkeepService for Keeper {
    async fn collect_garbage(
        &self,
        request: Request<v1::CollectGarbageRequest>,
    ) -> Result<Response<v1::CollectGarbageResponse>, Status> {
        let message = request.into_inner();
        let mut retention = self.upkeep.retention;
        retention.outputs = message.outputs_older_than_ms.map(Duration::from_millis).or(retention.outputs);
        retention.logs = message.logs_older_than_ms.map(Duration::from_millis).or(retention.logs);
        let asked = Collect { is_dry: message.dry_run || dry::intent() == Intent::Ask, retention };
        let collected = self.upkeep.collect(asked).await.map_err(upkeep_failure)?;
        Ok(Response::new(v1::CollectGarbageResponse { collected_document: document::write(&collected) }))
    }

    async fn get_health(
        &self,
        _: Request<v1::GetHealthRequest>,
    ) -> Result<Response<v1::GetHealthResponse>, Status> {
        let health_document = document::write(&self.upkeep.health());
        Ok(Response::new(v1::GetHealthResponse { health_document }))
    }
}
