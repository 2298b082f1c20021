//! Tells a service manager that a role serves: one datagram, as systemd's `Type=notify` asks for it. Without one
//! nothing happens.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where the service manager listens. A child that we start is not the one that it asks.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// Says that this process serves now. A manager that cannot be reached is no reason not to.
pub fn ready() {
    let Some(socket) = std::env::var_os(VARIABLE).filter(|socket| !socket.is_empty()) else { return };
    if let Err(error) = send(&socket, b"READY=1") {
        tracing::warn!(error = &error as &dyn std::error::Error, "the service manager could not be told");
    }
}

fn send(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    // A first `@` stands for a name that is no file.
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?.send_to_addr(message, &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn a_service_manager_is_told_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let name = format!("windlass-test-{}", uuid::Uuid::new_v4());
        let abstract_name = SocketAddr::from_abstract_name(&name).expect("a name");
        for (listener, socket) in [
            (UnixDatagram::bind(&path), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&abstract_name), OsString::from(format!("@{name}"))),
        ] {
            let listener = listener.expect("bound");
            send(&socket, b"READY=1").expect("sent");
            let mut bytes = [0; 64];
            let length = listener.recv(&mut bytes).expect("received");
            assert_eq!(&bytes[..length], b"READY=1");
        }
        assert!(send(folder.path().join("nobody").as_os_str(), b"READY=1").is_err());
    }
}
