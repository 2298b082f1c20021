//! Where the coordinator listens: a Unix socket that is its owner's alone, and TCP when asked: loopback behind the
//! data folder's token, everything else with TLS.

use rustix::process::getuid;
use serde::Serialize;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};
use windlass_shared::digest::Hash;

/// `sockaddr_un` holds 108 bytes; this leaves room for the NUL and a suffix.
const SOCKET_PATH_MAX_BYTES: usize = 100;

/// A place that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be bound.
    #[error("failed to listen on {address}")]
    Tcp {
        /// As asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket cannot be bound.
    #[error("failed to listen on {path}")]
    Unix {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder of a short socket path belongs to somebody else.
    #[error("{path} belongs to another user or is open to others; the socket cannot lie there")]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// The file that tells clients where to connect cannot be written.
    #[error("failed to write {path}")]
    Endpoint {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What `<data_dir>/endpoint.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The Unix socket.
    pub socket: PathBuf,
    /// The address, if one is listened on.
    pub tcp: Option<SocketAddr>,
    /// Whether TLS is spoken there.
    pub tls: bool,
}

/// What is spoken on TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TLS everywhere but on loopback.
    #[default]
    Auto,
    /// TLS on loopback too.
    Tls,
    /// Never TLS, whoever can read and run then.
    Plaintext,
}

impl Transport {
    /// Whether TLS is spoken on an address.
    pub fn is_tls(self, address: SocketAddr) -> bool {
        match self {
            Self::Auto => !address.ip().is_loopback(),
            Self::Tls => true,
            Self::Plaintext => false,
        }
    }
}

/// The file that tells clients where to connect.
pub fn endpoint_file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("endpoint.json")
}

/// What is listened on.
#[derive(Debug)]
pub struct Listeners {
    /// Always.
    pub unix: UnixListener,
    /// When asked.
    pub tcp: Option<TcpListener>,
    /// Where both are.
    pub endpoint: Endpoint,
    file: PathBuf,
}

impl Listeners {
    /// Binds. The caller holds the data folder's lock, so a socket that is there is a dead one's.
    pub async fn bind(
        data_dir: &Path,
        listen: Option<SocketAddr>,
        transport: Transport,
    ) -> Result<Self, Error> {
        let tcp = match listen {
            None => None,
            Some(address) => {
                let fail = |source| Error::Tcp { address, source };
                Some(TcpListener::bind(address).await.map_err(fail)?)
            }
        };
        let tcp_address = match (&tcp, listen) {
            (Some(listener), Some(address)) => {
                Some(listener.local_addr().map_err(|source| Error::Tcp { address, source })?)
            }
            _ => None,
        };
        let socket = socket_path(data_dir)?;
        let unix = bind_unix(&socket)?;
        let tls = tcp_address.is_some_and(|address| transport.is_tls(address));
        let endpoint = Endpoint { socket, tcp: tcp_address, tls };
        let file = endpoint_file_in(data_dir);
        write_endpoint(&file, &endpoint).map_err(|source| Error::Endpoint { path: file.clone(), source })?;
        Ok(Self { unix, tcp, endpoint, file })
    }

    /// What to remove at a clean shutdown: nobody is to connect there any more.
    pub fn traces(&self) -> [PathBuf; 2] {
        [self.endpoint.socket.clone(), self.file.clone()]
    }
}

fn bind_unix(path: &Path) -> Result<UnixListener, Error> {
    let fail = |source| Error::Unix { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    // The folder is 0700 already, so that the moment between the two calls is nobody's chance.
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fail)?;
    Ok(listener)
}

/// `<data_dir>/windlass.sock`, or a short path that is always the same for this folder.
fn socket_path(data_dir: &Path) -> Result<PathBuf, Error> {
    let whole = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let direct = whole.join("windlass.sock");
    if direct.as_os_str().len() <= SOCKET_PATH_MAX_BYTES {
        return Ok(direct);
    }
    let uid = getuid().as_raw();
    let name = &Hash::of(whole.as_os_str().as_encoded_bytes()).to_string()[..16];
    let user_run = PathBuf::from(format!("/run/user/{uid}"));
    let folder = match is_own(&user_run, uid) {
        true => user_run.join(format!("windlass-{name}")),
        false => PathBuf::from(format!("/tmp/windlass-{uid}-{name}")),
    };
    let fail = |source| Error::Unix { path: folder.clone(), source };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error)),
        _ => {}
    }
    // In /tmp anybody may have made it first.
    if is_own(&folder, uid) { Ok(folder.join("windlass.sock")) } else { Err(Error::Foreign { path: folder }) }
}

fn is_own(folder: &Path, uid: u32) -> bool {
    std::fs::symlink_metadata(folder).is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == uid && metadata.mode().trailing_zeros() >= 6
    })
}

/// Written whole and then renamed: a client never reads half of it.
fn write_endpoint(file: &Path, endpoint: &Endpoint) -> io::Result<()> {
    let text = serde_json::to_vec(endpoint)?;
    let draft = file.with_extension("json.new");
    std::fs::write(&draft, text)?;
    std::fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
    std::fs::rename(&draft, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_loopback_is_listened_on_without_tls_unless_that_is_asked_for() {
        for (address, auto) in [
            ("127.0.0.1:0", false),
            ("127.0.0.2:0", false),
            ("[::1]:0", false),
            ("0.0.0.0:0", true),
            ("[::]:0", true),
            ("192.0.2.1:7000", true),
        ] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(Transport::Auto.is_tls(address), auto, "{address}");
            assert!(Transport::Tls.is_tls(address) && !Transport::Plaintext.is_tls(address));
        }
        let folder = tempfile::tempdir().expect("tempdir");
        let any = "0.0.0.0:0".parse().ok();
        let listeners = Listeners::bind(folder.path(), any, Transport::Auto).await.expect("bound");
        assert_ne!(listeners.endpoint.tcp.expect("an address").port(), 0);
        assert!(listeners.endpoint.tls);
    }

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_however_long_the_path() {
        let folder = tempfile::tempdir().expect("tempdir");
        for deep in [folder.path().to_owned(), folder.path().join("x".repeat(120))] {
            DirBuilder::new().recursive(true).mode(0o700).create(&deep).expect("folder");
            drop(Listeners::bind(&deep, None, Transport::Auto).await.expect("first"));
            // The dead one's socket is still there.
            let listeners = Listeners::bind(&deep, None, Transport::Auto).await.expect("again");
            let socket = &listeners.endpoint.socket;
            assert!(socket.as_os_str().len() <= SOCKET_PATH_MAX_BYTES, "{}", socket.display());
            let mode = std::fs::metadata(socket).expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let text = std::fs::read_to_string(endpoint_file_in(&deep)).expect("endpoint.json");
            assert!(text.contains(&socket.display().to_string()), "{text}");
            for trace in listeners.traces() {
                std::fs::remove_file(trace).expect("remove");
            }
        }
    }
}
