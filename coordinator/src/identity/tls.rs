//! TLS 1.3 on a listener: the handshake under a bound, the peer's certificate beside the connection, and an end
//! when that no longer counts. It knows no call.

use super::Error;
use super::authority::Authority;
use super::connections::{Connections, Entry, Peer, PeerCertificate};
use super::strangers::{Stranger, Strangers};
use crate::driver::Tasks;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// How long a handshake may take: three round trips on a bad line, and no more for a silent peer.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long the peer of a failed handshake is waited for to hang up.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// Connections at once, in handshake or open: ten for each of 400 machines. The next one waits in the kernel's
/// queue.
const CONNECTIONS_MAX: usize = 4_096;
/// Connections that wait for the server to take them.
const ACCEPTED_MAX: usize = 64;
/// The pause after a failed accept: out of descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The server's side of TLS: 1.3 alone, a certificate of `authority` or none.
pub(super) fn config(authority: &Arc<Authority>, life: Duration) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).map_err(Error::Tls)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(Error::Verifier)?;
    let resolver = Resolver { authority: Arc::clone(authority), life, present: Mutex::new(None) };
    // What cannot be made is said at the start, not at the first handshake.
    resolver.present(SystemTime::now())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(Error::Tls)?
        .with_client_cert_verifier(Arc::new(AnyTime(verifier)))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would bring along a certificate that nobody proved again.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The coordinator's own certificate, made anew at two thirds of its life.
struct Resolver {
    authority: Arc<Authority>,
    life: Duration,
    present: Mutex<Option<(Arc<CertifiedKey>, SystemTime)>>,
}

impl Resolver {
    fn present(&self, now: SystemTime) -> Result<Arc<CertifiedKey>, Error> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((key, made)) = &*present
            // A clock that was set back makes one anew too.
            && now.duration_since(*made).is_ok_and(|age| age < self.life * 2 / 3)
        {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(self.authority.serve(self.life)?);
        *present = Some((Arc::clone(&key), now));
        Ok(key)
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver(…)")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match self.present(SystemTime::now()) {
            Ok(key) => Some(key),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "no certificate to serve with");
                None
            }
        }
    }
}

/// The CA's word without the time's: a certificate that is over, or not yet, is let through the handshake and
/// refused at its first call, in a sentence instead of an alert.
#[derive(Debug)]
struct AnyTime(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AnyTime {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let encoding = || rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding);
        let read = PeerCertificate::read(end_entity).ok_or_else(encoding)?;
        let now_ms = i64::try_from(now.as_secs()).unwrap_or(i64::MAX / 1000).saturating_mul(1000);
        let within_ms = now_ms.min(read.until_ms).max(read.from_ms).max(0);
        let within = Duration::from_millis(u64::try_from(within_ms).unwrap_or(0));
        self.0.verify_client_cert(end_entity, intermediates, UnixTime::since_unix_epoch(within))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

impl PeerCertificate {
    /// What a certificate says of its number and its time.
    fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, read) = x509_parser::parse_x509_certificate(der).ok()?;
        let digits = read.raw_serial().iter().skip_while(|byte| **byte == 0);
        let validity = read.validity();
        Some(Self {
            serial: hex(digits),
            from_ms: validity.not_before.timestamp().saturating_mul(1000),
            until_ms: validity.not_after.timestamp().saturating_mul(1000),
        })
    }
}

/// Bytes as hex digits.
pub(super) fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// Takes connections until `shutdown`; each handshake goes on beside the others.
pub(crate) fn incoming(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    connections: Connections,
    tasks: &Tasks,
    shutdown: CancellationToken,
) -> ReceiverStream<io::Result<TlsConnection>> {
    let (sender, receiver) = mpsc::channel(ACCEPTED_MAX);
    let acceptor = TlsAcceptor::from(config);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (handshakes, strangers) = (tasks.clone(), Strangers::default());
    tasks.until_shutdown(async move {
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "failed to take a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(stranger) = strangers.enter(from.ip()) else {
                tracing::debug!(%from, "an address has too many connections without a certificate; this one is closed");
                continue;
            };
            let (acceptor, connections, sender) = (acceptor.clone(), connections.clone(), sender.clone());
            let shutdown = shutdown.clone();
            handshakes.start(async move {
                tokio::select! {
                    shaken = handshake(&acceptor, (stream, from), &connections, (permit, stranger)) => {
                        if let Some(connection) = shaken {
                            let _ = sender.send(Ok(connection)).await;
                        }
                    }
                    () = shutdown.cancelled() => {}
                }
            });
        }
    });
    ReceiverStream::new(receiver)
}

/// A peer that stays silent, speaks something else or brings a foreign certificate costs its connection alone.
async fn handshake(
    acceptor: &TlsAcceptor,
    (stream, from): (TcpStream, SocketAddr),
    connections: &Connections,
    (permit, stranger): (OwnedSemaphorePermit, Stranger),
) -> Option<TlsConnection> {
    let _ = stream.set_nodelay(true);
    let shaken = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream).into_fallible()).await;
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err((error, stream))) => {
            tracing::info!(%from, error = &error as &dyn std::error::Error, "a TLS handshake failed");
            let _ = tokio::time::timeout(LINGER_MAX, linger(stream)).await;
            return None;
        }
        Err(_) => {
            tracing::info!(%from, limit = ?HANDSHAKE_MAX, "a TLS handshake took too long");
            return None;
        }
    };
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = match leaf {
        None => None,
        Some(leaf) => Some(Arc::new(PeerCertificate::read(leaf)?)),
    };
    // Who has shown a certificate is counted no more; the others are until they go.
    let stranger = certificate.is_none().then_some(stranger);
    let entry = connections.enter(Peer { certificate, from: from.ip() });
    let cut = Box::pin(entry.cut.clone().cancelled_owned());
    Some(TlsConnection { stream, entry, cut, _permit: permit, _stranger: stranger })
}

/// Closes a connection so that its peer still reads why: what it has sent meanwhile is thrown away first, since
/// closing over it would reset the connection and take the alert along.
async fn linger(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut thrown = [0; 4096];
    while let Ok(1..) = stream.read(&mut thrown).await {}
}

/// One connection.
pub(crate) struct TlsConnection {
    stream: TlsStream<TcpStream>,
    entry: Entry,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _permit: OwnedSemaphorePermit,
    _stranger: Option<Stranger>,
}

impl Connected for TlsConnection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.entry.peer()
    }
}

impl AsyncRead for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for TlsConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.entry.cut.is_cancelled() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.entry.cut.is_cancelled() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
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
