//! Runs the hook's command, a few at a time and each for a bounded time. One that fails is logged and not run again:
//! what it would have told stands in the ledger.

use super::Hook;
use super::message::Message;
use crate::driver::Tasks;
use crate::metrics::{Hooked, Metrics};
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, mpsc};

/// Messages that may wait for their turn; more are dropped and counted.
const WAITING_MAX: usize = 256;
/// Commands at a time.
const RUNNING_MAX: usize = 4;
/// How long one may take; then its process group is killed.
const RUN_MAX: Duration = Duration::from_secs(30);
/// How much of what a failed one said is logged, bytes.
const SAID_MAX: usize = 2_000;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("failed to start it")]
    Start(#[source] std::io::Error),
    #[error("it ended with {status}: {said}")]
    Ended { status: std::process::ExitStatus, said: String },
    #[error("it took longer than {} s and was killed", RUN_MAX.as_secs())]
    Slow,
    #[error("failed to wait for it")]
    Wait(#[source] std::io::Error),
}

/// Where messages go in.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    messages: mpsc::Sender<Message>,
    metrics: Metrics,
}

impl Runner {
    /// Begins to run what comes.
    pub fn start(hook: Hook, metrics: Metrics, tasks: &Tasks) -> Self {
        let (messages, mut waiting) = mpsc::channel::<Message>(WAITING_MAX);
        let runner = Self { messages, metrics: metrics.clone() };
        let places = Arc::new(Semaphore::new(RUNNING_MAX));
        let all = tasks.clone();
        tasks.until_shutdown(async move {
            while let Some(message) = waiting.recv().await {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let (hook, metrics) = (hook.clone(), metrics.clone());
                all.until_shutdown(async move {
                    note(&message, run(&hook, &message).await, &metrics);
                    drop(place);
                });
            }
        });
        runner
    }

    /// Lets a message be told; one that finds too many waiting is dropped.
    pub fn tell(&self, message: Message) {
        if let Err(refused) = self.messages.try_send(message) {
            let message = match &refused {
                mpsc::error::TrySendError::Full(message) | mpsc::error::TrySendError::Closed(message) => {
                    message
                }
            };
            tracing::warn!(campaign = %message.campaign, event = message.event, "too many messages wait for the hook; this one is dropped");
            self.metrics.hooked(Hooked::Dropped);
        }
    }
}

fn note(message: &Message, ran: Result<(), Failure>, metrics: &Metrics) {
    match ran {
        Ok(()) => {
            tracing::debug!(campaign = %message.campaign, event = message.event, "the hook was told");
            metrics.hooked(Hooked::Well);
        }
        Err(failure) => {
            let error = &failure as &dyn std::error::Error;
            tracing::warn!(campaign = %message.campaign, event = message.event, error, "the hook failed; it is not run again for this");
            metrics.hooked(Hooked::Failed);
        }
    }
}

async fn run(hook: &Hook, message: &Message) -> Result<(), Failure> {
    let mut command = Command::new("sh");
    command.arg("-c").arg(&hook.command).env("WINDLASS_EVENT", message.event);
    command.env("WINDLASS_CAMPAIGN", message.campaign.as_str());
    // A group of its own, so that what it starts goes with it.
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(Failure::Start)?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let ended = tokio::time::timeout(RUN_MAX, speak(&mut child, message.line())).await;
    // What it left behind goes too, and a coordinator that ends leaves nothing either.
    drop(group);
    let (status, said) = ended.map_err(|_| Failure::Slow)?.map_err(Failure::Wait)?;
    if status.success() { Ok(()) } else { Err(Failure::Ended { status, said }) }
}

/// Says the line, hears its standard error to the end of the process, and keeps the beginning of that.
async fn speak(child: &mut Child, line: Vec<u8>) -> std::io::Result<(std::process::ExitStatus, String)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let telling = async {
        if let Some(mut stdin) = stdin {
            // One that reads nothing has its reasons.
            let _ = stdin.write_all(&line).await;
        }
    };
    let hearing = async {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            let mut piece = [0; 1024];
            while let Ok(length @ 1..) = stderr.read(&mut piece).await {
                let room = SAID_MAX.saturating_sub(said.len()).min(length);
                said.extend_from_slice(&piece[..room]);
            }
        }
        said
    };
    // It is over when its process is, whoever else still holds its standard error.
    let waiting = async {
        telling.await;
        child.wait().await
    };
    tokio::pin!(hearing);
    tokio::pin!(waiting);
    let mut said = None;
    let status = loop {
        tokio::select! {
            status = &mut waiting => break status?,
            heard = &mut hearing, if said.is_none() => said = Some(heard),
        }
    };
    let said = match said {
        Some(said) => said,
        None => tokio::time::timeout(Duration::from_millis(200), hearing).await.unwrap_or_default(),
    };
    Ok((status, String::from_utf8_lossy(&said).trim().escape_debug().to_string()))
}

/// A process group that ends with this value.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Mostly nobody of it is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
