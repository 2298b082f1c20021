//! A token becomes an identity, and an identity a fresh one: the key is made here and stays here.

use super::kept::coded;
use super::tls::unknown_channel;
use super::{Error, Identity};
use rcgen::{CertificateParams, KeyPair};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use windlass_proto::v1;
use windlass_proto::v1::identity_service_client::IdentityServiceClient;
use windlass_shared::access::{Role, is_name};
use windlass_shared::digest::Hash;
use windlass_shared::id::WorkerId;
use windlass_shared::join::JoinToken;

/// How often an answer that was lost is asked for again: the same key may use its token again.
const TRIES_MAX: u32 = 3;
/// Between two of them.
const TRY_PAUSE: Duration = Duration::from_millis(500);
/// How long one call may take.
const CALL_MAX: Duration = Duration::from_secs(30);

/// As what this machine joins.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Worker, or not.
    pub worker: Option<WorkerId>,
    /// The name that was asked for, if any.
    pub name: Option<String>,
    /// The name where neither that nor the token says one.
    pub default_name: String,
}

/// Joins, and keeps the identity in `file`.
///
/// # Errors
/// [`Error`]; nothing is kept then.
pub async fn join(token: &JoinToken, wanted: Wanted, file: &Path) -> Result<Identity, Error> {
    let fits = wanted.worker.is_some() == (token.role == Role::Worker);
    if !fits {
        let wanted = if wanted.worker.is_some() { "worker" } else { "client" };
        return Err(Error::Role { token: token.role, wanted });
    }
    let name = match (&token.name, wanted.name) {
        (Some(token), Some(wanted)) if *token != wanted => {
            return Err(Error::Name { token: token.clone(), wanted });
        }
        (Some(token), _) => token.clone(),
        (None, Some(wanted)) => wanted,
        (None, None) => wanted.default_name,
    };
    if !is_name(&name) {
        return Err(Error::BadName(name));
    }
    let (key, signing_request) = make_key()?;
    let request = v1::JoinRequest {
        secret: token.secret.clone(),
        role: token.role.as_str().to_owned(),
        name: name.clone(),
        worker: wanted.worker.map(|id| id.0).unwrap_or_default(),
        signing_request: signing_request.into(),
    };
    let channel = unknown_channel(token, |endpoint| endpoint)?;
    let issued = ask_to_join(channel, request).await?;
    let mut identity = identity(issued, &key, &token.address)?;
    identity.joined_by = Some(Hash::of(token.secret.as_bytes()));
    if identity.fingerprint() != Some(token.fingerprint)
        || identity.name != name
        || identity.role != token.role
    {
        return Err(Error::Answer("another CA, role or name"));
    }
    identity.write(file)?;
    Ok(identity)
}

async fn ask_to_join(channel: Channel, request: v1::JoinRequest) -> Result<v1::Issued, Error> {
    let mut tries = 1;
    loop {
        let mut client = IdentityServiceClient::new(channel.clone());
        match client.join(timed(request.clone())).await {
            Ok(answer) => return answer.into_inner().issued.ok_or(Error::Answer("nothing was issued")),
            Err(status) if is_lost(&status) && tries < TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(TRY_PAUSE).await;
            }
            Err(status) => return Err(Error::Call(Box::new(status))),
        }
    }
}

/// Whether a connection broke, rather than that something was said, or that there never was one.
fn is_lost(status: &Status) -> bool {
    let broke =
        matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded);
    broke && Error::within(status).is_none()
}

/// A certificate of the same role and name for a fresh key, over a channel that shows the present one; kept in
/// `file` in its place.
///
/// # Errors
/// [`Error`]; the present one stays then.
pub async fn renew(channel: Channel, identity: &Identity, file: &Path) -> Result<Identity, Error> {
    let (key, signing_request) = make_key()?;
    let request = v1::RenewRequest { signing_request: signing_request.into() };
    let answer = IdentityServiceClient::new(channel).renew(timed(request)).await;
    let issued = answer.map_err(|status| Error::Call(Box::new(status)))?.into_inner().issued;
    let mut renewed =
        self::identity(issued.ok_or(Error::Answer("nothing was issued"))?, &key, &identity.address)?;
    renewed.joined_by = identity.joined_by;
    if renewed.fingerprint() != identity.fingerprint() || renewed.name != identity.name {
        return Err(Error::Answer("another CA or name"));
    }
    renewed.write(file)?;
    Ok(renewed)
}

/// Whether two thirds of a certificate's life are over.
pub fn is_due(identity: &Identity) -> bool {
    let life_ms = identity.expires_wall_ms.saturating_sub(identity.issued_wall_ms);
    now_ms() >= identity.issued_wall_ms.saturating_add(life_ms / 3 * 2)
}

/// A certificate's time is wall time: its form has no other.
pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_MAX);
    request
}

fn make_key() -> Result<(KeyPair, Vec<u8>), Error> {
    let key = KeyPair::generate()?;
    let request = CertificateParams::default().serialize_request(&key)?;
    Ok((key, request.der().to_vec()))
}

fn identity(issued: v1::Issued, key: &KeyPair, address: &str) -> Result<Identity, Error> {
    let role = Role::parse(&issued.role).ok_or(Error::Answer("its role is unknown here"))?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&issued.certificate)
        .map_err(|_| Error::Answer("it cannot be read"))?;
    if Hash::of(&certificate.public_key().subject_public_key.data) != Hash::of(key.public_key_raw()) {
        return Err(Error::Answer("it is for another key"));
    }
    Ok(Identity {
        address: address.to_owned(),
        role,
        name: issued.name,
        issued_wall_ms: issued.issued_wall_ms,
        expires_wall_ms: issued.expires_wall_ms,
        joined_by: None,
        authority: coded(&issued.authority),
        certificate: coded(&issued.certificate),
        key: coded(&key.serialize_der()),
    })
}
