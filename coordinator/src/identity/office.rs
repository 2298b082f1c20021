//! Where identities are given out and ended: the CA, the list, and the open connections together. What it answers
//! is on disk before it is answered.

use super::Error;
use super::authority::{AskedKey, Authority, Subject, draw_serial, folder_in, write_whole};
use super::connections::{Connections, Peer, PeerCertificate};
use super::registry::{Holder, Registry, Token, Void, minutes};
use super::tls;
use crate::driver::Intent;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;
use windlass_shared::access::{CertificateView, Role, is_name};
use windlass_shared::id::WorkerId;
use windlass_shared::join::JoinToken;
use windlass_shared::refusal::Refusal;

/// How long a token lives where nothing else is said, milliseconds.
const TOKEN_LIFE_MS: u64 = 15 * 60_000;
/// The longest, milliseconds: a token is as good as a key while it lives.
const TOKEN_LIFE_MAX_MS: u64 = 24 * 3_600_000;
/// Between two looks for open streams whose caller counts no more: with the time to cut them well below the 10 s
/// that a revocation may take.
const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// How long a peer without a certificate may stay: one call.
const JOINING_MAX: Duration = Duration::from_secs(60);
/// The largest signing request that is read, bytes: a key of 4096 bits with room.
const SIGNING_REQUEST_MAX_BYTES: usize = 8 << 10;

/// Under which terms identities are given out.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// How long a certificate lives.
    pub life: Duration,
    /// `HOST:PORT` for tokens that name no other.
    pub address: Option<String>,
}

/// Who asks to join, and as what.
pub(crate) struct Joiner {
    pub secret: String,
    pub role: Role,
    pub name: String,
    pub worker: Option<WorkerId>,
    pub signing_request: Vec<u8>,
}

/// A certificate that was just made.
pub(crate) struct Issued {
    pub certificate: CertificateDer<'static>,
    pub authority: CertificateDer<'static>,
    pub holder: Holder,
    pub issued_ms: i64,
    pub expires_ms: i64,
}

/// Why nothing was given out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// By a rule.
    Refused(Refusal),
    /// By a fault of this machine.
    Failed(Error),
}

/// The office. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Office(Arc<Inner>);

struct Inner {
    authority: Arc<Authority>,
    /// What is on disk.
    registry: RwLock<Registry>,
    /// Held while it is changed, the write to disk included.
    changing: Mutex<()>,
    path: PathBuf,
    connections: Connections,
    terms: Terms,
}

impl Office {
    /// Opens the identities of a data folder; makes its CA at the first start.
    pub fn open(data_dir: &Path, terms: Terms) -> Result<Self, Error> {
        let authority = Arc::new(Authority::open(data_dir)?);
        let path = folder_in(data_dir).join("registry.json");
        let registry = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| Error::Registry { path: path.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Registry::default(),
            Err(source) => return Err(Error::file("read", &path)(source)),
        };
        let (registry, changing) = (RwLock::new(registry), Mutex::new(()));
        Ok(Self(Arc::new(Inner {
            authority,
            registry,
            changing,
            path,
            connections: Connections::default(),
            terms,
        })))
    }

    /// TLS for a listener.
    pub fn tls(&self) -> Result<Arc<ServerConfig>, Error> {
        tls::config(&self.0.authority, self.0.terms.life)
    }

    /// Who is connected.
    pub fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// Makes a token; with the moment when it ends. One that is only asked about lets nobody join. Blocks for the
    /// disk.
    pub fn create_token(
        &self,
        role: Role,
        name: Option<String>,
        ttl_ms: u64,
        address: Option<String>,
        intent: Intent,
    ) -> Result<(JoinToken, i64), Failure> {
        let malformed = |field, problem: String| Failure::Refused(Refusal::Malformed { field, problem });
        if let Some(name) = name.as_deref().filter(|name| !is_name(name)) {
            return Err(malformed("name", format!("{name:?} is no name: {NAME_FORM}")));
        }
        if ttl_ms > TOKEN_LIFE_MAX_MS {
            let (figure, limit) = (ttl_ms / 1000, TOKEN_LIFE_MAX_MS / 1000);
            let what = "a join token's life in seconds".to_owned();
            return Err(Failure::Refused(Refusal::TooMuch { what, figure, limit }));
        }
        let Some(address) = address.or_else(|| self.0.terms.address.clone()) else {
            let problem =
                "the coordinator listens on no address that another machine reaches; start it with --listen"
                    .to_owned();
            return Err(Failure::Refused(Refusal::Token { problem }));
        };
        if address.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
        {
            return Err(malformed("address", format!("{address:?} is not HOST:PORT")));
        }
        let ttl_ms = if ttl_ms == 0 { TOKEN_LIFE_MS } else { ttl_ms };
        let now_ms = now_ms();
        let expires_ms = now_ms.saturating_add_unsigned(ttl_ms);
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let token = Token { role, name: name.clone(), expires_ms, used: None };
        self.change(intent, |registry| registry.add_token(&secret, token, now_ms))?;
        if intent == Intent::Do {
            tracing::info!(%role, ?name, "a join token was made");
        }
        let fingerprint = self.0.authority.fingerprint();
        Ok((JoinToken { role, name, address, fingerprint, secret }, expires_ms))
    }

    /// Whether a token lets somebody in at all, before anything is done for them: no fleet is asked, no key is read
    /// and nothing is signed for whoever has none.
    pub fn look_at(&self, joiner: &Joiner) -> Result<(), Refusal> {
        let Joiner { secret, role, name, worker, .. } = joiner;
        if !is_name(name) {
            let problem = format!("{name:?} is no name: {NAME_FORM}");
            return Err(Refusal::Malformed { field: "name", problem });
        }
        if worker.is_some() != (*role == Role::Worker) {
            let problem = "a worker, and nobody else, has an id".to_owned();
            return Err(Refusal::Malformed { field: "worker", problem });
        }
        let holder = Holder { role: *role, name: name.clone(), worker: worker.clone() };
        let registry = self.0.registry.read().unwrap_or_else(PoisonError::into_inner);
        registry
            .look_at(secret, None, &holder, now_ms())
            .inspect_err(|refusal| note_refused(&holder, refusal))
    }

    /// A token and a signing request become a certificate, once [`Office::look_at`] found nothing. Blocks for the
    /// disk.
    pub fn join(&self, joiner: Joiner) -> Result<Issued, Failure> {
        self.look_at(&joiner).map_err(Failure::Refused)?;
        let Joiner { secret, role, name, worker, signing_request } = joiner;
        let key = asked_key(&signing_request)?;
        let holder = Holder { role, name, worker };
        let mut namesakes = 0;
        let issued = self.issue(&key, holder.clone(), |registry, now_ms| {
            registry.redeem(&secret, key.hash(), &holder, now_ms)?;
            namesakes = registry.end_namesakes(&holder, now_ms);
            Ok(())
        });
        match &issued {
            Ok(_) => {
                tracing::info!(role = %holder.role, name = holder.name, "joined");
                if namesakes > 0 {
                    tracing::warn!(
                        name = holder.name,
                        "another machine has this name now; the one before is cut off"
                    );
                    self.cut_over();
                }
            }
            Err(Failure::Refused(refusal)) => note_refused(&holder, refusal),
            Err(Failure::Failed(_)) => {}
        }
        issued
    }

    /// Another certificate for whoever has one that counts. Blocks for the disk.
    pub fn renew(&self, peer: &Peer, signing_request: &[u8]) -> Result<Issued, Failure> {
        let holder = self.holder(peer).map_err(Failure::Refused)?;
        let key = asked_key(signing_request)?;
        self.issue(&key, holder, |_, _| Ok(()))
    }

    fn issue(
        &self,
        key: &AskedKey,
        holder: Holder,
        may: impl FnOnce(&mut Registry, i64) -> Result<(), Refusal>,
    ) -> Result<Issued, Failure> {
        let serial = draw_serial();
        let (issued_ms, expires) = (now_ms(), SystemTime::now() + self.0.terms.life);
        let subject = Subject { role: holder.role.as_str(), name: &holder.name, serial, expires };
        let certificate = self.0.authority.sign(key, &subject).map_err(Failure::Failed)?;
        let expires_ms = wall_ms(expires);
        self.change(Intent::Do, |registry| {
            may(registry, issued_ms)?;
            registry.add_certificate(&tls::hex(serial.iter()), holder.clone(), (issued_ms, expires_ms))
        })?;
        let authority = self.0.authority.certificate().clone();
        Ok(Issued { certificate, authority, holder, issued_ms, expires_ms })
    }

    /// All certificates.
    pub fn certificates(&self) -> Vec<CertificateView> {
        self.0.registry.read().unwrap_or_else(PoisonError::into_inner).views(now_ms())
    }

    /// Ends certificates, and every connection that stood on them; or says which those would be. Blocks for the
    /// disk.
    pub fn revoke(&self, which: &str, intent: Intent) -> Result<Vec<CertificateView>, Failure> {
        let ended = self.change(intent, |registry| registry.revoke(which, now_ms()))?;
        if intent == Intent::Ask {
            return Ok(ended);
        }
        for view in &ended {
            tracing::warn!(role = %view.role, name = view.name, serial = view.serial, "revoked a certificate");
        }
        self.cut_over();
        Ok(ended)
    }

    /// Whose connection this is, or why its certificate does not count.
    pub fn holder(&self, peer: &Peer) -> Result<Holder, Refusal> {
        let refuse = |problem: String| Err(Refusal::Certificate { problem });
        let Some(certificate) = &peer.certificate else {
            return refuse("this address asks for a certificate, and none was shown".to_owned());
        };
        let now_ms = now_ms();
        if now_ms >= certificate.until_ms {
            let since = minutes(now_ms - certificate.until_ms);
            return refuse(format!("the certificate expired {since} ago by the coordinator's clock"));
        }
        if now_ms < certificate.from_ms {
            let ahead = minutes(certificate.from_ms - now_ms);
            return refuse(format!(
                "the certificate is not valid for another {ahead} by the coordinator's clock"
            ));
        }
        let registry = self.0.registry.read().unwrap_or_else(PoisonError::into_inner);
        match registry.holder(&certificate.serial) {
            Ok(holder) => Ok(holder.clone()),
            Err(Void::Revoked) => refuse("the certificate was revoked".to_owned()),
            Err(Void::Unknown) => refuse("the certificate is in no list of this coordinator's".to_owned()),
        }
    }

    /// Looks again and again for connections whose certificate counts no more.
    pub async fn sweep(self) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.cut_over();
        }
    }

    /// Cuts them. A stream that is open when its certificate ends goes on where its holder has renewed meanwhile.
    fn cut_over(&self) {
        let now_ms = now_ms();
        let registry = self.0.registry.read().unwrap_or_else(PoisonError::into_inner);
        let is_over = |certificate: &PeerCertificate| match registry.holder(&certificate.serial) {
            Err(Void::Revoked) => true,
            // Its number may be forgotten once another followed: then the handshake's word is not enough.
            Err(Void::Unknown) => true,
            Ok(holder) => certificate.until_ms <= now_ms && !registry.has_valid(holder, now_ms),
        };
        self.0.connections.cut_where(|peer, since| match &peer.certificate {
            None => since.elapsed() > JOINING_MAX,
            Some(certificate) => is_over(certificate),
        });
    }

    /// Changes the list: on disk first, in memory then. Nothing is changed where either fails, or where it is only
    /// asked about.
    fn change<T>(
        &self,
        intent: Intent,
        change: impl FnOnce(&mut Registry) -> Result<T, Refusal>,
    ) -> Result<T, Failure> {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.0.registry.read().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = change(&mut next).map_err(Failure::Refused)?;
        if intent == Intent::Ask {
            return Ok(answer);
        }
        let bytes = serde_json::to_vec(&next).expect("a list of certificates is always representable");
        write_whole(&self.0.path, &bytes).map_err(Failure::Failed)?;
        *self.0.registry.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(answer)
    }
}

fn note_refused(holder: &Holder, refusal: &Refusal) {
    tracing::warn!(role = %holder.role, name = holder.name, %refusal, "refused to let somebody join");
}

/// What a name may be, for people.
const NAME_FORM: &str = "letters, digits, `.`, `_`, `-` and `@`, at most 64";

fn asked_key(signing_request: &[u8]) -> Result<AskedKey, Failure> {
    let read = (signing_request.len() <= SIGNING_REQUEST_MAX_BYTES).then(|| AskedKey::read(signing_request));
    read.flatten().ok_or_else(|| {
        let problem = "it is no PKCS #10 request whose own signature holds".to_owned();
        Failure::Refused(Refusal::Malformed { field: "signing_request", problem })
    })
}

/// Certificates are the one thing that wall time judges: their form has no other clock.
fn now_ms() -> i64 {
    wall_ms(SystemTime::now())
}

fn wall_ms(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Office(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_no_token_is_refused_before_anything_of_the_request_is_looked_at() {
        let folder = tempfile::tempdir().expect("tempdir");
        let terms = Terms { life: Duration::from_secs(3600), address: Some("head:7070".to_owned()) };
        let office = Office::open(folder.path(), terms).expect("open");
        let joiner = |secret: &str| Joiner {
            secret: secret.to_owned(),
            role: Role::Client,
            name: "ada".to_owned(),
            worker: None,
            signing_request: b"no request".to_vec(),
        };
        let refused = |secret: &str| match office.join(joiner(secret)) {
            Err(Failure::Refused(refusal)) => refusal,
            Err(Failure::Failed(error)) => panic!("{error:?}"),
            Ok(_) => panic!("let in"),
        };
        assert!(matches!(refused("guessed"), Refusal::Token { .. }), "the token comes first");
        let (token, _) = office.create_token(Role::Client, None, 0, None, Intent::Do).expect("a token");
        let refused = refused(&token.secret);
        assert!(matches!(refused, Refusal::Malformed { field: "signing_request", .. }), "{refused}");
    }
}
