//! The folder of one attempt: names and documents in it. Carries nothing out.

use crate::durable;
use crate::error::Error;
use crate::shim::{Exit, Identity, Spec};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use windlass_shared::attempt::{AttemptKey, Order, Outcome};

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

    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder's name for a key: `<campaign>.<iteration>.<number>.<fence>`. The campaign's id comes from
    /// another machine, so it must be one plain file name.
    pub(super) fn name(key: &AttemptKey) -> Result<String, Error> {
        let campaign = key.id.campaign.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if campaign.is_empty() || campaign.len() > 150 || !campaign.chars().all(plain) {
            return Err(Error::Order { field: "campaign", value: campaign.chars().take(80).collect() });
        }
        Ok(format!("{campaign}.{}.{}.{}", key.id.iteration, key.id.number, key.fence))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the command runs.
    pub fn workspace(&self) -> PathBuf {
        self.path.join("workspace")
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

    /// Begins the attempt on disk: the order is there before anything is done for it.
    pub fn begin(&self, order: &Order) -> Result<(), Error> {
        fs::create_dir_all(&self.path).map_err(Error::file("create", &self.path))?;
        durable::write(&self.path.join("order.json"), order)?;
        durable::reserve(&self.path.join(Self::RESERVE), RESERVE_BYTES)?;
        durable::sync_folder(self.path.parent().unwrap_or(&self.path))
    }

    /// What was ordered.
    pub fn order(&self) -> Result<Option<Order>, Error> {
        durable::read(&self.path.join("order.json"))
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
    pub fn outcome(&self) -> Result<Option<Outcome>, Error> {
        durable::read(&self.path.join("outcome.json"))
    }

    /// Keeps the outcome until it is acknowledged, also when the run has filled the disk.
    pub fn keep_outcome(&self, outcome: &Outcome) -> Result<(), Error> {
        let reserve = self.path.join(Self::RESERVE);
        durable::write_from_reserve(&self.path.join("outcome.json"), outcome, &reserve, 0)
    }

    /// Removes what an earlier try at preparing left; the order stays.
    pub fn clear(&self) -> Result<(), Error> {
        for folder in [self.workspace(), self.results(), self.history(), self.temporary(), self.scripts()] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", &folder)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
