//! How many files and connections this process may have: as many as it may ask for. Raised here alone: a worker's
//! limit would be its runs' limit too, and programs that call select(2) break above 1,024.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Each worker and each client takes a connection, each log that is written a file: a fleet of a thousand machines
/// needs some thousands. Fewer than this are said at the start.
const ENOUGH: u64 = 8_192;

/// Raises the limit to what the system allows without privileges, and says when that is little.
pub(crate) fn raise() {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if before.current != before.maximum
        && let Err(errno) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%errno, "the limit of open files could not be raised");
    }
    if let Some(files) = getrlimit(Resource::Nofile).current.filter(|&files| files < ENOUGH) {
        tracing::warn!(
            files,
            "few files may be open at a time: LimitNOFILE= of the service, or `ulimit -n`, raises it"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_may_be_open_as_may_be_asked_for() {
        let limit = getrlimit(Resource::Nofile);
        let low = limit.maximum.map_or(1_000, |maximum| maximum.min(1_000));
        setrlimit(Resource::Nofile, Rlimit { current: Some(low), maximum: limit.maximum }).expect("lowered");
        raise();
        assert_eq!(getrlimit(Resource::Nofile).current, limit.maximum);
    }
}
