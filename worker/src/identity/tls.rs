//! A connection to a coordinator by TLS 1.3: it is known by its CA, whatever its address, and this machine by its
//! certificate.

use super::{Error, Identity};
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};
use windlass_shared::digest::Hash;
use windlass_shared::join::{COORDINATOR, JoinToken};

/// How long one address is tried; a name may have several.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// How a coordinator is known.
pub(super) enum Trust<'a> {
    /// By the hash of its CA, that a token carries.
    Fingerprint(Hash),
    /// By its CA, with a certificate to show.
    Identity(&'a Identity),
}

/// A channel that connects when it is used, and again when it broke; `tune` sets what its owner wants of HTTP/2.
///
/// # Errors
/// When the identity cannot be used for TLS.
pub fn channel(identity: &Identity, tune: impl FnOnce(Endpoint) -> Endpoint) -> Result<Channel, Error> {
    Ok(open(&identity.address, config(&Trust::Identity(identity))?, tune))
}

/// The same without a certificate, for one who is about to join: the coordinator is known by what a token carries.
///
/// # Errors
/// When TLS cannot be set up.
pub fn unknown_channel(token: &JoinToken, tune: impl FnOnce(Endpoint) -> Endpoint) -> Result<Channel, Error> {
    Ok(open(&token.address, config(&Trust::Fingerprint(token.fingerprint))?, tune))
}

pub(super) fn open(
    address: &str,
    config: Arc<ClientConfig>,
    tune: impl FnOnce(Endpoint) -> Endpoint,
) -> Channel {
    let address = address.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let (address, config) = (address.clone(), Arc::clone(&config));
        async move { connect(&address, config).await.map(TokioIo::new) }
    });
    // The name is never looked up: the connector above knows the way. The scheme is what hyper asks by, TLS or not.
    let endpoint = tune(Endpoint::from_static("http://coordinator.windlass.internal"));
    endpoint.connect_with_connector_lazy(connector)
}

/// TLS for one coordinator.
pub(super) fn config(trust: &Trust<'_>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = match trust {
        Trust::Fingerprint(fingerprint) => {
            let verifier = ByFingerprint { fingerprint: *fingerprint, provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        Trust::Identity(identity) => {
            let (authority, certificate, key) =
                identity.parts().ok_or(Error::Answer("what was kept is unreadable"))?;
            let mut roots = RootCertStore::empty();
            roots.add(authority)?;
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_webpki_verifier(verifier).with_client_auth_cert(vec![certificate], key)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

async fn connect(address: &str, config: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, Error> {
    let stream = dial(address).await?;
    let _ = stream.set_nodelay(true);
    let name = ServerName::try_from(COORDINATOR).map_err(|_| Error::Address(COORDINATOR.to_owned()))?;
    let shaken = tokio::time::timeout(HANDSHAKE_MAX, TlsConnector::from(config).connect(name, stream)).await;
    let not_tls = |problem: &str| Error::NotTls { address: address.to_owned(), problem: problem.to_owned() };
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(told(address, &error)),
        Err(_) => return Err(not_tls("it stays silent")),
    };
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Ok(stream),
        _ => Err(not_tls("it speaks no HTTP/2")),
    }
}

/// Every address of a name, in the order that the system gives them; IPv6 and IPv4 alike.
pub(super) async fn dial(address: &str) -> Result<TcpStream, Error> {
    let (host, port) = address.rsplit_once(':').ok_or_else(|| Error::Address(address.to_owned()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port: u16 = port.parse().map_err(|_| Error::Address(address.to_owned()))?;
    let unresolved = |source| Error::Resolve { host: host.to_owned(), source };
    let found: Vec<_> =
        tokio::net::lookup_host((host, port)).await.map_err(unresolved)?.take(ADDRESSES_MAX).collect();
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for one in &found {
        match tokio::time::timeout(CONNECT_MAX, TcpStream::connect(one)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    if found.is_empty() {
        return Err(unresolved(failed));
    }
    let tried: Vec<String> = found.iter().map(|one| one.ip().to_string()).collect();
    let tried = format!("{}: {}", tried.join(", "), failed.kind());
    Err(Error::Unreachable { address: address.to_owned(), tried, source: failed })
}

/// What a failed handshake means for its owner.
fn told(address: &str, error: &io::Error) -> Error {
    let inside = error.get_ref().and_then(|inside| inside.downcast_ref::<rustls::Error>());
    let address = address.to_owned();
    match inside {
        Some(rustls::Error::InvalidCertificate(
            problem @ (CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }),
        )) => Error::Clock { address, problem: problem.to_string() },
        Some(rustls::Error::InvalidCertificate(_)) => Error::Foreign { address },
        Some(other) => Error::NotTls { address, problem: other.to_string() },
        None => Error::NotTls { address, problem: error.to_string() },
    }
}

/// Whether a call failed because the other side does not take this machine's certificate at all: another CA's.
pub fn refused_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(one) = next {
        let inside = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let alert = inside.and_then(|inside| inside.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = alert {
            return matches!(
                alert,
                AlertDescription::UnknownCA
                    | AlertDescription::BadCertificate
                    | AlertDescription::CertificateUnknown
                    | AlertDescription::UnsupportedCertificate
                    | AlertDescription::DecryptError
                    | AlertDescription::AccessDenied
            );
        }
        // Some layers keep the words alone.
        if one.to_string().contains("received fatal alert") {
            return true;
        }
        next = one.source();
    }
    false
}

/// Takes the one CA whose hash a token carries, among the certificates that are shown; then everything is as with
/// a CA that is known.
#[derive(Debug)]
struct ByFingerprint {
    fingerprint: Hash,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for ByFingerprint {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority =
            intermediates.iter().find(|one| Hash::of(one) == self.fingerprint).ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let known =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider)).build();
        known.map_err(|_| unknown())?.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
