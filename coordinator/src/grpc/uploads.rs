//! How many uploads one identity has at a time: a bound on what somebody's fault costs the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_shared::access::{Access, Viewer};
use windlass_shared::refusal::Refusal;

/// Uploads of one client or worker at a time: a worker ships four outcomes at once, a person submits from a few
/// shells. Each holds 256 KiB and an open file.
const UPLOADS_EACH_MAX: usize = 32;

/// The uploads that go on, by identity. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Uploads(Arc<Mutex<BTreeMap<String, usize>>>);

/// One upload; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Upload {
    uploads: Uploads,
    whose: Option<String>,
}

impl Uploads {
    /// Begins one, or refuses it with figure and limit. An administrator's are not counted.
    pub fn begin(&self, access: &Access) -> Result<Upload, Refusal> {
        let whose = match &access.viewer {
            Viewer::Admin => None,
            Viewer::Client(name) => Some(format!("client/{name}")),
            Viewer::Worker(id, _) => Some(format!("worker/{id}")),
        };
        if let Some(whose) = &whose {
            let mut going = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = going.entry(whose.clone()).or_default();
            if *count >= UPLOADS_EACH_MAX {
                let (figure, limit) = (*count as u64 + 1, UPLOADS_EACH_MAX as u64);
                let what = format!("the number of uploads of {whose} at a time");
                return Err(Refusal::TooMuch { what, figure, limit });
            }
            *count += 1;
        }
        Ok(Upload { uploads: self.clone(), whose })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(whose) = &self.whose else { return };
        let mut going = self.uploads.0.lock().unwrap_or_else(PoisonError::into_inner);
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
    use windlass_shared::access::Grant;

    #[test]
    fn one_identity_has_so_many_uploads_and_nobody_else_is_kept_from_its_own() {
        let uploads = Uploads::default();
        let access = |name: &str| Access { viewer: Viewer::Client(name.to_owned()), need: Grant::Propose };
        let going: Vec<Upload> =
            (0..UPLOADS_EACH_MAX).map(|_| uploads.begin(&access("ada")).expect("room")).collect();
        let refused = uploads.begin(&access("ada")).expect_err("too many");
        assert_eq!(
            refused.to_string(),
            "the number of uploads of client/ada at a time is 33; at most 32 is taken"
        );
        assert!(uploads.begin(&access("bob")).is_ok() && uploads.begin(&Access::ADMIN).is_ok());
        drop(going);
        assert!(uploads.begin(&access("ada")).is_ok());
        assert!(uploads.0.lock().expect("not poisoned").is_empty(), "what is over is forgotten");
    }
}
