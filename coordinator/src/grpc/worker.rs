//! WorkerService: the one call of a worker.

use super::convert::answered;
use crate::driver::{Event, Handle};
use tonic::{Request, Response, Status};
use windlass_proto::v1::worker_service_server::WorkerService;
use windlass_proto::{refusal::to_status, v1};
use windlass_shared::id::{SessionId, WorkerId};
use windlass_shared::session::Report;

/// The service over one coordinator.
#[derive(Clone, Debug)]
pub(super) struct Workers {
    handle: Handle,
}

impl Workers {
    /// Serves what `handle` reaches.
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }
}

/// Tells the loop when a hanging call is dropped: its connection broke, or its caller gave it up.
struct HangUp {
    handle: Handle,
    worker: WorkerId,
    session: SessionId,
    number: u64,
    is_answered: bool,
}

impl Drop for HangUp {
    fn drop(&mut self) {
        if !self.is_answered {
            let (worker, session) = (self.worker.clone(), self.session.clone());
            self.handle.tell(Event::HungUp { worker, session, number: self.number });
        }
    }
}

#[tonic::async_trait]
impl WorkerService for Workers {
    async fn sync(&self, request: Request<v1::SyncRequest>) -> Result<Response<v1::SyncResponse>, Status> {
        let report = Report::try_from(request.into_inner()).map_err(|refusal| to_status(&refusal))?;
        let mut hang_up = HangUp {
            handle: self.handle.clone(),
            worker: report.worker.id.clone(),
            session: report.session.clone(),
            number: report.number,
            is_answered: false,
        };
        let report = Box::new(report);
        let answer = self.handle.ask(|reply| Event::Report { report, reply }).await;
        hang_up.is_answered = true;
        let answer = answered(answer)?;
        let secrets = self.handle.stores.secrets.beside(&answer);
        Ok(Response::new(v1::SyncResponse { secrets, ..(&answer).into() }))
    }
}
