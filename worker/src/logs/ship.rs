//! Ships one log as it grows: streams of at most 32 MiB, each acknowledged when it is durable on the head node.
//! It ends when the log is whole and all of it is acknowledged.

use super::growth::Growth;
use crate::client::Client;
use crate::driver::blocking;
use crate::durable;
use crate::error::Error;
use crate::shop::{Backoff, Patience, persist};
use bytes::Bytes;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use windlass_proto::{CHUNK_BYTES, v1};
use windlass_shared::attempt::AttemptKey;

/// The most bytes of one stream: what is in flight before the head node says what is durable.
const STREAM_MAX_BYTES: u64 = 32 << 20;
/// Words that come this soon after each other go in one stream, so that a chatty run does not cost the head
/// node a sync for each line.
const GATHER: Duration = Duration::from_millis(20);
/// A log that says nothing is looked at anyway this often: a lost hint costs no more.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Pieces read ahead of the network: 1 MiB.
const AHEAD: usize = 4;

/// Who sends a log: it goes out by itself as it grows, or whole with its attempt's outcome. Whoever comes first
/// decides it, once.
#[derive(Clone, Debug)]
pub struct Turn(Arc<OnceLock<Way>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ByItself,
    WithOutcome,
}

impl Turn {
    /// Of a log that begins so: one of which an earlier daemon may have sent a part goes on by itself.
    pub fn of(beginning: Beginning) -> Self {
        let decided = match beginning {
            Beginning::Fresh => OnceLock::new(),
            Beginning::Resumed => OnceLock::from(Way::ByItself),
        };
        Self(Arc::new(decided))
    }

    /// From now on it goes with the outcome. False when some of it may have gone already.
    pub fn hold(&self) -> bool {
        *self.0.get_or_init(|| Way::WithOutcome) == Way::WithOutcome
    }

    fn is_held(&self) -> bool {
        self.0.get() == Some(&Way::WithOutcome)
    }

    fn go(&self) -> bool {
        *self.0.get_or_init(|| Way::ByItself) == Way::ByItself
    }
}

/// What became of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipped {
    /// All of it is acknowledged.
    Whole,
    /// None of it was sent: it goes with the outcome.
    Held,
}

/// Whether the coordinator may have bytes of this log already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The attempt was just started: it has none.
    Fresh,
    /// An earlier daemon may have sent some: ask.
    Resumed,
}

/// Sends the log at `path` until `whole` is true and everything is acknowledged, unless it is held in `turn`
/// before anything of it has gone. Of a file that is longer than `most_bytes`, which no shim writes, only so much
/// goes. Fails only by a refusal or an unreadable log; a lost connection is waited out.
pub async fn ship(
    client: &Client,
    key: &AttemptKey,
    path: &Path,
    most_bytes: u64,
    beginning: Beginning,
    turn: &Turn,
    mut whole: watch::Receiver<bool>,
) -> Result<Shipped, Error> {
    let ask = || persist(Patience::Endless, || send(client, key, path, 0, 0));
    let mut acknowledged = 0;
    if beginning == Beginning::Resumed {
        acknowledged = ask().await?;
    } else {
        // A run that is over by then needs no watch over its log.
        tokio::select! {
            _ = whole.wait_for(|&is_whole| is_whole) => {}
            () = tokio::time::sleep(GATHER) => {}
        }
    }
    if turn.is_held() {
        return Ok(Shipped::Held);
    }
    let growth = Growth::of(path);
    let mut backoff = Backoff::default();
    loop {
        // Asked before the size: a log that was whole then has its final size now.
        let finished = *whole.borrow_and_update();
        let size = size(path)?.min(most_bytes);
        if acknowledged > size && finished {
            return Err(Error::LogOffset { have: size, acknowledged });
        }
        if acknowledged < size {
            if !turn.go() {
                return Ok(Shipped::Held);
            }
            let until = size.min(acknowledged + STREAM_MAX_BYTES);
            let from = acknowledged;
            acknowledged = match send(client, key, path, from, until).await {
                Ok(acknowledged) => acknowledged,
                Err(error) if error.is_transient() => {
                    // A part of it may have got there: it is not sent again.
                    backoff.wait().await;
                    ask().await?
                }
                Err(error) => return Err(error),
            };
            if acknowledged > from {
                backoff = Backoff::default();
            } else {
                if acknowledged < from {
                    // It lost bytes it had acknowledged; they are all here, so it gets them again.
                    tracing::warn!(%key, from, acknowledged, "the coordinator wants a part of the log again");
                }
                backoff.wait().await;
            }
        } else if finished {
            return Ok(if turn.go() { Shipped::Whole } else { Shipped::Held });
        } else {
            wait(&growth, &mut whole).await;
        }
    }
}

/// Until there may be more to send. The end of the log is worth a look at once.
async fn wait(growth: &Growth, whole: &mut watch::Receiver<bool>) {
    let gather = async {
        growth.grew().await;
        tokio::time::sleep(GATHER).await;
    };
    tokio::select! {
        changed = whole.changed() => if changed.is_err() {
            // The sender is gone, and the daemon with it soon.
            tokio::time::sleep(LOOK_EVERY).await;
        },
        () = gather => {}
        () = tokio::time::sleep(LOOK_EVERY) => {}
    }
}

/// One stream of the bytes `from..until`; says how much is durable then.
async fn send(client: &Client, key: &AttemptKey, path: &Path, from: u64, until: u64) -> Result<u64, Error> {
    let (sender, receiver) = tokio::sync::mpsc::channel(AHEAD);
    let reading = {
        let (key, path) = (v1::AttemptKey::from(key), path.to_owned());
        blocking(move || read(&path, key, from, until, &sender))
    };
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut logs = client.logs();
    let (read, response) = tokio::join!(reading, logs.write_log(stream));
    read?;
    Ok(response.map_err(Error::call("LogService.WriteLog"))?.into_inner().acknowledged_bytes)
}

fn read(
    path: &Path,
    key: v1::AttemptKey,
    from: u64,
    until: u64,
    sender: &tokio::sync::mpsc::Sender<v1::WriteLogRequest>,
) -> Result<(), Error> {
    let mut key = Some(key);
    let mut offset = from;
    let file =
        if from < until { Some(durable::open(path).map_err(Error::file("open", path))?) } else { None };
    loop {
        let want = usize::try_from(until - offset).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let mut data = vec![0; want];
        if let Some(file) = &file {
            file.read_exact_at(&mut data, offset).map_err(Error::file("read", path))?;
        }
        let message = v1::WriteLogRequest { key: key.take(), offset, data: Bytes::from(data) };
        offset += want as u64;
        // The receiver is gone when the call has failed; the call says why.
        if sender.blocking_send(message).is_err() || offset >= until {
            return Ok(());
        }
    }
}

fn size(path: &Path) -> Result<u64, Error> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(if metadata.is_file() { metadata.len() } else { 0 }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Error::file("look at", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i10_a_log_of_which_some_may_have_gone_never_goes_with_the_outcome_too() {
        let fresh = Turn::of(Beginning::Fresh);
        assert!(fresh.clone().hold() && fresh.hold(), "the first to come decides, once");
        assert!(!fresh.go() && fresh.is_held());
        let begun = Turn::of(Beginning::Fresh);
        assert!(begun.go() && !begun.hold() && !begun.is_held());
        let resumed = Turn::of(Beginning::Resumed);
        assert!(!resumed.hold() && resumed.go(), "whoever asks first");
    }
}
