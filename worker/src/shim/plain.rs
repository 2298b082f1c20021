//! A command in which a shell would find nothing to do but start it: taken apart here, so that the start of a
//! shell is saved. Whatever is not plainly so, and whatever then cannot be started, is the shell's.

use std::ffi::OsString;
use std::path::PathBuf;

/// What a shell takes for itself when it stands first: POSIX's reserved words and utilities, with those of the
/// shells that stand behind `sh`. Sorted.
const OWN_WORDS: [&str; 83] = [
    ".",
    ":",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "chdir",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "fi",
    "for",
    "function",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "in",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "newgrp",
    "popd",
    "print",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "select",
    "set",
    "setvar",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "whence",
    "while",
    "wordexp",
];

/// The variable that every shell sets, and hands on.
const FOLDER_VARIABLE: &str = "PWD";
/// Variables by which a shell is told to do something more at its start.
const START_VARIABLES: [&str; 4] = ["ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS"];

/// A command and how to start it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// Its words.
    pub words: Vec<OsString>,
    /// The files that may be its program, in the order in which a shell looks.
    pub programs: Vec<PathBuf>,
    /// Its environment, `NAME=value`.
    pub env: Vec<OsString>,
}

/// The parts of `command` in `folder` if a shell with this environment (names and values) would only start it.
pub fn of(command: &str, folder: &str, env: &[(OsString, OsString)]) -> Option<Plain> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " \t_@%+:,./-=".contains(c);
    if !command.chars().all(is_plain) {
        return None;
    }
    let words: Vec<&str> = command.split_ascii_whitespace().collect();
    let first = *words.first()?;
    if first.contains('=') || OWN_WORDS.binary_search(&first).is_ok() {
        return None;
    }
    let names = || env.iter().map(|(name, _)| name.to_str());
    // A shell hands on only what it could name, and sets the folder's variable itself.
    let is_handed_on = |name: Option<&str>| name.is_some_and(|name| is_name(name) && name != FOLDER_VARIABLE);
    if !names().all(is_handed_on) || names().flatten().any(|name| START_VARIABLES.contains(&name)) {
        return None;
    }
    let programs = if first.contains('/') {
        vec![PathBuf::from(first)]
    } else {
        let (_, path) = env.iter().find(|(name, _)| name == "PATH")?;
        // An empty part is the folder itself, which is rare enough for the shell.
        let parts: Vec<&str> = path.to_str()?.split(':').collect();
        if parts.contains(&"") {
            return None;
        }
        parts.into_iter().map(|part| PathBuf::from(part).join(first)).collect()
    };
    let joined = env.iter().map(|(name, value)| {
        let mut entry = name.clone();
        entry.push("=");
        entry.push(value);
        entry
    });
    let env = joined.chain([OsString::from(format!("{FOLDER_VARIABLE}={folder}"))]).collect();
    Some(Plain { words: words.into_iter().map(OsString::from).collect(), programs, env })
}

fn is_name(name: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.chars().next().is_some_and(begins) && name.chars().all(|c| begins(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
    }

    fn words(command: &str) -> Option<Vec<OsString>> {
        of(command, "/w", &env(&[("PATH", "/bin")])).map(|plain| plain.words)
    }

    #[test]
    fn words_that_a_shell_would_only_hand_on_are_taken_apart() {
        for (command, want) in [
            ("python3 train.py", &["python3", "train.py"][..]),
            ("  ./run.sh\t--lr=0.1  a,b:c ", &["./run.sh", "--lr=0.1", "a,b:c"]),
            ("/opt/x_1@2/bin/y+z 50%", &["/opt/x_1@2/bin/y+z", "50%"]),
        ] {
            assert_eq!(words(command), Some(want.iter().map(OsString::from).collect()), "{command}");
        }
    }

    #[test]
    fn whatever_a_shell_would_look_at_is_left_to_it() {
        for command in [
            "",
            " ",
            "a b; c",
            "a && b",
            "a | b",
            "a > b",
            "a &",
            "echo hi",
            "exit 3",
            "X=1 run",
            "a 'b'",
            "a \"b\"",
            "a $B",
            "a `b`",
            "a *",
            "a ?",
            "a [b]",
            "~/run",
            "a ~",
            "a #b",
            "a {b,c}",
            "! a",
            "a\nb",
            "a\\ b",
            "(a)",
            "if a",
            "time a",
            "trap a TERM",
            "a \u{fc}",
            ":",
            ". a",
        ] {
            assert_eq!(words(command), None, "{command:?}");
        }
        let mut sorted = OWN_WORDS;
        sorted.sort_unstable();
        assert_eq!(sorted, OWN_WORDS, "looked up by halving");
    }

    #[test]
    fn the_program_is_looked_for_where_a_shell_looks_and_the_environment_is_what_it_hands_on() {
        let plain = of("run a", "/w", &env(&[("PATH", "/a:/b"), ("X", "1")])).expect("plain");
        assert_eq!(plain.programs, [PathBuf::from("/a/run"), PathBuf::from("/b/run")]);
        assert_eq!(plain.env, ["PATH=/a:/b", "X=1", "PWD=/w"].map(OsString::from));
        for pairs in [
            &[("X", "1")][..],
            &[("PATH", "/a:")],
            &[("PATH", "/a"), ("a.b", "1")],
            &[("PATH", "/a"), ("1a", "1")],
            &[("PATH", "/a"), ("PWD", "/elsewhere")],
            &[("PATH", "/a"), ("ENV", "/home/me/.rc")],
        ] {
            assert_eq!(of("run a", "/w", &env(pairs)), None, "{pairs:?}");
        }
    }
}
