//! `windlass worker`: becomes a worker.

use super::role_log;
use crate::client;
use crate::error::Error;
use crate::process::end_runs;
use crate::process::lifeline;
use crate::process::signals::{Request, Signals};
use crate::session::Session;
use std::path::{Path, PathBuf};
use windlass_shared::join::JoinToken;
use windlass_shared::size::Size;
use windlass_worker::client::Endpoint;
use windlass_worker::identity::{self, Identity, Wanted, file_in};
use windlass_worker::spool::WorkDir;

/// How it is set up.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Join by this token of `windlass token create`, the first time; later starts need it no more, and may keep it
    #[arg(long, env = "WINDLASS_JOIN", value_name = "TOKEN")]
    pub join: Option<String>,
    /// Its own folder: spool, cache, workspaces [default: worker in the data folder]
    #[arg(long, env = "WINDLASS_WORK_DIR", value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// Its name, for people [default: the host's]
    #[arg(long, env = "WINDLASS_WORKER_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// A label that campaigns can ask for; may be given several times
    #[arg(long = "label", env = "WINDLASS_LABELS", value_delimiter = ',', value_name = "LABEL")]
    pub labels: Vec<String>,
    /// CPU slots offered where there is no GPU [default: its own choice]
    #[arg(long, env = "WINDLASS_CPU_SLOTS", value_name = "K")]
    pub cpu_slots: Option<u32>,
    /// Take nothing new when less is free on the disk of the work folder [default: 1 GiB, or a twentieth of a small disk]
    #[arg(long, env = "WINDLASS_WORK_DISK_STOP_BELOW", value_name = "SIZE", value_parser = Size::parse)]
    pub work_disk_stop_below: Option<Size>,
    /// Its own secrets: NAME=value lines in a file that only its owner may read [default: secrets.env in the work folder]
    #[arg(long, env = "WINDLASS_SECRETS_FILE", value_name = "FILE")]
    pub secrets_file: Option<PathBuf>,
    /// What its blobs and its trees may take on the disk, each [default: 20 GiB, or a tenth of a small disk]
    #[arg(long, env = "WINDLASS_CACHE_MAX", value_name = "SIZE", value_parser = Size::parse)]
    pub cache_max: Option<Size>,
    /// Copy every workspace, also where overlays can be mounted
    #[arg(long)]
    pub copy_workspaces: bool,
    #[command(flatten)]
    pub log: role_log::Logging,
    /// End when the other end of this descriptor is closed
    #[arg(long, hide = true, value_name = "N")]
    pub lifeline_fd: Option<u32>,
}

/// Works until it is asked to end.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    role_log::start(&args.log, session.quiet);
    let mut signals = Signals::listen()?;
    let work_dir = args.work_dir.unwrap_or_else(|| session.data_dir.join("worker"));
    if let Some(token) = &args.join {
        join(token, args.name.clone(), &work_dir).await?;
    }
    let way = way(session, &work_dir)?;
    let name = settle_name(args.name, &way)?;
    let mut settings = windlass_worker::settings::Settings::new(work_dir.clone(), way)
        .map_err(|source| Error::System { operation: "find this program's own file", source })?;
    (settings.name, settings.labels, settings.cpu_slots) = (name, args.labels, args.cpu_slots);
    // A coordinator may live there; a run has no business with it, nor with the token in it.
    settings.hidden.push(session.data_dir.clone());
    settings.marks.stop_bytes = args.work_disk_stop_below.map(|size| size.bytes);
    (settings.secrets_file, settings.copies) = (args.secrets_file, args.copy_workspaces);
    settings.cache_max_bytes = args.cache_max.map(|size| size.bytes);
    let shutdown = tokio_util::sync::CancellationToken::new();
    let working = Box::pin(windlass_worker::driver::run(settings, shutdown.clone()));
    tokio::pin!(working);
    let (worked, request) = tokio::select! {
        worked = &mut working => (worked, Request::LeaveRuns),
        request = signals.next() => { shutdown.cancel(); (working.await, request) }
        // The parent is gone without a word: the runs are left, to be found again.
        () = lifeline::cut(args.lifeline_fd) => { shutdown.cancel(); (working.await, Request::LeaveRuns) }
    };
    if request == Request::EndRuns {
        end_runs::in_folder(&work_dir);
    }
    worked.map_err(|problem| Error::Worker(Box::new(problem)))
}

/// Joins, unless that was done by this very token: a unit file keeps its token for ever. Another one lets a machine in
/// anew whose certificate was revoked; where it counts no more, a certificate that does is gone on with.
async fn join(text: &str, name: Option<String>, work_dir: &Path) -> Result<(), Error> {
    let token = JoinToken::parse(&super::join::text(&[text.to_owned()])?).map_err(identity::Error::from)?;
    let file = file_in(work_dir);
    let counts = |joined: &Identity| {
        joined.fingerprint() == Some(token.fingerprint)
            && token.name.as_ref().is_none_or(|name| *name == joined.name)
            && !joined.is_over()
    };
    let joined = Identity::read(&file)?.filter(counts);
    if joined.as_ref().is_some_and(|joined| joined.is_of(&token)) {
        return Ok(());
    }
    let failed = |problem| Error::Worker(Box::new(problem));
    // Opened and let go: it holds the worker's own id.
    let id = WorkDir::open(work_dir).map_err(failed)?.id().clone();
    let default_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let wanted = Wanted { worker: Some(id), name, default_name };
    match (identity::join(&token, wanted, &file).await, joined) {
        (Ok(joined), _) => tracing::info!(name = joined.name, coordinator = joined.address, "joined"),
        (Err(problem), Some(_)) => {
            let problem = &problem as &dyn std::error::Error;
            tracing::warn!(problem, "this token lets nobody in; going on as who has joined before");
        }
        (Err(problem), None) => return Err(problem.into()),
    }
    Ok(())
}

/// A worker that has joined is who its certificate says.
fn settle_name(name: Option<String>, way: &Endpoint) -> Result<Option<String>, Error> {
    let Endpoint::Tls { identity, .. } = way else { return Ok(name) };
    match name {
        Some(wanted) if wanted != identity.name => {
            Err(identity::Error::Name { token: identity.name.clone(), wanted }.into())
        }
        _ => Ok(Some(identity.name.clone())),
    }
}

/// The coordinator: as the global options name it, else as this work folder joined it, else the data folder's.
fn way(session: &Session, work_dir: &Path) -> Result<Endpoint, Error> {
    let file = file_in(work_dir);
    let over_tls = session.coordinator.as_ref().map(|address| address.strip_prefix("https://"));
    match over_tls {
        Some(None) => endpoint(session),
        Some(Some(address)) => {
            let joined =
                Identity::read(&file)?.ok_or_else(|| identity::Error::NotJoined { path: file.clone() })?;
            let identity = joined.at(address.trim_end_matches('/').to_owned());
            Ok(Endpoint::Tls { identity, file })
        }
        None => match Identity::read(&file)? {
            Some(identity) => Ok(Endpoint::Tls { identity, file }),
            None => endpoint(session),
        },
    }
}

/// The coordinator on this machine, as the global options name it.
fn endpoint(session: &Session) -> Result<Endpoint, Error> {
    let Some(address) = &session.coordinator else {
        return Ok(Endpoint::Unix(client::socket_of(&session.data_dir)));
    };
    if let Some(path) = address.strip_prefix("unix:") {
        return Ok(Endpoint::Unix(PathBuf::from(path.strip_prefix("//").unwrap_or(path))));
    }
    let address = client::plain(address, session.plaintext)?;
    let token = client::token_text(session)?.unwrap_or_default();
    Ok(Endpoint::Tcp { address, token })
}
