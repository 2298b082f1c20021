//! Data sets that are too large to send: paths of this machine, read-only to runs, known by a fingerprint.

mod fingerprint;

pub use fingerprint::{check, fingerprint};

use crate::error::Error;
use std::path::{Path, PathBuf};

/// Folders of the kernel's own, in which no data set lies.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];
/// The part of them that is memory for files: data sets are kept there to be fast.
const MEMORY: &str = "/dev/shm";

/// Whether runs may be shown this path as a data set: nothing that holds, or lies in, what they have no
/// business with. A link is judged by where it leads; what is not there is left for [`check`] to say.
pub fn may_show(path: &Path, hidden: &[PathBuf]) -> Result<(), Error> {
    let Ok(real) = path.canonicalize() else { return Ok(()) };
    let refused = |problem: String| Err(Error::PrivateData { path: path.to_owned(), problem });
    if real == Path::new("/") {
        return refused("it is the whole machine".to_owned());
    }
    let in_memory = real != Path::new(MEMORY) && real.starts_with(MEMORY);
    if let Some(folder) = KERNEL.iter().find(|folder| real.starts_with(folder) && !in_memory) {
        return refused(format!("{folder} is the kernel's"));
    }
    for place in hidden {
        let place = place.canonicalize().unwrap_or_else(|_| place.clone());
        if real.starts_with(&place) {
            return refused(format!("it lies in {}, which is Windlass's own", place.display()));
        }
        if place.starts_with(&real) {
            return refused(format!("it holds {}, which is Windlass's own", place.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_that_is_the_machines_or_windlasss_own_is_shown_as_data() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("it is there");
        for path in ["all/work/attempts", "all/data", "all/secretsdata"] {
            fs::create_dir_all(root.join(path)).expect("a folder");
        }
        fs::write(root.join("all/secrets"), "A=1").expect("a file");
        symlink(root.join("all/work"), root.join("way-in")).expect("a link");
        symlink("/", root.join("everything")).expect("a link");
        let hidden = [root.join("all/work"), root.join("all/secrets"), root.join("all/absent")];
        let check = |path: &str, want: Option<&str>| {
            let said = may_show(&root.join(path), &hidden).err().map(|error| error.chain());
            match want {
                None => assert_eq!(said, None, "{path}"),
                Some(want) => {
                    let said = said.unwrap_or_else(|| panic!("{path} is refused"));
                    assert!(said.contains(want) && said.contains("windlass.data"), "{said}");
                }
            }
        };
        check("/", Some("the whole machine"));
        check("everything", Some("the whole machine"));
        for path in ["/proc", "/proc/self/environ", "/sys/kernel", "/dev", "/dev/null", "/dev/shm"] {
            check(path, Some("the kernel's"));
        }
        for path in ["all/work", "all/work/attempts", "way-in", "all/secrets"] {
            check(path, Some("it lies in"));
        }
        for path in ["", "all", "all/data/.."] {
            check(path, Some("it holds"));
        }
        for path in ["all/data", "all/secretsdata", "all/nowhere", "/usr"] {
            check(path, None);
        }
    }
}
