//! How many things one caller has going on at a time: a bound on what somebody's fault costs the others.

use crate::identity::site;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_shared::access::Viewer;
use windlass_shared::refusal::Refusal;

/// What goes on, by caller. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct AtATime {
    what: &'static str,
    each_max: usize,
    going: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// One of them; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    going: Arc<Mutex<BTreeMap<String, usize>>>,
    whose: Option<String>,
}

/// Under which name a caller is counted. An administrator is not: whoever is one can end everything anyway.
pub(super) fn caller(viewer: &Viewer) -> Option<String> {
    match viewer {
        Viewer::Admin => None,
        Viewer::Client(name) => Some(format!("client/{name}")),
        Viewer::Worker(id, _) => Some(format!("worker/{id}")),
    }
}

/// The same for one without a certificate.
pub(super) fn stranger(from: IpAddr) -> String {
    format!("the peers without a certificate at {}", site(from))
}

impl AtATime {
    /// At most so many of each caller; `what` in the plural, for people.
    pub fn new(what: &'static str, each_max: usize) -> Self {
        Self { what, each_max, going: Arc::default() }
    }

    /// Begins one, or refuses it with figure and limit.
    pub fn begin(&self, whose: Option<String>) -> Result<Place, Refusal> {
        if let Some(whose) = &whose {
            let mut going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
            let count = going.entry(whose.clone()).or_default();
            if *count >= self.each_max {
                let (figure, limit) = (*count as u64 + 1, self.each_max as u64);
                let what = format!("the number of {} of {whose} at a time", self.what);
                return Err(Refusal::TooMuch { what, figure, limit });
            }
            *count += 1;
        }
        Ok(Place { going: Arc::clone(&self.going), whose })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(whose) = &self.whose else { return };
        let mut going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = going.get_mut(whose) {
            *count -= 1;
            if *count == 0 {
                going.remove(whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_has_so_many_at_a_time_and_nobody_else_is_kept_from_its_own() {
        let uploads = AtATime::new("uploads", 32);
        let of = |name: &str| caller(&Viewer::Client(name.to_owned()));
        let going: Vec<Place> = (0..32).map(|_| uploads.begin(of("ada")).expect("room")).collect();
        let refused = uploads.begin(of("ada")).expect_err("too many");
        assert_eq!(
            refused.to_string(),
            "the number of uploads of client/ada at a time is 33; at most 32 is taken"
        );
        assert!(uploads.begin(of("bob")).is_ok() && uploads.begin(caller(&Viewer::Admin)).is_ok());
        drop(going);
        assert!(uploads.begin(of("ada")).is_ok());
        assert!(uploads.going.lock().expect("not poisoned").is_empty(), "what is over is forgotten");
    }
}
