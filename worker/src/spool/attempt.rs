//! The folder of one attempt: names and documents in it. Carries nothing out.

use super::work_dir::remove_tree;
use crate::durable;
use crate::error::Error;
use crate::parcels::Parcel;
use crate::shim::{Exit, Identity, LogFile, Spec};
use crate::workspace::{Below, Layers};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use windlass_shared::attempt::{AttemptKey, Order, Outcome};
use windlass_shared::id::CampaignId;

/// What came of it.
const OUTCOME_FILE: &str = "outcome.json";
/// What was ordered.
const ORDER_FILE: &str = "order.json";
/// Is there when the machine was started since the attempt began.
const EARLIER_BOOT_FILE: &str = "earlier-boot";
/// What lies below an attempt's workspace.
const LAYERS_FILE: &str = "layers.json";

/// What came of an attempt, and what of it travels with the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The outcome.
    pub outcome: Outcome,
    /// Blobs that it names and that nobody else has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parcels: Vec<Parcel>,
}

/// As it stands on disk; versions before parcels wrote the outcome alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Ended(Box<Ended>),
    Outcome(Box<Outcome>),
}

/// One attempt's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptDir {
    path: PathBuf,
}

/// Room for what must be said when the disk is full: an exit record of 1 KiB, and an outcome, whose tail of
/// the log has 8 KiB and whose outputs some hundred bytes each.
const RESERVE_BYTES: u64 = 128 << 10;

impl AttemptDir {
    /// The reserve's name in the folder.
    pub const RESERVE: &'static str = "reserve";
    /// What the exit record leaves of it to the outcome.
    pub const RESERVE_LEFT_BYTES: u64 = RESERVE_BYTES - (16 << 10);

    /// The one that is, or will be, at `path`. One with an order has the name that its key gives it.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder's name for a key: `<campaign>.<iteration>.<number>.<fence>`. The campaign's id comes from
    /// another machine, so it must be one plain file name.
    pub(super) fn name(key: &AttemptKey) -> Result<String, Error> {
        let campaign = Self::plain(&key.id.campaign)?;
        Ok(format!("{campaign}.{}.{}.{}", key.id.iteration, key.id.number, key.fence))
    }

    /// A campaign's id as a file name.
    pub(super) fn plain(campaign: &CampaignId) -> Result<&str, Error> {
        let campaign = campaign.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if campaign.is_empty() || campaign.len() > 150 || !campaign.chars().all(plain) {
            return Err(Error::Order { field: "campaign", value: campaign.chars().take(80).collect() });
        }
        Ok(campaign)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the command runs.
    pub fn workspace(&self) -> PathBuf {
        self.path.join("workspace")
    }

    /// What a run writes in a workspace that is an overlay.
    pub fn upper(&self) -> PathBuf {
        self.path.join("upper")
    }

    /// The kernel's own folder beside it.
    pub fn overlay_work(&self) -> PathBuf {
        self.path.join("upper.work")
    }

    /// `WINDLASS_DATA`: links to the campaign's data sets.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// `WINDLASS_RESULTS`.
    pub fn results(&self) -> PathBuf {
        self.path.join("results")
    }

    /// `WINDLASS_HISTORY`.
    pub fn history(&self) -> PathBuf {
        self.path.join("history")
    }

    /// The run's private folder for temporary files.
    pub fn temporary(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// An analysis attempt's scripts and what they print.
    pub fn scripts(&self) -> PathBuf {
        self.path.join("scripts")
    }

    /// The log that the shim writes.
    pub fn log(&self) -> PathBuf {
        self.path.join("run.log")
    }

    /// For analysis: the log of the run that it looks at.
    pub fn run_log(&self) -> PathBuf {
        self.path.join("analysed.log")
    }

    /// Begins the attempt on disk: the order is there before anything is done for it. Whether there was no
    /// folder before.
    pub fn begin(&self, order: &Order) -> Result<bool, Error> {
        let is_new = fs::create_dir(&self.path).is_ok();
        if !is_new {
            fs::create_dir_all(&self.path).map_err(Error::file("create", &self.path))?;
        }
        durable::put(&self.path.join(ORDER_FILE), order)?;
        durable::reserve(&self.path.join(Self::RESERVE), RESERVE_BYTES)?;
        Ok(is_new)
    }

    /// Makes all that [`AttemptDir::exit`] rests on outlive a power cut, for a run that was long enough to be
    /// worth it; the record itself comes after it. Its tree is dead by then.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        for file in [ORDER_FILE, LAYERS_FILE, Spec::FILE, LogFile::FILE] {
            durable::sync_file(&self.path.join(file))?;
        }
        durable::sync_trees(&self.left()?)?;
        durable::sync_folder(&self.path)?;
        durable::sync_folder(self.path.parent().unwrap_or(&self.path))
    }

    /// The folders in which a run leaves what is collected afterwards.
    fn left(&self) -> Result<Vec<PathBuf>, Error> {
        let is_overlay = self.layers()?.is_some_and(|below| below.is_overlay());
        let own = if is_overlay { self.upper() } else { self.workspace() };
        Ok([self.results(), self.scripts(), own].into_iter().filter(|folder| folder.is_dir()).collect())
    }

    /// Whether it was here when the machine was last started: what was not synced may be torn.
    pub fn is_of_earlier_boot(&self) -> bool {
        self.path.join(EARLIER_BOOT_FILE).exists()
    }

    /// Notes that the machine was started since.
    pub(crate) fn note_earlier_boot(&self) -> Result<(), Error> {
        let path = self.path.join(EARLIER_BOOT_FILE);
        fs::File::create(&path).and_then(|file| file.sync_all()).map_err(Error::file("create", &path))?;
        durable::sync_folder(&self.path)
    }

    /// What was ordered.
    pub fn order(&self) -> Result<Option<Order>, Error> {
        durable::read(&self.path.join(ORDER_FILE))
    }

    /// The shim's identity, once it has one.
    pub fn identity(&self) -> Result<Option<Identity>, Error> {
        durable::read(&self.path.join(Identity::FILE))
    }

    /// What its shim was told, once there is one.
    pub fn spec(&self) -> Result<Option<Spec>, Error> {
        durable::read(&self.path.join(Spec::FILE))
    }

    /// How the run ended, once its shim has said so.
    pub fn exit(&self) -> Result<Option<Exit>, Error> {
        durable::read(&self.path.join(Exit::FILE))
    }

    /// What came of the attempt, once it is collected.
    pub fn ended(&self) -> Result<Option<Ended>, Error> {
        let found: Option<Written> = durable::read(&self.path.join(OUTCOME_FILE))?;
        Ok(found.map(|found| match found {
            Written::Ended(ended) => *ended,
            Written::Outcome(outcome) => Ended { outcome: *outcome, parcels: Vec::new() },
        }))
    }

    /// Keeps what came of it until it is acknowledged, also when the run has filled the disk, or removed its own
    /// folder. It rests on the exit record: after a power cut it is made again from that.
    pub fn keep_ended(&self, ended: &Ended) -> Result<(), Error> {
        let reserve = self.path.join(Self::RESERVE);
        let keep =
            || durable::from_reserve(&reserve, 0, || durable::put(&self.path.join(OUTCOME_FILE), ended));
        match keep() {
            Err(error) if error.is_absent() => {
                fs::create_dir_all(&self.path).map_err(Error::file("create", &self.path))?;
                keep()
            }
            kept => kept,
        }
    }

    /// What lies below the workspace; none where it is a folder of its own.
    pub fn layers(&self) -> Result<Option<Below>, Error> {
        durable::read(&self.path.join(LAYERS_FILE))
    }

    /// Notes what lies below the workspace, so that it stays while this attempt is kept.
    pub fn keep_layers(&self, below: &Below) -> Result<(), Error> {
        durable::put(&self.path.join(LAYERS_FILE), below)
    }

    /// The workspace as a run left it, as layers: `trees` alone, or with what its setup created.
    pub fn seen(&self) -> Result<Layers, Error> {
        Ok(match self.layers()?.filter(Below::is_overlay) {
            Some(below) => Layers([self.upper()].into_iter().chain(below.trees).collect()),
            None => Layers(vec![self.workspace()]),
        })
    }

    /// Moves the workspace to another attempt's folder, where none is; false when there is none here, or
    /// what lies below it is gone. The parts are moved so that whoever finds the workspace finds all of it.
    pub fn move_workspace(&self, to: &Self) -> Result<bool, Error> {
        let below = self.layers()?;
        if !self.workspace().is_dir() || below.as_ref().is_some_and(|below| !below.is_there()) {
            return Ok(false);
        }
        if let Some(below) = &below {
            to.keep_layers(below)?;
        }
        if below.is_some_and(|below| below.is_overlay()) {
            fs::rename(self.upper(), to.upper()).map_err(Error::file("move", &self.upper()))?;
            // A mount begins with an empty one.
            match fs::remove_dir_all(to.overlay_work()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", &to.overlay_work())(error));
                }
                _ => {}
            }
            fs::create_dir(to.overlay_work()).map_err(Error::file("create", &to.overlay_work()))?;
        }
        match fs::rename(self.workspace(), to.workspace()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::file("move", &self.workspace())(error)),
        }
    }

    /// Removes what an earlier try at preparing left; the order stays.
    pub fn clear(&self) -> Result<(), Error> {
        let folders = [self.workspace(), self.upper(), self.overlay_work(), self.results(), self.history()];
        for folder in folders.into_iter().chain([self.temporary(), self.scripts(), self.data()]) {
            match remove_tree(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", &folder)(error));
                }
                _ => {}
            }
        }
        match fs::remove_file(self.path.join(LAYERS_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("remove the layers of", &self.path)(error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_synced_rests_on_what_the_run_left_and_not_on_what_it_saw() {
        let check = |below: Option<Below>, want: &[&str]| {
            let folder = tempfile::tempdir().expect("a folder");
            let dir = AttemptDir::at(folder.path().to_owned());
            for name in ["results", "upper", "workspace", "history", "tmp"] {
                fs::create_dir(folder.path().join(name)).expect("a folder");
            }
            if let Some(below) = below {
                dir.keep_layers(&below).expect("kept");
            }
            let left = dir.left().expect("readable");
            assert_eq!(left, want.iter().map(|name| folder.path().join(name)).collect::<Vec<_>>());
            dir.sync().expect("synced");
        };
        let overlay = Below { trees: vec![PathBuf::from("/trees/a/files")], setup: None };
        check(Some(overlay), &["results", "upper"]);
        let links = Below { trees: Vec::new(), setup: Some(PathBuf::from("/setups/b")) };
        check(Some(links), &["results", "workspace"]);
        check(None, &["results", "workspace"]);
    }
}
