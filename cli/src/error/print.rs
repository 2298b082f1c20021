//! The one place where an error is printed.

use super::{Error, Report};
use crate::render::text::{fit, neutral_block};
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
    print(&problem.to_report(), session.is_json());
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
        let _ = writeln!(err, "{}", text.unwrap_or_default());
        return;
    }
    let rule = report.rule.as_ref().map(|rule| format!(" [{rule}]")).unwrap_or_default();
    let bold = crate::render::style::ERROR;
    let columns = talk_width();
    let message = format!("{bold}error{bold:#}{rule}: {}", neutral_block(&report.message));
    let _ = writeln!(err, "{}", fit(&message, columns));
    if let Some(remedy) = &report.remedy {
        let _ = writeln!(err, "{}", fit(&format!("remedy: {}", neutral_block(remedy)), columns));
    }
}

/// Prints what clap has to say: help and version on stdout with 0, usage errors on stderr with 2.
pub fn usage(problem: &clap::Error) -> ExitCode {
    if !problem.use_stderr() {
        let _ = problem.print();
        return ExitCode::SUCCESS;
    }
    if wants_json() {
        let text = problem.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let remedy = Some("windlass --help".to_owned());
        print(&Report { code: "USAGE".to_owned(), rule: None, message, remedy }, true);
    } else {
        let _ = problem.print();
    }
    ExitCode::from(Code::Usage as u8)
}

/// The command line could not be read, so this looks for the one option that matters here.
fn wants_json() -> bool {
    let args: Vec<String> = std::env::args().collect();
    args.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
        || args.iter().any(|arg| arg == "--output=json")
        || std::env::var("WINDLASS_OUTPUT").is_ok_and(|form| form == "json")
}
