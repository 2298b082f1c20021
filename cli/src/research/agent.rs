//! The command in a turn: started in what contains a worker's runs, by the same shim, so that it has a time limit
//! which outlives this process, an output that cannot flood anything, and nothing of it is left behind. A turn is
//! found again after a restart. Never judges what it answered.

use crate::error::Error;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::{AttemptId, CampaignId, FencingNumber, Incarnation, IterationNumber};
use windlass_shared::machine::{Containment, Isolation, Limits};
use windlass_shared::secret::{SECRETS_MAX, Secret, Secrets, is_name};
use windlass_worker::driver::readable_when;
use windlass_worker::sandbox::{Machine, Walls};
use windlass_worker::shim::{self, ATTEMPT_VARIABLE, Exit, Identity, LogLimits, Mounts, Nursery, Spec};
use windlass_worker::spool::{self, AttemptDir};

/// What is kept of the output from its beginning and from its end: a long session's transcript has some MiB.
const LOG: LogLimits = LogLimits { head_bytes: 4 << 20, tail_bytes: 4 << 20 };
/// What a command may write into its turn's folder: a large workspace built twice over.
const DISK_MAX_BYTES: u64 = 20 << 30;
/// Between SIGTERM and the end of the whole tree when the time is over.
const GRACE: Duration = Duration::from_secs(10);
/// Looks at a process that is there, is not, and is there again: each is a restart of something.
const LOOKS_MAX: u32 = 100;
/// What says that a variable holds a secret: it then reaches the command's environment and nothing else.
const SECRET_WORDS: [&str; 5] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"];
/// A shorter value is no secret, and would be taken out of every other word.
const SECRET_MIN_BYTES: usize = 8;

/// How far a command is shut in.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// The level of isolation.
    pub isolation: Isolation,
    /// What it may write beside its turn's folder.
    pub writable: Vec<PathBuf>,
    /// What it neither reads nor writes when it is shut in.
    pub hidden: Vec<PathBuf>,
}

/// What starts commands.
#[derive(Debug)]
pub struct Agent {
    nursery: Nursery,
    machine: Machine,
    confinement: Confinement,
    command: String,
    time_limit: Duration,
}

/// A start.
#[derive(Debug)]
pub struct Start<'a> {
    /// The turn's folder.
    pub turn: &'a Path,
    /// The folder of what contains it.
    pub shim: &'a Path,
    /// Whose it is.
    pub campaign: &'a str,
    /// The turn's number.
    pub number: u64,
    /// Drawn for the turn.
    pub nonce: u64,
    /// What stands in its environment beside what this process has.
    pub env: BTreeMap<String, String>,
}

/// How a turn stands.
#[derive(Debug)]
pub enum Standing {
    /// It never began, and nothing will begin it but a new start.
    Unstarted,
    /// It is over.
    Ended(Box<Exit>),
    /// Whatever contained it is gone without a word.
    Lost,
}

impl Agent {
    /// One for `words`, a command and its arguments; refused where the machine cannot shut it in so far.
    pub fn new(words: &[String], time_limit: Duration, confinement: Confinement) -> Result<Self, Error> {
        find(words.first().map_or("", String::as_str))?;
        let exe = std::env::current_exe()
            .map_err(|source| Error::System { operation: "find this program", source })?;
        let machine = Machine::probe(&exe);
        if let Some((problem, remedy)) = machine.lacks(confinement.isolation) {
            return Err(Error::Input {
                message: format!("isolation {} is not to be had here: {problem}", confinement.isolation),
                remedy: remedy.replace("`sandbox: ", "`--isolation "),
            });
        }
        let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
        // The prompt is its standard input; all that it prints is one log, in order.
        let command = format!("exec {} < \"$WINDLASS_PROMPT\"", words.join(" "));
        Ok(Self { nursery: Nursery::new(&exe), machine, confinement, command, time_limit })
    }

    /// Starts it. Returns when it runs or has failed to: how it stands is asked for then.
    pub async fn start(&self, start: Start<'_>) -> Result<(), Error> {
        let key = key(start.campaign, start.number, start.nonce);
        let mut env: BTreeMap<String, String> = inherited().collect();
        env.extend(start.env);
        env.insert(ATTEMPT_VARIABLE.to_owned(), key.to_string());
        if self.confinement.isolation > Isolation::None {
            let temporary = start.turn.join("tmp");
            super::desk::make(&temporary)?;
            env.insert("TMPDIR".to_owned(), temporary.display().to_string());
        }
        let secrets = secrets_of(&mut env);
        let soft_limit_ms = u64::try_from(self.time_limit.as_millis()).unwrap_or(u64::MAX);
        let grace_ms = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
        let spec = Spec {
            key,
            nonce: format!("{:016x}", start.nonce),
            command: self.command.clone(),
            folder: start.turn.join("work"),
            env,
            cpus: Vec::new(),
            soft_limit_ms,
            hard_limit_ms: soft_limit_ms.saturating_add(grace_ms),
            measure_until_ms: None,
            locks: Vec::new(),
            log: LOG,
            secrets: secrets.keys().cloned().collect(),
            mounts: Mounts::default(),
            device_model: String::new(),
            walls: self.walls(start.turn),
            request: None,
        };
        let launched = self.nursery.launch(start.shim, &spec, &secrets).map_err(failed)?;
        // It says a word when the command runs and closes its end when it never will.
        let voice = readable_when(launched.voice.into()).map_err(watching)?;
        voice.readable().await.map(drop).map_err(watching)
    }

    fn walls(&self, turn: &Path) -> Walls {
        let Confinement { isolation, writable, hidden } = &self.confinement;
        let containment = match self.machine.containment() {
            // bubblewrap makes a pid namespace in any case.
            Containment::Subreaper if *isolation == Isolation::Sealed && self.machine.forced.is_none() => {
                Containment::PidNamespace
            }
            containment => containment,
        };
        let is_shut_in = *isolation > Isolation::None;
        let mut write = vec![turn.to_owned()];
        write.extend(writable.iter().filter(|_| is_shut_in).cloned());
        Walls {
            isolation: *isolation,
            containment,
            cgroups: self.machine.cgroups.clone().filter(|_| containment == Containment::Cgroup),
            bubblewrap: self.machine.bubblewrap.clone().filter(|_| *isolation == Isolation::Sealed),
            write,
            hidden: if is_shut_in { hidden.clone() } else { Vec::new() },
            limits: Limits { disk_bytes: Some(DISK_MAX_BYTES), ..Limits::default() },
            ..Walls::default()
        }
    }
}

/// How the turn in these folders stands, once nothing of it runs any more.
pub async fn ended(shim: &Path, campaign: &str, number: u64, nonce: u64) -> Result<Standing, Error> {
    let dir = AttemptDir::at(shim.to_owned());
    for _ in 0..LOOKS_MAX {
        match spool::state(&dir).map_err(failed)? {
            spool::State::Unstarted => return Ok(Standing::Unstarted),
            spool::State::Exited(exit) => return Ok(Standing::Ended(exit)),
            spool::State::Running(pidfd, _) => {
                let watched = readable_when(pidfd).map_err(watching)?;
                watched.readable().await.map(drop).map_err(watching)?;
            }
            spool::State::Gone | spool::State::Ended(_) => break,
        }
    }
    let identity: Option<Identity> = dir.identity().ok().flatten();
    shim::end_without(shim, identity.as_ref(), &key(campaign, number, nonce));
    Ok(Standing::Lost)
}

/// Whether the turn in this folder was ever started.
pub fn was_begun(shim: &Path) -> bool {
    shim.join(Spec::FILE).exists() || shim.join(Identity::FILE).exists() || shim.join(Exit::FILE).exists()
}

/// Asks a turn to end: SIGTERM, and after some seconds its whole tree.
pub fn cancel(shim: &Path) {
    shim::cancel(shim);
}

/// The turn as an attempt of nobody's ledger: it is how its processes are found.
fn key(campaign: &str, number: u64, nonce: u64) -> AttemptKey {
    let iteration = IterationNumber(u32::try_from(number).unwrap_or(u32::MAX));
    let id = AttemptId { campaign: CampaignId(format!("research-{campaign}")), iteration, number: 1 };
    AttemptKey { id, fence: FencingNumber { incarnation: Incarnation(nonce), n: number } }
}

/// The environment of this process, without what tells a shim's processes apart.
fn inherited() -> impl Iterator<Item = (String, String)> {
    let all = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned())));
    all.filter(|(name, _)| name != ATTEMPT_VARIABLE && name != Identity::VARIABLE && !name.contains('='))
}

/// Takes what looks like a secret out of the environment: it goes through a pipe instead of a file, and is taken
/// out of what the command prints.
fn secrets_of(env: &mut BTreeMap<String, String>) -> Secrets {
    let looks_so = |name: &str, value: &str| {
        let name = name.to_ascii_uppercase();
        value.len() >= SECRET_MIN_BYTES && SECRET_WORDS.iter().any(|word| name.contains(word))
    };
    let names: Vec<String> = env
        .iter()
        .filter(|(name, value)| is_name(name) && looks_so(name, value))
        .map(|(name, _)| name.clone())
        .take(SECRETS_MAX)
        .collect();
    let mut secrets = Secrets::new();
    for name in names {
        // One that is no secret's value (too long) stays where it was.
        if let Some(secret) = env.get(&name).and_then(|value| Secret::new(&name, value.clone()).ok()) {
            env.remove(&name);
            secrets.insert(name, secret);
        }
    }
    secrets
}

/// Refuses a command that is not there, before anything is begun.
fn find(program: &str) -> Result<(), Error> {
    let is_there = if program.contains('/') {
        Path::new(program).is_file()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        !program.is_empty() && std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    match is_there {
        true => Ok(()),
        false => Err(Error::Input {
            message: format!("there is no command {program:?}"),
            remedy: "give the researcher's command after `--`, by its path or by a name on PATH".to_owned(),
        }),
    }
}

/// A word of the command line that names something that is there, from the root: the command does not run where
/// it was written down.
pub fn from_here(word: &str) -> String {
    let there = Path::new(word).exists() && !word.starts_with('-') && !word.is_empty();
    let from_root = std::path::absolute(word).ok().filter(|_| there);
    from_root.map_or_else(|| word.to_owned(), |path| path.display().to_string())
}

/// A word as a shell reads it back.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn failed(problem: windlass_worker::error::Error) -> Error {
    Error::System {
        operation: "start the researcher's command",
        source: std::io::Error::other(problem.chain()),
    }
}

fn watching(source: std::io::Error) -> Error {
    Error::System { operation: "watch the researcher's command", source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_leaves_the_environment_that_is_written_down() {
        let pairs = [
            ("ANTHROPIC_API_KEY", "sk-0123456789"),
            ("WINDLASS_TOKEN", "0123456789"),
            ("KEYBOARD", "us"),
            ("HOME", "/home/ada/of/some/length"),
        ];
        let mut env: BTreeMap<String, String> =
            pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let secrets = secrets_of(&mut env);
        assert_eq!(secrets.keys().collect::<Vec<_>>(), ["ANTHROPIC_API_KEY", "WINDLASS_TOKEN"]);
        assert_eq!(env.keys().collect::<Vec<_>>(), ["HOME", "KEYBOARD"]);
    }

    #[test]
    fn a_command_that_is_not_there_is_refused_before_anything_is_begun() {
        assert!(find("sh").is_ok() && find("/bin/sh").is_ok());
        for program in ["", "no-such-agent-here", "/no/such/agent", "/bin"] {
            let report = find(program).expect_err(program).to_report();
            assert!(report.message.contains("there is no command"), "{}", report.message);
        }
    }

    #[test]
    fn what_is_there_is_named_from_the_root_and_nothing_else_is_touched() {
        let here = std::env::current_dir().expect("a folder");
        assert_eq!(from_here("Cargo.toml"), here.join("Cargo.toml").display().to_string());
        for word in ["python3", "-src", "--seed=1", "", "no/such/file"] {
            assert_eq!(from_here(word), word);
        }
    }

    #[test]
    fn words_reach_the_command_as_they_were_given() {
        let words = ["a b", "it's", "$HOME", "`x`", ""].map(quote).join(" ");
        let printed =
            std::process::Command::new("sh").arg("-c").arg(format!("printf '[%s]' {words}")).output();
        assert_eq!(printed.expect("sh runs").stdout, b"[a b][it's][$HOME][`x`][]");
    }
}
