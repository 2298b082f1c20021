//! What a worker is told at its start.

use crate::client::Endpoint;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use windlass_shared::space::Marks;

/// Settings of one worker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its work folder: spool, blobs, identity.
    pub work_dir: PathBuf,
    /// Where its coordinator listens.
    pub coordinator: Endpoint,
    /// Its name for people; the host's by default.
    pub name: Option<String>,
    /// Labels that it carries.
    pub labels: Vec<String>,
    /// CPU slots to offer; by default one for each two cores where there is no GPU.
    pub cpu_slots: Option<u32>,
    /// Another library in NVML's place.
    pub nvml_library: Option<OsString>,
    /// What the blob cache and the trees may hold, bytes each; by default 20 GiB or a tenth of the disk,
    /// whichever is less.
    pub cache_max_bytes: Option<u64>,
    /// Its own secrets: lines of `NAME=value` in a file of mode 0600; by default `secrets.env` in the work
    /// folder.
    pub secrets_file: Option<PathBuf>,
    /// Copies each workspace, also where overlays could be mounted.
    pub copies: bool,
    /// Files and folders that no run reads or writes beside the work folder: the coordinator's data folder, where it
    /// is on this machine.
    pub hidden: Vec<PathBuf>,
    /// At which mark a disk that fills up keeps new work away.
    pub marks: Marks,
    /// How long a download for an order may fail of a coordinator that is there, before the order fails by
    /// it; an outage is waited out.
    pub download_patience: Duration,
    /// The binary that is started as `<exe> shim <dir>`.
    pub exe: PathBuf,
}

/// A coordinator that answers and cannot send a blob for a minute will not send it.
const DOWNLOAD_PATIENCE: Duration = Duration::from_secs(60);

impl Settings {
    /// Settings with defaults: `exe` is this process's own binary, NVML's library may be replaced by
    /// `WINDLASS_NVML_LIBRARY`.
    pub fn new(work_dir: PathBuf, coordinator: Endpoint) -> std::io::Result<Self> {
        Ok(Self {
            work_dir,
            coordinator,
            name: None,
            labels: Vec::new(),
            cpu_slots: None,
            nvml_library: std::env::var_os("WINDLASS_NVML_LIBRARY"),
            cache_max_bytes: None,
            secrets_file: None,
            copies: false,
            hidden: Vec::new(),
            marks: Marks::default(),
            download_patience: DOWNLOAD_PATIENCE,
            exe: std::env::current_exe()?,
        })
    }
}
