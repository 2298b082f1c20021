//! How many connections without a certificate one address has: in handshake, or about to join. Whoever opens more is
//! hung up on at once, so that one machine's fault leaves the others their places.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// For one address: a quarter of all connections. A site behind one address that comes back after an outage, each of
/// its machines with a handshake of some milliseconds, stays far below.
const EACH_MAX: usize = 1_024;

/// The count by address. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Strangers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of nobody known yet; it is no stranger any more, or gone, when this is dropped.
#[derive(Debug)]
pub(super) struct Stranger {
    strangers: Strangers,
    from: IpAddr,
}

impl Strangers {
    /// Takes a connection in, unless its address has too many.
    pub fn enter(&self, from: IpAddr) -> Option<Stranger> {
        let from = site(from);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(from).or_default();
        if *count >= EACH_MAX {
            return None;
        }
        *count += 1;
        Some(Stranger { strangers: self.clone(), from })
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut counts = self.strangers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.from);
            }
        }
    }
}

/// What is counted as one address: a machine has as many of IPv6 as it likes within its network of 64 bits.
pub(crate) fn site(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_so_many_connections_without_a_certificate_and_leaves_the_others_theirs() {
        let strangers = Strangers::default();
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for (one, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
        ] {
            let mut held: Vec<Stranger> =
                (0..EACH_MAX).map(|_| strangers.enter(address(one)).expect("room")).collect();
            assert!(strangers.enter(address(one)).is_none() && strangers.enter(address(same)).is_none());
            assert!(strangers.enter(address(other)).is_some());
            held.pop();
            assert!(strangers.enter(address(same)).is_some(), "whoever is known or gone makes room");
        }
        assert!(strangers.0.lock().expect("not poisoned").is_empty(), "what is over is forgotten");
    }
}
