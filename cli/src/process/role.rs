//! A role as a child process of the same binary, on a lifeline.

use super::notify;
use crate::error::Error;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// How much of a dead child's last words is shown, bytes.
const LAST_WORDS_BYTES: usize = 2_000;

/// What to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `coordinator` or `worker`.
    pub role: &'static str,
    /// Its arguments after the subcommand.
    pub args: Vec<std::ffi::OsString>,
    /// Where its talk goes; its parent's stderr without one.
    pub log: Option<PathBuf>,
}

/// A running child.
#[derive(Debug)]
pub struct Role {
    plan: Plan,
    child: Child,
    // The child's standard input. Held apart: waiting for a child closes what it still holds.
    _lifeline: Option<ChildStdin>,
}

impl Plan {
    /// Starts it, in a process group of its own: a Ctrl-C reaches the parent alone, which ends its
    /// children in order.
    pub fn start(&self) -> Result<Role, Error> {
        let failed = |source| Error::System { operation: "start a child process", source };
        let exe = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(exe);
        // Its parent has read every setting, and hands on what counts.
        for key in &crate::config::KEYS {
            command.env_remove(key.env);
        }
        // Whoever asked to be told asked its parent.
        command.env_remove(notify::VARIABLE);
        command.arg("--no-config").arg(self.role).args(&self.args).args(["--lifeline-fd", "0"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).kill_on_drop(true);
        if let Some(path) = &self.log {
            let failed = |source| Error::File { operation: "write", path: path.clone(), source };
            let log = File::options().create(true).append(true).open(path).map_err(failed)?;
            command.stderr(log);
        }
        let mut child = command.spawn().map_err(failed)?;
        let lifeline = child.stdin.take();
        Ok(Role { plan: self.clone(), child, _lifeline: lifeline })
    }
}

impl Role {
    /// Resolves when it has ended. May be dropped and called again.
    pub async fn ended(&mut self) -> Result<ExitStatus, Error> {
        self.child
            .wait()
            .await
            .map_err(|source| Error::System { operation: "wait for a child process", source })
    }

    /// Asks it to end; kills it when it has not after `patience`.
    pub async fn stop(mut self, signal: Signal, patience: Duration) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id as i32));
        if let Some(pid) = pid {
            // It may have ended by itself in between.
            let _ = kill_process(pid, signal);
        }
        if tokio::time::timeout(patience, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    /// The error that its end is, with what it said last where that was not seen yet.
    pub fn epitaph(&self, status: ExitStatus) -> Error {
        if let (None, Some(code), false) = (&self.plan.log, status.code(), was_cut_down(status)) {
            // Its stderr is ours: whoever reads has heard it.
            return Error::ChildSaid { role: self.plan.role, code: u8::try_from(code).unwrap_or(1) };
        }
        let said = self.plan.log.as_deref().map(last_words).unwrap_or_default();
        Error::ChildEnded { role: self.plan.role, status: status.to_string(), said }
    }
}

/// Whether a process was ended from outside or by a fault of its own, rather than by a decision to end.
pub fn was_cut_down(status: ExitStatus) -> bool {
    // 101 is a panic.
    status.signal().is_some() || status.code() == Some(101)
}

fn last_words(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let tail = &bytes[bytes.len().saturating_sub(LAST_WORDS_BYTES)..];
    let text = crate::render::text::neutral_block(&String::from_utf8_lossy(tail));
    let lines: Vec<&str> = text.lines().rev().take(8).collect();
    lines.into_iter().rev().fold(String::new(), |said, line| format!("{said}\n  {line}"))
}
