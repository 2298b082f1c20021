//! The command line of bubblewrap for `sealed`: own pid, mount, ipc and network namespaces, everything
//! read-only but what the walls name, nothing of the data folders, only the leased device nodes.

use super::walls::Walls;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where our own binary is seen inside: it is the first process there.
pub const INIT: &str = "/run/windlass-init";
/// Folders in which other programs keep sockets and files of all users; empty and the run's own inside.
const FRESH: [&str; 3] = ["/tmp", "/var/tmp", "/run"];

/// What a root's run keeps: what its files need and nothing that reaches the machine, as when it is guarded.
const KEPT: [&str; 4] = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"];

/// The arguments of bubblewrap; `inside` is what it starts, after [`INIT`].
pub fn arguments(walls: &Walls, folder: &Path, exe: &Path, inside: &[OsString]) -> Vec<OsString> {
    let mut all = vec![OsString::from("bwrap")];
    let mut add = |words: &[&dyn AsRef<std::ffi::OsStr>]| {
        all.extend(words.iter().map(|word| word.as_ref().to_owned()));
    };
    // It outlives us if it must: the first process inside ends everything in order when we are gone.
    add(&[&"--as-pid-1", &"--unshare-pid", &"--unshare-ipc", &"--unshare-net"]);
    add(&[&"--unshare-uts", &"--ro-bind", &"/", &"/", &"--proc", &"/proc", &"--dev", &"/dev"]);
    // Started by root it would leave root's rights to the run, with which every mount can be undone.
    add(&[&"--cap-drop", &"ALL"]);
    if rustix::process::geteuid().is_root() {
        KEPT.iter().for_each(|right| add(&[&"--cap-add", right]));
    }
    for node in &walls.devices {
        add(&[&"--dev-bind", node, node]);
    }
    let hidden: Vec<PathBuf> = walls.hidden.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let fresh = FRESH.iter().map(PathBuf::from).filter(|path| path.is_dir() && !path.is_symlink());
    for path in fresh {
        add(&[&"--tmpfs", &path]);
    }
    let (files, folders): (Vec<&PathBuf>, Vec<&PathBuf>) = hidden.iter().partition(|path| path.is_file());
    for path in &folders {
        add(&[&"--tmpfs", path]);
    }
    for path in files {
        add(&[&"--ro-bind", &"/dev/null", path]);
    }
    for path in &walls.read {
        add(&[&"--ro-bind-try", path, path]);
    }
    for path in &walls.write {
        add(&[&"--bind", path, path]);
    }
    add(&[&"--ro-bind", &exe, &INIT]);
    for path in &folders {
        add(&[&"--remount-ro", path]);
    }
    add(&[&"--chdir", &folder, &"--", &INIT]);
    all.extend(inside.iter().cloned());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_covered_before_what_may_be_used_is_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().canonicalize().expect("it is there");
        let keys = tempfile::NamedTempFile::new().expect("a file");
        let keys = keys.path().canonicalize().expect("it is there");
        let walls = Walls {
            hidden: vec![data.clone(), PathBuf::from("/absent data"), keys.clone()],
            read: vec![data.join("ws")],
            write: vec![data.join("ws/train.py")],
            devices: vec![PathBuf::from("/dev/nvidia3")],
            ..Walls::default()
        };
        let all = arguments(&walls, &data.join("ws"), Path::new("/bin/exe"), &["shim-init".into()]);
        let text: Vec<&str> = all.iter().map(|word| word.to_str().expect("text")).collect();
        let line = text.join(" ");
        let at = |part: &str| line.find(part).unwrap_or_else(|| panic!("{part} is in {line}"));
        let data = data.display();
        let order = [
            at("--ro-bind / /"),
            at("--dev-bind /dev/nvidia3 /dev/nvidia3"),
            at("--tmpfs /run"),
            at(&format!("--tmpfs {data}")),
            at(&format!("--ro-bind-try {data}/ws")),
            at(&format!("--bind {data}/ws/train.py")),
            at(&format!("--remount-ro {data}")),
            at(&format!("--chdir {data}/ws -- {INIT} shim-init")),
        ];
        assert!(order.is_sorted(), "{line}");
        assert!(
            line.contains(&format!("--ro-bind /dev/null {}", keys.display())),
            "a file is covered as one"
        );
        assert!(!line.contains("absent"), "bubblewrap makes no folder that was not there");
        assert!(line.contains("--cap-drop ALL") && !line.contains("CAP_SYS_ADMIN"));
        for namespace in ["pid", "ipc", "net"] {
            assert!(text.contains(&format!("--unshare-{namespace}").as_str()));
        }
    }
}
