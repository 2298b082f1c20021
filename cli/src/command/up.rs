//! `windlass up`: a coordinator and a worker on this machine, supervised as child processes.

mod passed;
mod worker;

use super::role_log;
use crate::error::{Error, quote};
use crate::process::notify;
use crate::process::pair::Pair;
use crate::process::role::Plan;
use crate::process::signals::{Request, Signals};
use crate::session::Session;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

/// How the two are set up.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Address beside the Unix socket; with TLS unless it is loopback; port 0 takes a free one
    #[arg(long, env = "WINDLASS_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// How long a silent worker keeps its leases, as `30 s` or `2 min` [default: 30 s]
    #[arg(long, env = "WINDLASS_WORKER_LOST_AFTER", value_name = "SPAN")]
    pub worker_lost_after: Option<String>,
    #[command(flatten)]
    coordinator: passed::Passed,
    #[command(flatten)]
    pub worker: worker::Handed,
    #[command(flatten)]
    pub log: role_log::Logging,
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
            notify::ready();
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
    let said = args.log.log.iter().flat_map(|filter| ["--log".into(), filter.into()]);
    let said: Vec<OsString> =
        said.chain(["--log-format".into(), args.log.log_format.as_str().into()]).collect();
    let log = |name: &str| logs.map(|dir| dir.join(name));
    let option = |name: &str, value: OsString| [OsString::from(name), value];
    let form = session.is_json().then_some("json");
    let mut coordinator: Vec<OsString> = said.clone();
    coordinator.extend(form.iter().flat_map(|form| option("--output", form.into())));
    coordinator.extend(option("--data-dir", data_dir.clone()));
    coordinator.extend(args.listen.iter().flat_map(|listen| option("--listen", listen.to_string().into())));
    let lost_after = args.worker_lost_after.iter();
    coordinator.extend(lost_after.flat_map(|span| option("--worker-lost-after", span.into())));
    coordinator.extend(args.coordinator.words());
    if session.plaintext {
        coordinator.push("--plaintext-i-accept-that-anyone-can-read-and-run".into());
    }
    let mut worker: Vec<OsString> = said;
    worker.extend(form.iter().flat_map(|form| option("--output", form.into())));
    worker.extend(option("--data-dir", data_dir));
    worker.extend(args.worker.words());
    Pair::new(
        Plan { role: "coordinator", args: coordinator, log: log("coordinator.log") },
        Plan { role: "worker", args: worker, log: log("worker.log") },
    )
}
