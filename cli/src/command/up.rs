//! `windlass up`: a coordinator and a worker on this machine, supervised as child processes.

use crate::error::{Error, quote};
use crate::process::pair::Pair;
use crate::process::role::Plan;
use crate::process::signals::{Request, Signals};
use crate::session::Session;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// How the two are set up.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Loopback address beside the Unix socket; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// The worker's own folder [default: worker in the data folder]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// The worker's name [default: the host's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// CPU slots that the worker offers where there is no GPU [default: its own choice]
    #[arg(long, value_name = "K")]
    pub cpu_slots: Option<u32>,
}

/// Runs both until asked to end. SIGINT ends the runs too; SIGTERM leaves them to be found again.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let here = session.at(&session.data_dir);
    let mut pair = pair(&args, &here, None);
    let request = tokio::select! {
        started = pair.start(&here) => match started {
            Ok(()) => None,
            Err(problem) => {
                pair.stop(Request::EndRuns).await;
                return Err(problem);
            }
        },
        request = signals.next() => Some(request),
    };
    let request = match request {
        Some(request) => request,
        None => {
            let dir = quote(&session.data_dir);
            session.say(&format!("ready: windlass --data-dir {dir} submit DIR (Ctrl-C ends it)"));
            tokio::select! {
                problem = pair.supervise() => {
                    pair.stop(Request::LeaveRuns).await;
                    return Err(problem);
                }
                request = signals.next() => request,
            }
        }
    };
    session.say("ending");
    pair.stop(request).await;
    Ok(())
}

/// The two as `up` and `demo` run them; with `logs` their talk goes into files there.
pub fn pair(args: &Args, session: &Session, logs: Option<&Path>) -> Pair {
    let data_dir = session.data_dir.as_os_str().to_owned();
    let work_dir = args.work_dir.clone().unwrap_or_else(|| session.data_dir.join("worker"));
    let log = |name: &str| logs.map(|dir| dir.join(name));
    let option = |name: &str, value: OsString| [OsString::from(name), value];
    let mut coordinator: Vec<OsString> = Vec::new();
    coordinator.extend(option("--data-dir", data_dir.clone()));
    coordinator.extend(args.listen.iter().flat_map(|listen| option("--listen", listen.to_string().into())));
    let mut worker: Vec<OsString> = Vec::new();
    worker.extend(option("--data-dir", data_dir));
    worker.extend(option("--work-dir", work_dir.into_os_string()));
    worker.extend(args.name.iter().flat_map(|name| option("--name", name.into())));
    worker.extend(args.cpu_slots.iter().flat_map(|slots| option("--cpu-slots", slots.to_string().into())));
    Pair::new(
        Plan { role: "coordinator", args: coordinator, log: log("coordinator.log") },
        Plan { role: "worker", args: worker, log: log("worker.log") },
    )
}
