//! Pipes: one that closes ends a command quietly, and colour stays out of them.

use super::{Desk, PAGES};
use std::process::Stdio;

#[test]
fn a_closed_pipe_ends_quietly() {
    let desk = Desk::new();
    let json: Vec<Vec<&str>> = PAGES.iter().map(|args| [&["--output", "json"], *args].concat()).collect();
    let people = PAGES.iter().map(|args| args.to_vec());
    let reports = [vec!["report", "digits"], vec!["results", "digits", "--format", "tsv"], vec!["--help"]];
    for args in people.chain(json).chain(reports) {
        let mut child = desk.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("error"), "{args:?}: {said}");
    }
}

#[test]
fn colour_is_for_those_who_want_it() {
    let desk = Desk::new();
    let has_colour = |args: &[&str], env: &[(&str, &str)]| {
        let output = desk.command(args).envs(env.iter().copied()).output().unwrap();
        assert!(output.status.success());
        output.stdout.contains(&0x1b)
    };
    let always = ["--color", "always", "status", "digits"];
    assert!(has_colour(&always, &[]));
    assert!(has_colour(&always, &[("NO_COLOR", "1")]), "an option is stronger than the environment");
    assert!(!has_colour(&["status", "digits"], &[]), "a pipe");
    assert!(!has_colour(&["--color", "never", "status", "digits"], &[("CLICOLOR_FORCE", "1")]));
    assert!(has_colour(&["status", "digits"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!has_colour(&["status", "digits"], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
}
