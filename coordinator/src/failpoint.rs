//! Failpoints around the commit, for tests that kill the coordinator at every record kind. They exist
//! in debug builds only.

use rustix::process::{Signal, getpid, kill_process};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which side of the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Every row is inserted, nothing is committed.
    Before,
    /// Committed and synced, no answer has left.
    After,
}

/// `WINDLASS_FAILPOINT=before_commit:<kind>[:<nth>]` or `after_commit:…`: at the nth batch (the first
/// unless said) that holds a record of this kind, the process kills itself with SIGKILL.
#[derive(Debug, PartialEq, Eq)]
struct Failpoint {
    side: Side,
    kind: String,
    nth: u64,
}

impl Failpoint {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let side = match parts.next()? {
            "before_commit" => Side::Before,
            "after_commit" => Side::After,
            _ => return None,
        };
        let kind = parts.next()?.to_owned();
        let nth = parts.next().map_or(Some(1), |nth| nth.parse().ok())?;
        Some(Self { side, kind, nth })
    }
}

/// Dies here if the environment asks for it.
pub fn reach<'a>(side: Side, mut kinds: impl Iterator<Item = &'a str>) {
    static POINT: OnceLock<Option<Failpoint>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let point = POINT.get_or_init(|| {
        std::env::var("WINDLASS_FAILPOINT").ok().and_then(|text| {
            let point = Failpoint::parse(&text);
            if point.is_none() {
                tracing::error!(%text, "WINDLASS_FAILPOINT is not `before_commit:<kind>[:<nth>]`");
            }
            point
        })
    });
    let Some(point) = point else { return };
    if point.side != side || !kinds.any(|kind| kind == point.kind) {
        return;
    }
    if REACHED.fetch_add(1, Ordering::Relaxed) + 1 == point.nth {
        // SIGKILL, so that nothing is flushed, closed or told on the way out.
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failpoints_read_as_they_are_documented() {
        let want = |side, kind: &str, nth| Some(Failpoint { side, kind: kind.to_owned(), nth });
        assert_eq!(Failpoint::parse("before_commit:lever_queued"), want(Side::Before, "lever_queued", 1));
        assert_eq!(Failpoint::parse("after_commit:attempt_ended:3"), want(Side::After, "attempt_ended", 3));
        for text in ["", "commit:x", "before_commit", "after_commit:x:y"] {
            assert_eq!(Failpoint::parse(text), None, "{text:?}");
        }
    }
}
