//! The one place where an error is printed.

use super::{Error, Report};
use crate::render::text::{fit, json_safe, neutral_block};
use crate::session::{Session, talk_width};
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use windlass_shared::refusal::ExitCode as Code;

/// Prints an error and says what to exit with. A closed pipe is no error: whoever read has enough.
pub fn report(problem: &Error, session: &Session) -> ExitCode {
    if let Error::Output { source } = problem
        && source.kind() == ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    // What a child has said on the same stderr is not said again.
    if !matches!(problem, Error::ChildSaid { .. }) {
        print(&problem.to_report(), session.is_json());
    }
    ExitCode::from(problem.exit_code())
}

fn print(report: &Report, json: bool) {
    let mut err = anstream::stderr().lock();
    if json {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: &'static str,
            #[serde(flatten)]
            report: &'a Report,
        }
        let text = serde_json::to_string(&Document { schema: "windlass.error/1", report });
        let _ = writeln!(err, "{}", json_safe(text.unwrap_or_default()));
        return;
    }
    let (bold, columns) = (crate::render::style::ERROR, talk_width());
    let message = format!("{bold}error{bold:#}{}", told(report));
    let _ = writeln!(err, "{}", fit(&message, columns));
    if let Some(remedy) = &report.remedy {
        let _ = writeln!(err, "{}", fit(&format!("remedy: {}", neutral_block(remedy)), columns));
    }
}

/// Rule and sentence of an error; several problems as a list, each with what to do.
pub fn told(report: &Report) -> String {
    let of = |rule: &Option<String>| rule.as_ref().map(|rule| format!(" [{rule}]")).unwrap_or_default();
    if report.problems.is_empty() {
        return format!("{}: {}", of(&report.rule), neutral_block(&report.message));
    }
    let heading = report.message.split(": ").next().unwrap_or_default();
    let mut text = format!(": {heading}");
    for problem in &report.problems {
        text.push_str(&format!(
            "\n  {}: {}",
            of(&problem.rule).trim_start(),
            neutral_block(&problem.message)
        ));
        if let Some(remedy) = &problem.remedy {
            text.push_str(&format!("\n    remedy: {}", neutral_block(remedy)));
        }
    }
    text
}

/// Prints what clap has to say: help and version on stdout with 0, usage errors on stderr with 2.
pub fn usage(problem: &clap::Error) -> ExitCode {
    if !problem.use_stderr() {
        let _ = problem.print();
        return ExitCode::SUCCESS;
    }
    if wants_json() {
        let (message, remedy) = match problem.kind() {
            clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                ("a command is missing".to_owned(), Some("windlass --help".to_owned()))
            }
            _ => clap_sentence(&problem.render().to_string()),
        };
        let report = Report { code: "USAGE".to_owned(), rule: None, message, remedy, problems: Vec::new() };
        print(&report, true);
    } else {
        let _ = problem.print();
    }
    ExitCode::from(Code::Usage as u8)
}

/// What clap says, as one sentence and one remedy: its first paragraph, and its tip if it has one.
fn clap_sentence(text: &str) -> (String, Option<String>) {
    let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    let message = lines.collect::<Vec<_>>().join(" ");
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let remedy = tip.unwrap_or("windlass --help").to_owned();
    (message.trim_start_matches("error: ").to_owned(), Some(remedy))
}

/// Prints an error that came before the command line was settled.
pub fn early(problem: &Error) -> ExitCode {
    print(&problem.to_report(), wants_json());
    ExitCode::from(problem.exit_code())
}

/// The command line could not be read, so this looks for the one option that matters here.
fn wants_json() -> bool {
    let args: Vec<String> = std::env::args().collect();
    args.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
        || args.iter().any(|arg| arg == "--output=json")
        || std::env::var("WINDLASS_OUTPUT").is_ok_and(|form| form == "json")
}
