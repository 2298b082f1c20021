//! From an order to the walls around its run, on this machine. What is asked for and not to be had is
//! refused with its remedy; nothing is ever run with less.

use super::machine::Machine;
use super::nodes;
use super::walls::Walls;
use crate::error::Error;
use crate::spool::AttemptDir;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use windlass_engine::gate::editable::Editable;
use windlass_shared::attempt::{Kind, Order};
use windlass_shared::device::Device;
use windlass_shared::id::DeviceId;
use windlass_shared::machine::{Containment, Isolation};
use windlass_shared::path::TreePath;
use windlass_shared::tree::Manifest;

/// A name that no project has: what may be called so in a folder may be called anything there.
const ANY_NAME: &str = "windlass-any-name";

/// The machine's part of every run's walls.
#[derive(Debug)]
pub struct Ground {
    machine: Machine,
    hidden: Vec<PathBuf>,
    /// The GPU that each slice is cut from.
    whole: Mutex<BTreeMap<DeviceId, DeviceId>>,
}

impl Ground {
    /// On `machine`, with these data folders of worker and coordinator.
    pub fn new(machine: Machine, hidden: Vec<PathBuf>) -> Self {
        Self { machine, hidden, whole: Mutex::default() }
    }

    /// What the machine can do.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What no run reads or writes: data folders of worker and coordinator, the worker's secrets.
    pub fn hidden(&self) -> &[PathBuf] {
        &self.hidden
    }

    /// Notes which slices are cut from which GPU.
    pub fn note(&self, devices: &[Device]) {
        let slices = devices.iter().filter_map(|one| Some((one.id.clone(), one.slice_of.clone()?)));
        *self.whole.lock().unwrap_or_else(PoisonError::into_inner) = slices.collect();
    }

    /// The level for an order: what it asks for, else the strongest of `none` and `guarded`.
    pub fn level(&self, order: &Order) -> Result<Isolation, Error> {
        let Some(asked) = order.isolation else {
            let has = self.machine.lacks(Isolation::Guarded).is_none();
            return Ok(if has { Isolation::Guarded } else { Isolation::None });
        };
        match self.machine.lacks(asked) {
            None => Ok(asked),
            Some((problem, remedy)) => {
                Err(Error::Unavailable { what: format!("isolation {asked}"), problem, remedy })
            }
        }
    }

    /// The walls around the run of `order` in `dir`; `tree` reads what its workspace was laid out from.
    pub fn walls(
        &self,
        order: &Order,
        dir: &AttemptDir,
        tree: impl FnOnce() -> Result<Manifest, Error>,
    ) -> Result<Walls, Error> {
        let isolation = self.level(order)?;
        let containment = match self.machine.containment() {
            // bubblewrap makes a pid namespace in any case.
            Containment::Subreaper if isolation == Isolation::Sealed && self.machine.forced.is_none() => {
                Containment::PidNamespace
            }
            containment => containment,
        };
        let mut walls = Walls {
            isolation,
            containment,
            cgroups: self.machine.cgroups.clone().filter(|_| containment == Containment::Cgroup),
            limits: order.limits,
            ..Walls::default()
        };
        if isolation == Isolation::None {
            walls.write = vec![dir.workspace(), dir.results(), dir.temporary()];
            return Ok(walls);
        }
        walls.hidden = self.hidden.clone();
        walls.devices = {
            let whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
            nodes::of(&order.devices, &whole)?
        };
        walls.read = vec![dir.history(), dir.run_log()];
        walls.write = vec![dir.results(), dir.temporary()];
        if order.kind == Kind::Analysis {
            walls.write.push(dir.scripts());
        }
        if isolation == Isolation::Guarded {
            walls.write.push(dir.workspace());
        } else {
            walls.bubblewrap = self.machine.bubblewrap.clone();
            walls.read.push(dir.workspace());
        }
        // An analysis changes nothing of what the run left.
        if isolation == Isolation::Sealed && order.kind == Kind::Run {
            let editable = Editable::new(&order.editable)
                .map_err(|refusal| Error::Order { field: "editable", value: refusal.to_string() })?;
            let open = open_places(&tree()?, &editable, &order.artifacts);
            walls.write.extend(open.iter().map(|place| dir.workspace().join(place)));
        }
        Ok(walls)
    }
}

/// The places of a sealed workspace that may be written to, none inside another: folders in which everything
/// is editable, whatever its name; single editable files elsewhere; folders of artifacts, where nothing of
/// the tree lies.
fn open_places(tree: &Manifest, editable: &Editable, artifacts: &[String]) -> BTreeSet<PathBuf> {
    let allows = |path: &Path| {
        path.to_str().and_then(|path| TreePath::parse(path).ok()).is_some_and(|path| editable.allows(&path))
    };
    let files: BTreeSet<&Path> = tree.entries.keys().map(|path| Path::new(path.as_str())).collect();
    let folders: BTreeSet<&Path> = files.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    let is_open = |folder: &Path| {
        !folder.as_os_str().is_empty()
            && allows(&folder.join(ANY_NAME))
            && files.iter().filter(|path| path.starts_with(folder)).all(|path| allows(path))
    };
    let mut open: BTreeSet<PathBuf> =
        folders.iter().filter(|folder| is_open(folder)).map(PathBuf::from).collect();
    open.extend(files.iter().filter(|path| allows(path)).map(PathBuf::from));
    let wild = |part: &str| part.contains(['*', '?', '[', '{']);
    for pattern in artifacts {
        let plain: PathBuf = pattern.split('/').take_while(|part| !wild(part)).collect();
        let folder = if pattern.split('/').any(wild) { Some(plain.as_path()) } else { plain.parent() };
        let own = |folder: &&Path| {
            !folder.as_os_str().is_empty()
                && !files.iter().any(|path| path.starts_with(folder) || folder.starts_with(path))
        };
        open.extend(folder.filter(own).map(PathBuf::from));
    }
    let inside = |path: &Path| path.ancestors().skip(1).any(|above| open.contains(above));
    let outermost = open.iter().filter(|path| !inside(path));
    outermost.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::digest::Digest;
    use windlass_shared::tree::Node;

    fn check(editable: &[&str], artifacts: &[&str], want: &[&str]) {
        let mut tree = Manifest::default();
        for path in ["train.py", "eval.py", "src/a.py", "src/deep/b.py", "lib/data.txt", "lib/c.py"] {
            let node = Node::File { digest: Digest::of(b""), executable: false };
            tree.entries.insert(TreePath::parse(path).expect("a path"), node);
        }
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let editable = Editable::new(&words(editable)).expect("patterns");
        let want: BTreeSet<PathBuf> = want.iter().map(PathBuf::from).collect();
        assert_eq!(open_places(&tree, &editable, &words(artifacts)), want);
    }

    #[test]
    fn i11_a_sealed_workspace_is_open_where_everything_is_editable_and_nowhere_else() {
        check(&["train.py"], &[], &["train.py"]);
        check(&["src/**"], &[], &["src"]);
        // New files of any name are not editable there, so that the folder stays closed.
        check(&["src/**/*.py"], &[], &["src/a.py", "src/deep/b.py"]);
        check(&["lib/c.py", "train.py"], &[], &["lib/c.py", "train.py"]);
        // Artifacts get a folder of their own, never one with frozen files.
        check(
            &["train.py"],
            &["out/*.pt", "models/best/w.bin", "model.bin", "lib/*.pt", "*.pt"],
            &["train.py", "out", "models/best"],
        );
    }
}
