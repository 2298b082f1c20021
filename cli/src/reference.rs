//! What is said of each command beyond its options: an example, and what it exits with. `--help`, the manual
//! pages and docs/commands.md are all made from this and from what clap reads.

pub mod agent;

use clap::{Command, CommandFactory};

/// One command.
#[derive(Debug)]
pub struct Entry {
    /// Its words after `windlass`.
    pub path: &'static str,
    /// A line as one types it.
    pub example: &'static str,
    /// Whether docs/commands.md runs it, in order with the others.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the page asks, and a test makes it"))]
    pub runs: Runs,
    /// What it can exit with beside 0, 1 and 2, which all can.
    pub codes: &'static [u8],
}

/// Whether an example is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// It ends by itself and changes nothing that the next one needs.
    Yes,
    /// It goes on until it is ended, takes long, or needs what an example has not.
    No,
}

const fn entry(path: &'static str, example: &'static str, codes: &'static [u8]) -> Entry {
    Entry { path, example, runs: Runs::Yes, codes }
}

const fn unrun(path: &'static str, example: &'static str, codes: &'static [u8]) -> Entry {
    Entry { path, example, runs: Runs::No, codes }
}

/// Every command. The order is the page's where clap's is the same.
pub const ENTRIES: &[Entry] = &[
    unrun("demo", "windlass demo", &[130]),
    unrun("up", "windlass up", &[130]),
    unrun("coordinator", "windlass coordinator --data-dir /srv/windlass --listen 0.0.0.0:7070", &[]),
    unrun("worker", "windlass worker --data-dir /srv/windlass --name gpu-1 --label a100", &[]),
    entry("init", "windlass init bare --yes", &[]),
    entry("submit", "windlass submit line --levers line/levers", &[3, 5]),
    entry("campaigns", "windlass campaigns", &[5]),
    entry("status", "windlass status line", &[4, 5]),
    entry("watch", "windlass watch line | head -n 2", &[4, 5]),
    entry("wait", "windlass wait line --timeout '5 min'", &[4, 5, 6]),
    entry("lever add", "windlass lever add idle line/levers/*.yaml", &[3, 4, 5]),
    entry("lever list", "windlass lever list idle", &[4, 5]),
    entry("lever show", "windlass lever show idle L2", &[4, 5]),
    entry("lever retire", "windlass lever retire idle L1", &[3, 4, 5]),
    entry("lever move", "windlass lever move idle L2 --first", &[3, 4, 5]),
    unrun("fix", "windlass fix line 2 fix.patch", &[3, 4, 5]),
    unrun("analyze", "windlass analyze line 2 --script repaired.sh --result value.tsv", &[3, 4, 5]),
    entry("conclude", "windlass conclude line 2 conclusion.yaml", &[3, 4, 5]),
    unrun("findings add", "windlass findings add line review.json --scope mlp", &[3, 4, 5]),
    entry("findings list", "windlass findings list line", &[4, 5]),
    entry("lever retry", "windlass lever retry idle L1", &[3, 4, 5]),
    entry("results", "windlass results line --format tsv", &[4, 5]),
    entry("show", "windlass show line 2", &[4, 5]),
    entry("files", "windlass files line 2 --results", &[4, 5]),
    entry("get", "windlass get line 2 results/value.tsv", &[4, 5]),
    entry("best", "windlass best line --tree best", &[4, 5]),
    entry("report", "windlass report line -o report.md", &[4, 5]),
    entry("diff", "windlass diff line 2", &[4, 5]),
    entry("logs", "windlass logs line 2 --grep val", &[4, 5]),
    entry("plot", "windlass plot line -o progress.svg", &[4, 5]),
    entry("pause", "windlass pause idle", &[3, 4, 5]),
    entry("resume", "windlass resume idle", &[3, 4, 5]),
    entry("stop", "windlass stop idle", &[4, 5]),
    entry("cancel", "windlass cancel spare 1", &[3, 4, 5]),
    entry("update", "windlass update spare --priority 3 --name later", &[3, 4, 5]),
    entry("claim", "windlass claim line --researcher ada --about 'the rate' --for '5 min'", &[3, 4, 5]),
    entry("context", "windlass context line --max-bytes '8 KiB'", &[4, 5]),
    entry("explain", "windlass explain later", &[4, 5]),
    entry("research", "windlass research line --agent claude --max-hours 12", &[3, 4, 5, 130]),
    entry("researcher levers", "windlass researcher levers line/levers", &[4, 5]),
    unrun("researcher search", "windlass researcher search space.yaml", &[4, 5]),
    entry("mcp", "windlass mcp --print-config claude", &[5]),
    entry("sync", "windlass sync line copy", &[4, 5]),
    entry("workers", "windlass workers", &[5]),
    entry("quota set", "windlass quota set ada --devices 4 --device-hours 100 --per '7 d'", &[3, 5]),
    entry("quota lift", "windlass quota lift ada", &[3, 5]),
    entry("quota list", "windlass quota list", &[5]),
    entry("drain", "windlass drain \"$(uname -n)\"", &[4, 5]),
    entry("undrain", "windlass undrain \"$(uname -n)\"", &[4, 5]),
    entry("doctor", "windlass doctor", &[]),
    entry("agent-info", "windlass agent-info --schema windlass.wait/1", &[]),
    entry("completions", "windlass completions bash > windlass.bash", &[]),
    entry("man", "windlass man --dir man", &[]),
    unrun("device release", "windlass device release gpu-1 GPU-5e0c", &[3, 4, 5]),
    entry("ledger verify", "windlass ledger verify", &[4]),
    entry("ledger backup", "windlass ledger backup backup", &[4, 5]),
    entry("ledger restore", "windlass ledger restore backup restored", &[4]),
    entry("ledger export", "windlass ledger export line -o line.jsonl", &[4]),
    entry("ledger import", "windlass ledger import results.tsv --name earlier", &[3, 5]),
    entry("gc", "windlass gc --older-than '30 d' --dry-run", &[3, 5]),
    entry("share", "windlass share line ada --as propose", &[3, 4, 5]),
    entry("token create", "windlass token create --role worker --name gpu-2 --address head:7070", &[3, 5]),
    unrun("join", "windlass join windlass-join-eyJyIjoiY2xpZW50Ii…", &[3, 5]),
    entry("certs list", "windlass certs list", &[5]),
    unrun("certs revoke", "windlass certs revoke worker/gpu-2", &[4, 5]),
];

/// What clap reads, with an example and the exit codes below each command's help.
pub fn command_line() -> Command {
    told(crate::args::Cli::command(), "")
}

fn told(mut command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    for name in names {
        let below = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command = command.mut_subcommand(name, |command| told(command, &below));
    }
    match ENTRIES.iter().find(|entry| entry.path == path) {
        Some(entry) => {
            command.after_help(format!("Example: {}\n\nExit codes: {}", entry.example, codes(entry)))
        }
        None => command,
    }
}

/// What a command can exit with, in words.
fn codes(entry: &Entry) -> String {
    let all = [0, 1, 2].into_iter().chain(entry.codes.iter().copied());
    all.map(|code| format!("{code} {}", words_of(code))).collect::<Vec<_>>().join(", ")
}

/// What an exit code means.
fn words_of(code: u8) -> &'static str {
    match code {
        0 => "done",
        1 => "failed",
        2 => "usage",
        3 => "refused by a rule",
        4 => "not found",
        5 => "unavailable and worth a retry",
        6 => "the wait ended first",
        _ => "interrupted",
    }
}

#[cfg(test)]
mod tests;
