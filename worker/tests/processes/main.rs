//! Real processes: this binary is both the tests and the shim they start, so that no extra binary has to
//! be built or shipped.

mod coordinator;
mod environment;
mod gpu;
mod shim;
mod support;
mod worker;

use std::panic::catch_unwind;
use std::process::ExitCode;

/// A test by its name.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    if let Some(code) = windlass_worker::shim::dispatch(std::env::args_os()) {
        return code;
    }
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|role| role == "worker") {
        let mut path = || arguments.next().map(std::path::PathBuf::from).expect("worker <work_dir> <socket>");
        return worker::main(path(), path());
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let tests = shim::TESTS.iter().chain(worker::TESTS).chain(gpu::TESTS).chain(environment::TESTS);
    let tests: Vec<&Test> = tests
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())))
        .collect();
    // All at once: they wait for deadlines most of the time.
    let running: Vec<_> =
        tests.iter().map(|&&(name, test)| (name, std::thread::spawn(move || catch_unwind(test)))).collect();
    let mut failed = Vec::new();
    for (name, thread) in running {
        let passed = matches!(thread.join(), Ok(Ok(())));
        say(&format!("test {name} ... {}", if passed { "ok" } else { "FAILED" }));
        if !passed {
            failed.push(name);
        }
    }
    say(&format!("{} passed, {} failed {failed:?}", tests.len() - failed.len(), failed.len()));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(line: &str) {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}").expect("stdout takes a line");
}
