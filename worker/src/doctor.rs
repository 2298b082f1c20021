//! What can be said of a machine as a worker: findings that `windlass doctor` prints beside its own. It
//! reads and tries; it changes nothing that stays. docs/worker.md says what to do about each.

use crate::device::NVML_LIBRARIES;
use crate::sandbox::Machine;
use crate::settings::Settings;
use nvml_wrapper::Nvml;
use rustix::fs::{statfs, statvfs};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use windlass_shared::machine::{Containment, Isolation};
use windlass_shared::space::{Level, Marks, Space};
use windlass_shared::view::Finding;

/// A sync that takes longer than this slows every start and end of a run.
const SYNC_WARN: Duration = Duration::from_millis(100);
/// File systems by the number that `statfs` gives, and what is wrong with them for a spool.
const ODD_FILE_SYSTEMS: [(u64, &str, &str); 4] = [
    (0x6969, "NFS", "its locks and syncs are the server's"),
    (0xff53_4d42, "CIFS", "its locks and syncs are the server's"),
    (0xfe53_4d42, "SMB", "its locks and syncs are the server's"),
    (0x0102_1994, "tmpfs", "a reboot loses what was not yet delivered"),
];

/// Findings about a worker with these settings on this machine. Blocks for some milliseconds.
pub fn findings(settings: &Settings) -> Vec<Finding> {
    let machine = Machine::probe(&settings.exe);
    let mut findings = work_dir(&settings.work_dir, settings.marks);
    findings.push(driver(settings.nvml_library.as_ref(), &nvidia_nodes()));
    findings.extend([cgroup(&machine), namespaces(&machine), containment(&machine)]);
    findings.extend([Isolation::Guarded, Isolation::Sealed].map(|level| isolation(&machine, level)));
    findings.push(overlay(&fs::read_to_string("/proc/filesystems").unwrap_or_default()));
    findings.push(time_service(is_clock_kept()));
    findings
}

/// The work folder, or the nearest one above it that is there: takes files, keeps them, has room.
fn work_dir(work_dir: &Path, marks: Marks) -> Vec<Finding> {
    const CHECK: &str = "work folder";
    const REMEDY: &str = "give a folder that you may write to with --work-dir";
    let shown = work_dir.display();
    let Some(nearest) = work_dir.ancestors().find(|folder| folder.exists()) else {
        return vec![Finding::fail(CHECK, format!("{shown} has no parent that exists"), REMEDY)];
    };
    let took = match try_sync(nearest) {
        Ok(took) => took,
        Err(source) => {
            let text = format!("{} cannot be written: {source}", nearest.display());
            return vec![Finding::fail(CHECK, text, REMEDY)];
        }
    };
    let mut findings = vec![Finding::ok(CHECK, format!("{shown} takes files"))];
    findings.push(match took < SYNC_WARN {
        true => Finding::ok("work sync", format!("a small file is durable in {:.1} ms", millis(took))),
        false => Finding::warn(
            "work sync",
            format!("a small file takes {:.0} ms to be durable", millis(took)),
            "put --work-dir on a local disk: every run's start and end waits for some syncs",
        ),
    });
    findings.extend(odd_file_system(nearest));
    findings.extend(room(nearest, marks));
    findings
}

fn try_sync(folder: &Path) -> io::Result<Duration> {
    let probe = folder.join(format!(".windlass-doctor-{}", std::process::id()));
    let written = || -> io::Result<Duration> {
        let mut file = File::create(&probe)?;
        file.write_all(b"probe")?;
        let began = Instant::now();
        file.sync_all()?;
        Ok(began.elapsed())
    };
    let took = written();
    let removed = fs::remove_file(&probe);
    let took = took?;
    removed.map(|()| took)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn odd_file_system(folder: &Path) -> Option<Finding> {
    let kind = statfs(folder).ok()?.f_type as u64 & 0xffff_ffff;
    let (_, name, trouble) = ODD_FILE_SYSTEMS.iter().find(|(number, ..)| *number == kind)?;
    let text = format!("the work folder lies on {name}: {trouble}");
    Some(Finding::warn("work file system", text, "put --work-dir on a local disk"))
}

fn room(folder: &Path, marks: Marks) -> Option<Finding> {
    const CHECK: &str = "work disk";
    let stat = statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    let space = Space::new(folder.display().to_string(), bytes(stat.f_bavail), bytes(stat.f_blocks), marks);
    let text = format!("{} MiB are free of {} MiB", space.free_bytes >> 20, space.total_bytes >> 20);
    let remedy = "free some, or give a folder on a larger disk with --work-dir";
    Some(match space.level() {
        Level::Ample => Finding::ok(CHECK, text),
        Level::Low => Finding::warn(CHECK, text, remedy),
        Level::Out => Finding::fail(CHECK, format!("{text}: nothing new is taken"), remedy),
    })
}

/// Device nodes of NVIDIA GPUs.
fn nvidia_nodes() -> Vec<PathBuf> {
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    let is_gpu = |path: &PathBuf| {
        let number = path.to_str().and_then(|path| path.strip_prefix("/dev/nvidia"));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    entries.map(|entry| entry.path()).filter(is_gpu).collect()
}

/// The driver through NVML; a machine without any GPU needs none.
fn driver(library: Option<&OsString>, nodes: &[PathBuf]) -> Finding {
    const CHECK: &str = "GPU driver";
    const REMEDY: &str = "install the driver's user-space libraries of the version that the kernel has loaded \
                          (`nvidia-smi` must work), or reboot after an upgrade";
    let names =
        library.map_or_else(|| NVML_LIBRARIES.map(OsString::from).to_vec(), |name| vec![name.clone()]);
    let mut problem = String::new();
    for name in &names {
        match Nvml::builder().lib_path(name).init() {
            Ok(nvml) => {
                let count = nvml.device_count().unwrap_or(0);
                let version = nvml.sys_driver_version().unwrap_or_else(|_| "of no known version".to_owned());
                let gpus = if count == 1 { "1 GPU".to_owned() } else { format!("{count} GPUs") };
                let text = format!("NVML answers, driver {version}, {gpus}");
                return match count {
                    0 => Finding::warn(CHECK, text, "see `dmesg | grep -i nvrm` for why none is found"),
                    _ => Finding::ok(CHECK, text),
                };
            }
            Err(error) => problem = error.to_string(),
        }
    }
    match (nodes.is_empty(), library) {
        (true, None) => Finding::ok(CHECK, "no NVIDIA GPU here: CPU slots are offered".to_owned()),
        (true, Some(_)) => Finding::warn(CHECK, format!("NVML does not open: {problem}"), REMEDY),
        (false, _) => {
            let text =
                format!("there are {} GPU device nodes, and NVML does not open: {problem}", nodes.len());
            Finding::fail(CHECK, text, REMEDY)
        }
    }
}

/// What the kernel holds limits with.
fn cgroup(machine: &Machine) -> Finding {
    const CHECK: &str = "cgroup";
    match &machine.cgroups {
        Some(base) => {
            Finding::ok(CHECK, format!("v2: runs get theirs in {}, limits are the kernel's", base.display()))
        }
        None => Finding::warn(
            CHECK,
            format!("none of v2 to be had{}: a run's shim looks at its limits", why(machine, "cgroup")),
            "boot with cgroup v2 (`systemd.unified_cgroup_hierarchy=1`), and run the worker as root or as a \
             systemd service with Delegate=yes",
        ),
    }
}

fn namespaces(machine: &Machine) -> Finding {
    const CHECK: &str = "namespaces";
    match machine.pid_namespace {
        true => Finding::ok(CHECK, "a run can have a pid namespace of its own".to_owned()),
        false => Finding::warn(
            CHECK,
            format!("none to be had{}", why(machine, "pid_namespace")),
            "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces above \
             0, kernel.apparmor_restrict_unprivileged_userns=0), or run the worker as root",
        ),
    }
}

/// What ends a run's whole tree here, which follows from the two above.
fn containment(machine: &Machine) -> Finding {
    const CHECK: &str = "containment";
    let text = match machine.containment() {
        Containment::Cgroup => "cgroup: the kernel ends a run whole",
        Containment::PidNamespace => "pid_namespace: the kernel ends a run whole",
        Containment::Subreaper => {
            "subreaper: a run's tree is walked and killed, and one whose shim is killed lives until the daemon \
             ends it"
        }
    };
    match machine.containment() {
        _ if machine.forced.is_some() => {
            Finding::warn(CHECK, format!("{text}; it was forced"), "unset WINDLASS_CONTAINMENT")
        }
        Containment::Cgroup | Containment::PidNamespace => Finding::ok(CHECK, text.to_owned()),
        Containment::Subreaper => Finding::warn(
            CHECK,
            text.to_owned(),
            "make a cgroup of v2 or namespaces available, as said above",
        ),
    }
}

/// Why the machine lacks something, in brackets.
fn why(machine: &Machine, name: &str) -> String {
    machine.problems.get(name).map_or_else(String::new, |problem| format!(" ({problem})"))
}

fn isolation(machine: &Machine, level: Isolation) -> Finding {
    let check = format!("isolation {level}");
    match machine.lacks(level) {
        Some((problem, remedy)) => Finding::warn(&check, format!("not to be had: {problem}"), remedy),
        None if level == Isolation::Guarded => {
            Finding::ok(&check, format!("Landlock version {}", machine.landlock))
        }
        None => {
            let path = machine.bubblewrap.as_deref().unwrap_or(Path::new("bwrap"));
            Finding::ok(&check, format!("bubblewrap at {}", path.display()))
        }
    }
}

/// Without an overlay workspaces are copied, and frozen files are checked after the run only.
fn overlay(file_systems: &str) -> Finding {
    const CHECK: &str = "overlay";
    match file_systems.lines().any(|line| line.split_ascii_whitespace().last() == Some("overlay")) {
        true => Finding::ok(CHECK, "the kernel has it".to_owned()),
        false => Finding::warn(
            CHECK,
            "the kernel has none loaded: workspaces are copied, and an edit of a frozen file that is taken \
             back in time is not seen"
                .to_owned(),
            "load it: `modprobe overlay`",
        ),
    }
}

/// Whether the kernel says that a time service keeps its clock; nothing where it does not answer.
#[expect(unsafe_code, reason = "the state of the clock is asked for by a call that no safe wrapper shows")]
fn is_clock_kept() -> Option<bool> {
    // SAFETY: all zeros are a valid `timex`, whose `modes` then ask for a reading alone; the kernel fills it.
    let (answer, clock) = unsafe {
        let mut clock: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut clock), clock)
    };
    (answer >= 0).then_some(clock.status & libc::STA_UNSYNC == 0)
}

fn time_service(kept: Option<bool>) -> Finding {
    const CHECK: &str = "time service";
    match kept {
        Some(true) => Finding::ok(CHECK, "the clock is kept by one".to_owned()),
        Some(false) => Finding::warn(
            CHECK,
            "none keeps this machine's clock: times in listings may mislead".to_owned(),
            "run chrony, ntpd or systemd-timesyncd; leases and gates do not depend on it",
        ),
        None => Finding::ok(CHECK, "the kernel does not tell; leases and gates do not need it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use windlass_shared::view;

    #[track_caller]
    fn check(finding: &Finding, level: view::Level, says: &str) {
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.text.contains(says), "{finding:?} does not say {says:?}");
        assert_eq!(finding.remedy.is_none(), level == view::Level::Ok, "{finding:?}");
    }

    #[test]
    fn a_work_folder_takes_files_or_says_why_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let found = work_dir(&dir.path().join("not/yet"), Marks::default());
        check(&found[0], view::Level::Ok, "takes files");
        assert!(found.iter().any(|finding| finding.check == "work sync"), "{found:?}");
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0, "nothing stays");
        let found = work_dir(Path::new("/proc/windlass"), Marks::default());
        check(&found[0], view::Level::Fail, "cannot be written");
    }

    #[test]
    fn a_disk_below_its_mark_takes_nothing_new() {
        let dir = tempfile::tempdir().expect("a folder");
        let marks = |stop_bytes| Marks { warn_bytes: Some(0), stop_bytes: Some(stop_bytes) };
        check(&room(dir.path(), marks(0)).expect("a disk"), view::Level::Ok, "free");
        check(&room(dir.path(), marks(u64::MAX)).expect("a disk"), view::Level::Fail, "nothing new");
    }

    #[test]
    fn a_gpu_without_its_driver_is_a_failure_and_no_gpu_is_none() {
        let absent = OsString::from("/absent/libnvidia-ml.so");
        check(&driver(Some(&absent), &[]), view::Level::Warn, "does not open");
        check(&driver(Some(&absent), &["/dev/nvidia0".into()]), view::Level::Fail, "1 GPU device nodes");
    }

    #[test]
    fn each_containment_and_level_follows_from_what_the_machine_has() {
        let problems = BTreeMap::from(
            ["cgroup", "pid_namespace", "landlock", "bubblewrap"]
                .map(|name| (name.to_owned(), format!("no {name} today"))),
        );
        let bare = Machine { problems, ..Machine::default() };
        check(&cgroup(&bare), view::Level::Warn, "(no cgroup today)");
        check(&namespaces(&bare), view::Level::Warn, "(no pid_namespace today)");
        check(&containment(&bare), view::Level::Warn, "subreaper");
        check(&isolation(&bare, Isolation::Guarded), view::Level::Warn, "no landlock today");
        check(&isolation(&bare, Isolation::Sealed), view::Level::Warn, "no bubblewrap today");
        let spaces = Machine { pid_namespace: true, landlock: 4, ..bare.clone() };
        check(&namespaces(&spaces), view::Level::Ok, "of its own");
        check(&containment(&spaces), view::Level::Ok, "pid_namespace");
        check(&isolation(&spaces, Isolation::Guarded), view::Level::Ok, "version 4");
        let full = Machine {
            cgroups: Some("/sys/fs/cgroup".into()),
            bubblewrap: Some("/usr/bin/bwrap".into()),
            ..spaces
        };
        check(&cgroup(&full), view::Level::Ok, "/sys/fs/cgroup");
        check(&containment(&full), view::Level::Ok, "cgroup");
        check(&isolation(&full, Isolation::Sealed), view::Level::Ok, "/usr/bin/bwrap");
        let forced = Machine { forced: Some(Containment::Subreaper), ..full };
        check(&containment(&forced), view::Level::Warn, "forced");
        check(&overlay("nodev\tproc\nnodev\toverlay\n\text4\n"), view::Level::Ok, "has it");
        check(&overlay("\text4\n"), view::Level::Warn, "copied");
        check(&time_service(Some(true)), view::Level::Ok, "kept by one");
        check(&time_service(Some(false)), view::Level::Warn, "may mislead");
        check(&time_service(is_clock_kept().and(None)), view::Level::Ok, "does not tell");
    }
}
