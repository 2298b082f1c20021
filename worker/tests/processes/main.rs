//! Real processes: this binary is both the tests and the shim they start, so that no extra binary has to
//! be built or shipped.

mod coordinator;
mod ending;
mod environment;
mod given;
mod gpu;
mod harm;
mod isolation;
mod kills;
mod logs;
mod neighbours;
mod nursery;
mod outage;
mod scene;
mod shim;
mod spool;
mod support;
mod work_folder;
mod worker;

use std::panic::catch_unwind;
use std::process::ExitCode;

/// A test by its name.
type Test = (&'static str, fn());

/// Tests that run side by side: few enough for two cores, and for bounds of time to mean something.
const TOGETHER_MAX: usize = 10;
/// Another number in its place, to see what does not bear company.
const TOGETHER_VARIABLE: &str = "WINDLASS_TESTS_TOGETHER";

fn main() -> ExitCode {
    if let Some(code) = windlass_worker::shim::dispatch(std::env::args_os()) {
        return code;
    }
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|role| role == "worker") {
        let mut path = || arguments.next().map(std::path::PathBuf::from).expect("worker <work_dir> <socket>");
        return scene::main(path(), path());
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
    let together = [
        shim::TESTS,
        ending::TESTS,
        isolation::TESTS,
        spool::TESTS,
        worker::TESTS,
        gpu::TESTS,
        logs::TESTS,
        harm::TESTS,
        outage::TESTS,
    ]
    .concat();
    let together =
        [together, [environment::TESTS, given::TESTS, work_folder::TESTS, neighbours::TESTS].concat()]
            .concat();
    // Storms of processes use up the machine's numbers: who is looked for by number must not be there.
    let alone = [kills::TESTS, nursery::TESTS, harm::ALONE, ending::STORMS].concat();
    let mut failed = Vec::new();
    let (mut count, mut note) = (0, |name, passed| {
        say(&format!("test {name} ... {}", if passed { "ok" } else { "FAILED" }));
        if !passed {
            failed.push(name);
        }
    });
    // Several at once, since they wait for deadlines most of the time; not all of them, since each brings a
    // daemon and loops of short processes, and the machine's process numbers come round again.
    let together: Vec<_> = together.into_iter().filter(|(name, _)| wanted(name)).collect();
    let most = std::env::var(TOGETHER_VARIABLE).ok().and_then(|most| most.parse().ok());
    for group in together.chunks(most.filter(|&most| most > 0).unwrap_or(TOGETHER_MAX)) {
        let running: Vec<_> = group
            .iter()
            .map(|&(name, test)| (name, std::thread::spawn(move || catch_unwind(test))))
            .collect();
        for (name, thread) in running {
            count += 1;
            note(name, matches!(thread.join(), Ok(Ok(()))));
        }
    }
    for (name, test) in alone.into_iter().filter(|(name, _)| wanted(name)) {
        count += 1;
        note(name, catch_unwind(test).is_ok());
    }
    say(&format!("{} passed, {} failed {failed:?}", count - failed.len(), failed.len()));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(line: &str) {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}").expect("stdout takes a line");
}
