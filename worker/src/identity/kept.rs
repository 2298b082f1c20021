//! An identity on disk: one file of mode 0600, written whole, so that key and certificate always belong together.

use super::Error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use windlass_shared::access::Role;
use windlass_shared::digest::Hash;
use windlass_shared::join::JoinToken;

/// Where an identity lies in the folder of whoever has it: a work folder, or a client's data folder.
pub fn file_in(folder: &Path) -> PathBuf {
    folder.join("joined.json")
}

/// Who this machine is to one coordinator.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `HOST:PORT` of the coordinator.
    pub address: String,
    /// What it may be.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// When its certificate was made, by the coordinator's clock.
    pub issued_wall_ms: i64,
    /// When it ends, by the coordinator's clock.
    pub expires_wall_ms: i64,
    /// The hash of the token's secret by which it joined: another token is a wish to join anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) joined_by: Option<Hash>,
    /// DER in base64, as are the next two.
    pub(super) authority: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Identity {
    /// Reads one; none where there is no file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Damaged`].
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let failed = |source| Error::File { operation: "read", path: path.to_owned(), source };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // A copy may have widened the mode.
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        let damaged = || Error::Damaged { path: path.to_owned() };
        let identity: Self = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        identity.parts().map(|_| Some(identity)).ok_or_else(damaged)
    }

    /// Writes it beside its place, synced and renamed.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |operation| {
            let path = path.to_owned();
            move |source| Error::File { operation, path, source }
        };
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
        // Commands side by side may renew at once: each has a draft of its own.
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let _ = fs::remove_file(&beside);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let mut file = opened.map_err(failed("make"))?;
        let bytes = serde_json::to_vec(self).expect("an identity is always representable");
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed("write"))?;
        fs::rename(&beside, path).map_err(failed("put into place"))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync the folder of"))
    }

    /// The same identity at another address: a coordinator that moved is known by its CA.
    pub fn at(mut self, address: String) -> Self {
        self.address = address;
        self
    }

    /// Whether its certificate has ended, by this machine's clock.
    pub fn is_over(&self) -> bool {
        super::joining::now_ms() >= self.expires_wall_ms
    }

    /// Whether it came of this very token.
    pub fn is_of(&self, token: &JoinToken) -> bool {
        self.joined_by == Some(Hash::of(token.secret.as_bytes()))
    }

    /// What tells its coordinator from others.
    pub fn fingerprint(&self) -> Option<Hash> {
        self.parts().map(|parts| Hash::of(&parts.0))
    }

    /// The CA, the certificate, the key.
    pub(super) fn parts(
        &self,
    ) -> Option<(CertificateDer<'static>, CertificateDer<'static>, PrivateKeyDer<'static>)> {
        let read = |text: &str| STANDARD.decode(text).ok();
        Some((
            CertificateDer::from(read(&self.authority)?),
            CertificateDer::from(read(&self.certificate)?),
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(read(&self.key)?)),
        ))
    }
}

/// Bytes as they stand in the file.
pub(super) fn coded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({} {} at {})", self.role, self.name, self.address)
    }
}
