//! A connection to a coordinator without TLS, on this machine. What answers must begin as HTTP/2 does: anything else
//! is told in a sentence, and not as a broken frame.

use super::Error;
use super::tls::dial;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::Service;

/// How long the first frame may take.
const FIRST_FRAME_MAX: Duration = Duration::from_secs(10);
/// The bytes of a frame up to its type: three of length come before.
const UP_TO_TYPE: usize = 4;
/// The type of `SETTINGS`, with which every HTTP/2 server begins.
const SETTINGS: u8 = 4;
/// The type of a record with which a TLS server answers what it does not understand: an alert.
const TLS_ALERT: u8 = 0x15;

/// A channel that connects when it is used, and again when it broke; `tune` sets what its owner wants of HTTP/2.
pub fn plain_channel(address: &str, tune: impl FnOnce(Endpoint) -> Endpoint) -> Channel {
    let connector = connector(address.to_owned());
    tune(Endpoint::from_static(NAME)).connect_with_connector_lazy(connector)
}

/// The same, connected at once.
///
/// # Errors
/// When nobody answers; what does is looked at with the first call.
pub async fn connect_plain(
    address: &str,
    tune: impl FnOnce(Endpoint) -> Endpoint,
) -> Result<Channel, tonic::transport::Error> {
    let connector = connector(address.to_owned());
    tune(Endpoint::from_static(NAME)).connect_with_connector(connector).await
}

/// Never looked up: the connector knows the way.
const NAME: &str = "http://coordinator.windlass.internal";

fn connector(
    address: String,
) -> impl Service<Uri, Response = TokioIo<Checked>, Error = Error, Future: Send> + Send + 'static {
    tower::service_fn(move |_: Uri| {
        let address = address.clone();
        async move { connect(address).await.map(TokioIo::new) }
    })
}

async fn connect(address: String) -> Result<Checked, Error> {
    let stream = dial(&address).await?;
    let _ = stream.set_nodelay(true);
    let deadline = Box::pin(tokio::time::sleep(FIRST_FRAME_MAX));
    Ok(Checked { stream, beginning: Some(Beginning { address, seen: Vec::new(), deadline }) })
}

/// A stream whose first bytes are looked at.
struct Checked {
    stream: TcpStream,
    /// None once they were as they should be.
    beginning: Option<Beginning>,
}

struct Beginning {
    address: String,
    seen: Vec<u8>,
    deadline: Pin<Box<Sleep>>,
}

impl Beginning {
    fn refuse(&self, problem: &str) -> io::Error {
        let problem = problem.to_owned();
        io::Error::other(Error::NotGrpc { address: self.address.clone(), problem })
    }

    /// Whether enough was seen, and is right.
    fn look_at(&mut self, read: &[u8]) -> io::Result<bool> {
        self.seen.extend(read.iter().take(UP_TO_TYPE - self.seen.len()));
        match (self.seen.first(), self.seen.get(UP_TO_TYPE - 1)) {
            (Some(&TLS_ALERT), _) => Err(self.refuse("it speaks TLS: write https://")),
            (_, Some(&SETTINGS)) => Ok(true),
            (_, Some(_)) => Err(self.refuse("it speaks no HTTP/2")),
            (_, None) => Ok(false),
        }
    }
}

impl AsyncRead for Checked {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, beginning } = self.get_mut();
        let Some(first) = beginning else { return Pin::new(stream).poll_read(context, into) };
        let before = into.filled().len();
        match Pin::new(stream).poll_read(context, into) {
            Poll::Pending => match first.deadline.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Err(first.refuse("it stays silent"))),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Ok(())) if into.filled().len() > before => {
                match first.look_at(&into.filled()[before..]) {
                    Ok(is_right) => {
                        if is_right {
                            *beginning = None;
                        }
                        Poll::Ready(Ok(()))
                    }
                    Err(error) => Poll::Ready(Err(error)),
                }
            }
            Poll::Ready(_) => {
                let problem = "it hangs up without a word, as one that is just ending would";
                Poll::Ready(Err(first.refuse(problem)))
            }
        }
    }
}

impl AsyncWrite for Checked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
