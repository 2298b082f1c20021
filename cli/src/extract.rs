//! Files of the store on the user's own disk: checked against their digests on the way (I16), each whole
//! or not at all, and nothing that is there already is touched unless that was asked for.

use crate::client::Client;
use crate::download;
use crate::error::Error;
use crate::layout;
use crate::listing::{Content, Item, Place};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use windlass_proto::v1::ReadLogRequest;

/// What to do with files that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Refuse, before anything is written.
    Keep,
    /// Write over them.
    Replace,
}

/// Whose log it is, for the one kind of content that is no blob.
#[derive(Clone, Debug)]
pub struct Whose {
    /// The campaign's id.
    pub campaign: String,
    /// The iteration.
    pub iteration: u32,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Written {
    /// Files and links.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Links that were left out: they lead out of what was asked for.
    pub skipped: Vec<String>,
}

/// Writes items at their paths below `folder`.
pub async fn folder(
    client: &Client,
    whose: &Whose,
    items: &[(String, &Item)],
    folder: &Path,
    existing: Existing,
) -> Result<Written, Error> {
    if existing == Existing::Keep {
        for (path, _) in items {
            refuse_existing(&folder.join(path))?;
        }
    }
    make_folder(folder)?;
    let mut written = Written::default();
    // Links last, so that no file is written through one.
    let is_link = |item: &Item| matches!(item.content, Some(Content::Link { .. }));
    for (path, item) in items.iter().filter(|(_, item)| !is_link(item)) {
        written.bytes += one(client, whose, item, &folder.join(path)).await?;
        written.files += 1;
    }
    for (path, item) in items.iter().filter(|(_, item)| is_link(item)) {
        let Some(Content::Link { target }) = &item.content else { continue };
        // A run's own link could lead anywhere on the user's machine; a tree's was held to P3.
        if item.place != Place::Tree || !crate::workspace::stays_inside(Path::new(path), Path::new(target)) {
            written.skipped.push(item.path.clone());
            continue;
        }
        link(&folder.join(path), target)?;
        written.files += 1;
    }
    Ok(written)
}

/// Writes one file; answers its bytes.
pub async fn file(
    client: &Client,
    whose: &Whose,
    item: &Item,
    path: &Path,
    existing: Existing,
) -> Result<u64, Error> {
    let Some(place) = layout::place(path) else {
        return fill(client, whose, item, Draft::into(path)?).await;
    };
    if existing == Existing::Keep {
        refuse_existing(path)?;
    }
    one(client, whose, item, &place).await
}

async fn one(client: &Client, whose: &Whose, item: &Item, path: &Path) -> Result<u64, Error> {
    fill(client, whose, item, Draft::beside(path)?).await
}

async fn fill(client: &Client, whose: &Whose, item: &Item, mut draft: Draft) -> Result<u64, Error> {
    match &item.content {
        Some(Content::Blob { digest, executable }) => {
            download::pieces(client, *digest, |piece| draft.write(piece)).await?;
            draft.finish(if *executable { 0o755 } else { 0o644 })
        }
        Some(Content::Log { attempt }) => {
            log_pieces(client, whose, *attempt, |piece| draft.write(piece)).await?;
            draft.finish(0o644)
        }
        Some(Content::Link { .. }) | None => Err(Error::NoFile {
            path: item.path.clone(),
            whose: "what can be written".to_owned(),
            nearest: None,
        }),
    }
}

/// The bytes of a log, piece by piece.
pub async fn log_pieces(
    client: &Client,
    whose: &Whose,
    attempt: u32,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let (campaign, iteration) = (whose.campaign.clone(), whose.iteration);
    let request = ReadLogRequest { campaign, iteration, attempt, ..ReadLogRequest::default() };
    let mut stream = client.logs().read_log(request).await?.into_inner();
    while let Some(piece) = stream.message().await? {
        take(&piece.data)?;
    }
    Ok(())
}

fn refuse_existing(path: &Path) -> Result<(), Error> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Err(Error::Exists { path: path.to_owned() }),
        Err(problem) if problem.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::File { operation: "look at", path: path.to_owned(), source }),
    }
}

fn make_folder(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(|source| Error::File {
        operation: "make the folder",
        path: path.to_owned(),
        source,
    })
}

fn link(path: &Path, target: &str) -> Result<(), Error> {
    let failed = |source| Error::File { operation: "link", path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_dir()) {
        std::fs::remove_file(path).map_err(failed)?;
    }
    symlink(target, path).map_err(failed)
}

/// A file that is being written under another name beside its own; what is no file has only its own.
struct Draft {
    path: PathBuf,
    temporary: Option<PathBuf>,
    file: std::fs::File,
    bytes: u64,
}

impl Draft {
    fn beside(path: &Path) -> Result<Self, Error> {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        make_folder(parent)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = parent.join(format!(".{name}.windlass-{}", std::process::id()));
        let file = std::fs::File::create(&temporary).map_err(|source| Error::File {
            operation: "write",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { path: path.to_owned(), temporary: Some(temporary), file, bytes: 0 })
    }

    /// A device, pipe or socket.
    fn into(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { operation: "write", path: path.to_owned(), source };
        let file = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), temporary: None, file, bytes: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|source| self.failed(source))
    }

    fn finish(self, mode: u32) -> Result<u64, Error> {
        if let Some(temporary) = &self.temporary {
            self.file
                .set_permissions(std::fs::Permissions::from_mode(mode))
                .and_then(|()| std::fs::rename(temporary, &self.path))
                .map_err(|source| self.failed(source))?;
        }
        Ok(self.bytes)
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::File { operation: "write", path: self.path.clone(), source }
    }
}

impl Drop for Draft {
    /// What was not finished is taken away again; a finished one has its own name by now.
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = std::fs::remove_file(temporary);
        }
    }
}
