//! Which versions of Windlass work together: the same minor release, and one apart.

use crate::refusal::Refusal;

/// The metadata key under which a caller says its version, and the coordinator answers with its own.
pub const HEADER: &str = "windlass-version";
/// The metadata key under which a caller says what it is: `client` or `worker`.
pub const ROLE_HEADER: &str = "windlass-role";
/// The metadata key of a change that is only asked about: gated and answered, never recorded.
pub const DRY_RUN_HEADER: &str = "windlass-dry-run";
/// [`ROLE_HEADER`] of a worker.
pub const WORKER: &str = "worker";
/// [`ROLE_HEADER`] of a client.
pub const CLIENT: &str = "client";

/// `MAJOR.MINOR` of a version; a release candidate counts as its release.
fn release(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    parts.next()?;
    Some((major, minor))
}

/// Refuses a caller whose version is more than one minor release away from the coordinator's.
///
/// # Errors
/// [`Refusal::Version`] names both, and which one to upgrade; [`Refusal::Malformed`] is a version that is none.
pub fn check(caller: &'static str, theirs: &str, ours: &str) -> Result<(), Refusal> {
    let shown: String = theirs.chars().take(40).collect();
    let malformed = || Refusal::Malformed { field: HEADER, problem: format!("{shown:?} is no version") };
    let (their, our) = (release(theirs).ok_or_else(malformed)?, release(ours).ok_or_else(malformed)?);
    if their.0 == our.0 && their.1.abs_diff(our.1) <= 1 {
        return Ok(());
    }
    Err(Refusal::Version { caller, theirs: shown, ours: ours.to_owned(), caller_is_older: their < our })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_minor_release_apart_works_and_more_names_the_older_one() {
        let cases = [
            ("0.1.0", "0.1.9", None),
            ("0.2.0", "0.1.0", None),
            ("0.1.0", "0.2.0-rc.1", None),
            ("0.1.0", "0.3.0", Some("upgrade this windlass")),
            ("0.3.0", "0.1.0", Some("upgrade the coordinator")),
            ("1.0.0", "0.9.0", Some("upgrade the coordinator")),
            ("0.9.0", "1.0.0", Some("upgrade this windlass")),
        ];
        for (theirs, ours, want) in cases {
            let refused = check(CLIENT, theirs, ours).err();
            assert_eq!(refused.as_ref().and_then(Refusal::remedy), want, "{theirs} {ours}");
            assert!(refused.is_none_or(|refusal| {
                let text = refusal.to_string();
                text.contains(theirs) && text.contains(ours)
            }));
        }
        for text in ["", "one", "1", "1.2", "x.y.z"] {
            let refused = check(CLIENT, text, "0.1.0").map_err(|refusal| refusal.reason());
            assert_eq!(refused, Err("MALFORMED"), "{text:?}");
        }
        let worker = check(WORKER, "0.1.0", "0.4.0").expect_err("too old");
        assert_eq!(worker.remedy(), Some("upgrade windlass on the worker"));
    }
}
