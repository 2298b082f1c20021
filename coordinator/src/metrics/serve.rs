//! The page of figures over HTTP/1.1, on an address of its own. It answers `GET /metrics` and nothing else.

use super::Beside;
use crate::driver::{Event, Handle, Query, Tasks};
use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The text format of OpenMetrics, as Prometheus asks for it.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Connections at a time: a scraper has one, and a person with `curl` another. More are let go at once.
const CONNECTIONS_MAX: usize = 16;
/// How long a request may take to come; a connection that says nothing goes.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// How long a connection lives at most: a scraper opens another.
const CONNECTION_MAX: Duration = Duration::from_secs(300);
/// Where the address is written down: who asked for a free port finds it here.
const FILE: &str = "metrics.addr";

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is beyond this machine, and the figures are served without TLS.
    #[error("{address} is not a loopback address, and figures are served in clear")]
    BeyondThisMachine {
        /// Which.
        address: SocketAddr,
    },
    /// The system refuses it.
    #[error("failed to listen on {address} for metrics")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The address could not be written down.
    #[error("failed to write {path}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Where figures are asked for.
pub(crate) struct Page {
    listener: TcpListener,
    /// The file with the address, to be removed at the end.
    pub file: PathBuf,
}

impl Page {
    /// Listens; on loopback alone, unless it was accepted that anyone can read.
    pub async fn bind(data_dir: &Path, address: SocketAddr, is_accepted: bool) -> Result<Self, Error> {
        if !address.ip().is_loopback() && !is_accepted {
            return Err(Error::BeyondThisMachine { address });
        }
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let file = data_dir.join(FILE);
        std::fs::write(&file, format!("{bound}\n"))
            .map_err(|source| Error::Write { path: file.clone(), source })?;
        tracing::info!(address = %bound, "metrics at http://{bound}/metrics");
        if !bound.ip().is_loopback() {
            tracing::warn!(address = %bound, "NO TLS on {bound}: anyone on the way can read these figures");
        }
        Ok(Self { listener, file })
    }

    /// Answers until the coordinator ends.
    pub async fn serve(self, handle: Handle, tasks: Tasks) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a connection for metrics failed"
                    );
                    // Out of descriptors, mostly: there may be some again.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let handle = handle.clone();
            tasks.until_shutdown(async move {
                let _ = tokio::time::timeout(CONNECTION_MAX, answer(stream, handle)).await;
                drop(place);
            });
        }
    }
}

async fn answer(stream: TcpStream, handle: Handle) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let handle = handle.clone();
        async move { Ok::<_, Infallible>(respond(&request, &handle).await) }
    });
    // Whoever breaks off has its reasons, and nothing is owed to it.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(request: &http::Request<Incoming>, handle: &Handle) -> Response<Full<Bytes>> {
    let plain = |status, text: &'static str| {
        with(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "figures are at /metrics\n");
    }
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "figures are read by GET\n");
    }
    match handle.ask(|reply| Event::Query(Query::Figures { reply })).await {
        Ok(Ok(figures)) => {
            let records = handle.durable.borrow().seq;
            let beside = Beside { records, is_read_only: handle.frozen.borrow().is_some() };
            let space = handle.space.borrow().clone();
            let page = handle.stores.metrics.page(&figures, &space, beside);
            with(StatusCode::OK, CONTENT_TYPE, Bytes::from(page))
        }
        _ => plain(StatusCode::SERVICE_UNAVAILABLE, "the coordinator is ending\n"),
    }
}

fn with(status: StatusCode, form: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(form));
    response
}
