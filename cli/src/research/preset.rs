//! Agents whose command lines are known: how each is asked once, without a terminal, and where it says what that
//! has cost. Everything else about them is their own.

use super::cost::Usage;
use clap::ValueEnum;
use serde_json::Value;

/// An agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Claude Code: `claude -p`.
    Claude,
    /// Codex: `codex exec`.
    Codex,
}

/// What services say when they limit somebody, in lower case.
const LIMITED: [&str; 7] = [
    "rate limit",
    "rate_limit",
    "usage limit",
    // Of a session, a week, or without a word of which.
    "hit your",
    "too many requests",
    "overloaded",
    "quota exceeded",
];
/// Where that is looked for: the last so many bytes of what was printed.
const LOOK_BYTES: usize = 16 << 10;

impl Preset {
    /// The command line. Its working folder is `work/`, and the answer goes beside that.
    pub fn words(self) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Claude => &[
                "claude",
                "-p",
                "--add-dir",
                "..",
                "--permission-mode",
                "acceptEdits",
                "--allowedTools",
                "Read,Edit,Write,Glob,Grep,Bash",
                "--output-format",
                "json",
            ],
            Self::Codex => &[
                "codex",
                "exec",
                "--json",
                "--skip-git-repo-check",
                "--sandbox",
                "workspace-write",
                "--cd",
                "..",
            ],
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// What comes after the arguments of its user.
    pub fn last_words(self) -> &'static [&'static str] {
        match self {
            Self::Claude => &[],
            // The prompt is on standard input.
            Self::Codex => &["-"],
        }
    }

    /// What a turn has cost, from what it printed.
    pub fn usage(self, output: &str) -> Option<Usage> {
        let documents = output.lines().filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok());
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        match self {
            Self::Claude => {
                let said = documents.rev().find(|document| document["type"] == "result")?;
                let usage = &said["usage"];
                let read = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
                Some(Usage {
                    input_tokens: read.iter().map(|key| number(&usage[key])).fold(0, u64::saturating_add),
                    output_tokens: number(&usage["output_tokens"]),
                    cost_usd: said["total_cost_usd"].as_f64().unwrap_or(0.0),
                })
            }
            Self::Codex => {
                let ended = documents.filter(|document| document["type"] == "turn.completed");
                ended.fold(None, |sum: Option<Usage>, document| {
                    let (sum, usage) = (sum.unwrap_or_default(), &document["usage"]);
                    Some(Usage {
                        input_tokens: sum.input_tokens.saturating_add(number(&usage["input_tokens"])),
                        output_tokens: sum.output_tokens.saturating_add(number(&usage["output_tokens"])),
                        cost_usd: 0.0,
                    })
                })
            }
        }
    }

    /// Whether a turn that failed was limited by its service.
    pub fn is_limited(self, output: &str) -> bool {
        let from = output.len().saturating_sub(LOOK_BYTES);
        let from = (from..output.len()).find(|&at| output.is_char_boundary(at)).unwrap_or(0);
        let end = output[from..].to_lowercase();
        LIMITED.iter().any(|words| end.contains(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_a_turn_has_cost_in_its_own_way() {
        let claude = "a warning on standard error\n{\"type\":\"result\",\"subtype\":\"success\",\"result\":\"done\",\
                      \"total_cost_usd\":0.125,\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":20,\
                      \"cache_read_input_tokens\":30,\"output_tokens\":7}}\n";
        let want = Usage { input_tokens: 60, output_tokens: 7, cost_usd: 0.125 };
        assert_eq!(Preset::Claude.usage(claude), Some(want));
        let codex = "{\"type\":\"thread.started\"}\n\
                     {\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":5,\"cached_input_tokens\":4,\"output_tokens\":2}}\n\
                     {\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":6,\"output_tokens\":3}}\n";
        let want = Usage { input_tokens: 11, output_tokens: 5, cost_usd: 0.0 };
        assert_eq!(Preset::Codex.usage(codex), Some(want));
        for preset in [Preset::Claude, Preset::Codex] {
            for silent in ["", "no JSON\n", "{\"type\":\"other\"}\n", "{\"type\":"] {
                assert_eq!(preset.usage(silent), None, "{silent:?}");
            }
        }
    }

    #[test]
    fn a_limit_of_the_service_is_told_from_a_failure() {
        let limited = format!(
            "{}\n{{\"type\":\"error\",\"message\":\"You've hit your usage limit\"}}",
            "é".repeat(20_000)
        );
        assert!(Preset::Codex.is_limited(&limited));
        let session = "{\"type\":\"result\",\"is_error\":true,\"result\":\"You've hit your session limit · resets 3:50pm\"}";
        assert!(Preset::Claude.is_limited(session));
        assert!(!Preset::Claude.is_limited("panic: index out of range"));
    }
}
