//! The values of secrets that submitters have given: a file of mode 0600 per campaign, beside the ledger and
//! never in it, until the campaign is stopped. They leave in one place: beside an order that names them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use windlass_proto::v1;
use windlass_shared::id::CampaignId;
use windlass_shared::secret::{SECRETS_MAX, Secret, SecretError, Secrets};
use windlass_shared::session::Answer;

/// Secrets that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file failed.
    #[error("failed to {operation} {path}")]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A name or value is none.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// The store. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    held: Arc<Mutex<BTreeMap<CampaignId, Secrets>>>,
}

impl Store {
    /// Opens or makes it in a data folder. A file that cannot be read is named and left alone.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let folder = data_dir.join("secrets");
        let failed = |operation| {
            let path = folder.clone();
            move |source| Error::File { operation, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed("create"))?;
        // A copied folder may have widened the mode.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(failed("protect"))?;
        let mut held = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(failed("list"))?.flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|it| it != "json") {
                continue;
            }
            let campaign = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match read(&path) {
                Some(secrets) => drop(held.insert(CampaignId(campaign), secrets)),
                None => {
                    tracing::warn!(path = %path.display(), "skipped a file of secrets that cannot be read")
                }
            }
        }
        Ok(Self { folder, held: Arc::new(Mutex::new(held)) })
    }

    /// Takes values for a campaign, in place of those given before under the same names. On disk when it
    /// returns.
    pub fn give(&self, campaign: &CampaignId, given: BTreeMap<String, String>) -> Result<(), Error> {
        let mut held = self.lock();
        let mut secrets = held.get(campaign).cloned().unwrap_or_default();
        for (name, value) in given {
            if !windlass_shared::secret::is_name(&name) {
                return Err(SecretError::Name(name).into());
            }
            let value = Secret::new(&name, value)?;
            secrets.insert(name, value);
        }
        if secrets.len() > SECRETS_MAX {
            return Err(SecretError::TooMany.into());
        }
        write(&self.file(campaign), &secrets)?;
        held.insert(campaign.clone(), secrets);
        Ok(())
    }

    /// What was given, by name alone.
    pub fn names(&self) -> BTreeMap<CampaignId, BTreeSet<String>> {
        self.lock().iter().map(|(id, secrets)| (id.clone(), secrets.keys().cloned().collect())).collect()
    }

    /// The names of one campaign.
    pub fn names_of(&self, campaign: &CampaignId) -> BTreeSet<String> {
        self.lock().get(campaign).map(|secrets| secrets.keys().cloned().collect()).unwrap_or_default()
    }

    /// What goes beside the orders of an answer: of each campaign what the order names, and nothing else.
    pub fn beside(&self, answer: &Answer) -> Vec<v1::Secret> {
        let held = self.lock();
        let mut beside = Vec::new();
        for order in answer.orders.iter().filter(|order| !order.secrets.is_empty()) {
            let Some(secrets) = held.get(&order.key.id.campaign) else { continue };
            let named = secrets.iter().filter(|(name, _)| order.secrets.contains(name));
            beside.extend(named.map(|(name, value)| v1::Secret {
                key: Some((&order.key).into()),
                name: name.clone(),
                value: value.expose().to_owned(),
            }));
        }
        beside
    }

    /// Removes the values of every campaign of which this holds. One that cannot be removed is named and
    /// tried again the next time.
    pub fn forget_where(&self, is_over: impl Fn(&CampaignId) -> bool) {
        let mut held = self.lock();
        held.retain(|campaign, _| {
            if !is_over(campaign) {
                return true;
            }
            let path = self.file(campaign);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::error!(path = %path.display(), %error, "failed to remove the secrets of a stopped campaign");
                    true
                }
                _ => false,
            }
        });
    }

    fn file(&self, campaign: &CampaignId) -> PathBuf {
        self.folder.join(format!("{campaign}.json"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CampaignId, Secrets>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Option<Secrets> {
    let values: BTreeMap<String, String> = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    values.into_iter().map(|(name, value)| Some((name.clone(), Secret::new(&name, value).ok()?))).collect()
}

/// Whole or not at all, and never readable by another for a moment.
fn write(path: &Path, secrets: &Secrets) -> Result<(), Error> {
    let failed = |operation| {
        let path = path.to_owned();
        move |source| Error::File { operation, path, source }
    };
    let values: BTreeMap<&str, &str> =
        secrets.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let bytes = serde_json::to_vec(&values).expect("texts are representable");
    let beside = path.with_extension("new");
    // One that was left by a crash may have any mode.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("replace")(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed("create"))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed("write"))?;
    fs::rename(&beside, path).map_err(failed("write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn values(store: &Store, campaign: &CampaignId) -> Vec<(String, String)> {
        let held = store.lock();
        let secrets = held.get(campaign).into_iter().flatten();
        secrets.map(|(name, value)| (name.clone(), value.expose().to_owned())).collect()
    }

    #[test]
    fn values_are_for_their_owner_alone_and_outlive_a_restart() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("a store");
        let (a, b) = (CampaignId::from("a-1"), CampaignId::from("b-1"));
        store.give(&a, given(&[("A", "one"), ("B", "two")])).expect("kept");
        store.give(&a, given(&[("A", "three")])).expect("kept");
        store.give(&b, given(&[("A", "four")])).expect("kept");
        let want = [("A".to_owned(), "three".to_owned()), ("B".to_owned(), "two".to_owned())];
        for store in [store, Store::open(dir.path()).expect("a store")] {
            assert_eq!(values(&store, &a), want);
            assert_eq!(store.names_of(&b), BTreeSet::from(["A".to_owned()]));
            assert!(!format!("{store:?}").contains("three"));
        }
        let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(dir.path().join("secrets")), 0o700);
        assert_eq!(mode(dir.path().join("secrets/a-1.json")), 0o600);
    }

    #[test]
    fn what_is_over_is_removed_and_what_is_no_secret_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("a store");
        let (a, b) = (CampaignId::from("a-1"), CampaignId::from("b-1"));
        store.give(&a, given(&[("A", "one")])).expect("kept");
        store.give(&b, given(&[("A", "two")])).expect("kept");
        for (name, value) in [("no name", "x"), ("A", ""), ("A", "a\0b")] {
            assert!(store.give(&a, given(&[(name, value)])).is_err(), "{name:?}");
        }
        assert_eq!(values(&store, &a), [("A".to_owned(), "one".to_owned())], "as before");
        store.forget_where(|campaign| *campaign == a);
        assert!(values(&store, &a).is_empty() && !dir.path().join("secrets/a-1.json").exists());
        assert_eq!(values(&store, &b).len(), 1, "the positive control");
        fs::write(dir.path().join("secrets/torn.json"), "{").expect("a file");
        assert_eq!(Store::open(dir.path()).expect("a store").names().len(), 1);
    }
}
