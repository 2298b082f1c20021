//! Who is connected: each connection's certificate, and the word that ends it. Revocation and expiry reach open
//! streams through here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// The other end of a TLS connection. Its chain and its key were proven by the handshake; whether it still counts
/// is asked at every call.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Absent for one that is about to join.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// Its address.
    pub from: IpAddr,
}

/// What the certificate of a peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerCertificate {
    /// Hex.
    pub serial: String,
    /// When it begins, wall time.
    pub from_ms: i64,
    /// When it ends, wall time.
    pub until_ms: i64,
}

struct Open {
    peer: Peer,
    since: Instant,
    cut: CancellationToken,
}

/// Every open connection. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Open>,
}

/// A connection's place in the list; it leaves when this is dropped.
pub(crate) struct Entry {
    connections: Connections,
    number: u64,
    peer: Peer,
    /// Says that it is to end.
    pub cut: CancellationToken,
}

impl Connections {
    /// Enters a connection.
    pub fn enter(&self, peer: Peer) -> Entry {
        let cut = CancellationToken::new();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.next += 1;
        let number = table.next;
        table.open.insert(number, Open { peer: peer.clone(), since: Instant::now(), cut: cut.clone() });
        Entry { connections: self.clone(), number, peer, cut }
    }

    /// Ends every connection of which `is_over` is so.
    pub fn cut_where(&self, is_over: impl Fn(&Peer, Instant) -> bool) {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for open in table.open.values().filter(|open| is_over(&open.peer, open.since)) {
            open.cut.cancel();
        }
    }
}

impl Entry {
    /// The other end.
    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut table = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.open.remove(&self.number);
    }
}
