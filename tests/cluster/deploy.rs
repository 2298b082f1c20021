//! What `deploy/` brings: the installer in an empty place, the units, the container file. Nothing here needs systemd or
//! a container engine; `tests/deploy/` runs the units where there is one.

use crate::harness::WINDLASS;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where everything goes in place of `/`.
fn empty_root() -> TempDir {
    tempfile::Builder::new().prefix("windlass-test-").tempdir().expect("a folder")
}

fn installer(root: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.arg(repository().join("deploy/install.sh")).args(args).env("DESTDIR", root);
    command.output().expect("sh runs")
}

fn install(root: &Path, args: &[&str]) -> String {
    let output = installer(root, &[&["--binary", WINDLASS], args].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All files below a folder, relative to it.
fn files(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            match entry.file_type().expect("a kind").is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.strip_prefix(root).expect("below").display().to_string())),
            }
        }
    }
    found
}

#[test]
fn what_is_installed_works_where_it_lies_and_is_removed_without_a_trace_of_its_own() {
    let root = empty_root();
    let at = |path: &str| root.path().join(path);
    // What somebody else has there stays.
    fs::create_dir_all(at("usr/local/bin")).expect("a folder");
    fs::write(at("usr/local/bin/other"), "theirs").expect("a file");
    let said = install(root.path(), &[]);
    assert!(said.starts_with("installed "), "{said}");
    let installed = files(root.path());
    for path in [
        "usr/local/bin/windlass",
        "usr/local/share/man/man1/windlass.1",
        "usr/local/share/man/man1/windlass-ledger-backup.1",
        "usr/local/share/bash-completion/completions/windlass",
        "usr/local/share/zsh/site-functions/_windlass",
        "usr/local/share/fish/vendor_completions.d/windlass.fish",
        "usr/local/share/doc/windlass/operate.md",
        "usr/local/lib/systemd/system/windlass-coordinator.service",
        "usr/local/lib/systemd/system/windlass-worker.service",
        "usr/local/lib/systemd/system/windlass-backup.timer",
        "usr/local/lib/sysusers.d/windlass.conf",
        "usr/local/lib/tmpfiles.d/windlass.conf",
        "etc/windlass/windlass.toml",
    ] {
        assert!(installed.contains(path), "{path} is not among {installed:?}");
    }
    let version = Command::new(at("usr/local/bin/windlass")).arg("--version").output().expect("it starts");
    assert!(version.status.success());
    let script = at("usr/local/share/bash-completion/completions/windlass");
    assert!(Command::new("bash").arg("-n").arg(&script).status().expect("bash runs").success());
    assert!(read(&script).contains("coordinator"));
    // Once more, as an upgrade: what was changed here stays, what the new version no longer has goes.
    fs::write(at("etc/windlass/windlass.toml"), "[worker]\nlabels = [\"mine\"]\n").expect("a file");
    let list = at("usr/local/share/windlass/installed.txt");
    let older = format!("/usr/local/share/doc/windlass/gone.md\n{}", read(&list));
    fs::write(&list, older).expect("a file");
    fs::write(at("usr/local/share/doc/windlass/gone.md"), "of an earlier version").expect("a file");
    install(root.path(), &[]);
    assert_eq!(files(root.path()), installed);
    assert!(read(at("etc/windlass/windlass.toml")).contains("mine"));
    let gone = installer(root.path(), &["--uninstall"]);
    assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
    let left: Vec<String> = files(root.path()).into_iter().collect();
    assert_eq!(left, ["etc/windlass/windlass.toml", "usr/local/bin/other"]);
    assert!(!at("usr/local/share").exists() && !at("usr/local/lib").exists(), "empty folders are gone too");
    let twice = installer(root.path(), &["--uninstall"]);
    let said = String::from_utf8_lossy(&twice.stderr).into_owned();
    assert!(twice.status.code() == Some(2) && said.contains("nothing was installed"), "{said}");
}

#[test]
fn another_prefix_has_its_own_settings_and_its_units_name_it() {
    let root = empty_root();
    install(root.path(), &["--prefix", "/opt/windlass"]);
    let unit = read(root.path().join("opt/windlass/lib/systemd/system/windlass-coordinator.service"));
    assert!(
        unit.contains("ExecStart=/opt/windlass/bin/windlass --config /opt/windlass/etc/windlass/"),
        "{unit}"
    );
    assert!(!unit.contains("/usr/local") && !unit.contains(" /etc"), "{unit}");
    assert!(root.path().join("opt/windlass/etc/windlass/windlass.toml").exists());
    assert!(!root.path().join("etc").exists());
    let plain = empty_root();
    install(plain.path(), &["--prefix", "/usr", "--no-systemd"]);
    let installed = files(plain.path());
    assert!(
        installed.iter().all(|path| path.starts_with("usr/") && !path.contains("systemd")),
        "{installed:?}"
    );
}

#[test]
fn a_mistaken_install_is_refused_in_a_sentence_and_changes_nothing() {
    let root = empty_root();
    let (missing, text) = (root.path().join("none"), repository().join("README.md"));
    let (missing, text) = (missing.to_str().expect("a UTF-8 path"), text.to_str().expect("a UTF-8 path"));
    for (args, want) in [
        (&["--prefix", "relative", "--binary", WINDLASS][..], "absolute path"),
        (&["--prefix", "/a b", "--binary", WINDLASS], "letters, digits"),
        (&["--prefix"], "needs a folder"),
        (&["--binary", missing], "is no program"),
        (&["--binary", text], "is no program"),
        (&["--colour"], "no option"),
        (&["--uninstall"], "nothing was installed"),
    ] {
        let output = installer(root.path(), args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(want) && said.lines().count() == 1, "{args:?}: {said}");
        assert!(files(root.path()).is_empty(), "{args:?}");
    }
}

/// A unit: for each section and key the values, in order.
type Unit = BTreeMap<(String, String), Vec<String>>;

fn unit(name: &str) -> Unit {
    let mut parsed = Unit::new();
    let mut section = String::new();
    for line in read(repository().join("deploy/systemd").join(name)).lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{name}: {line:?} is no setting"));
        let values = parsed.entry((section.clone(), key.to_owned())).or_default();
        values.push(value.to_owned());
    }
    parsed
}

fn value<'a>(unit: &'a Unit, section: &str, key: &str) -> Option<&'a str> {
    unit.get(&(section.to_owned(), key.to_owned()))?.last().map(String::as_str)
}

#[test]
fn every_unit_starts_a_command_line_that_the_program_takes() {
    let etc = empty_root();
    let settings = etc.path().join("windlass.toml");
    fs::copy(repository().join("deploy/windlass.toml"), &settings).expect("copied");
    for name in ["windlass-coordinator.service", "windlass-worker.service", "windlass-backup.service"] {
        let unit = unit(name);
        let command = value(&unit, "Service", "ExecStart").expect("what it starts");
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[0], "/usr/local/bin/windlass", "{name}");
        let here = settings.to_str().expect("a UTF-8 path");
        let args = words[1..].iter().map(|word| word.replace("/etc/windlass/windlass.toml", here));
        // With --help everything is read and nothing is done.
        let output = Command::new(WINDLASS).args(args).arg("--help").output().expect("it starts");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(value(&unit, "Service", "NoNewPrivileges"), Some("yes"), "{name}");
        assert_eq!(value(&unit, "Service", "CapabilityBoundingSet"), Some(""), "{name}");
    }
    let wrong = Command::new(WINDLASS).args(["coordinator", "--no-such-option", "--help"]).output();
    assert!(!wrong.expect("it starts").status.success(), "--help alone would prove nothing");
    // The settings as they are laid, and as they are once every line of them counts.
    let doctor = |text: String| {
        fs::write(&settings, text).expect("a file");
        let mut command = Command::new(WINDLASS);
        command.arg("--config").arg(&settings).arg("--data-dir").arg(etc.path().join("data"));
        command.args(["--output", "json", "doctor"]).env_remove("WINDLASS_COORDINATOR");
        let output = command.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(output.status.code(), Some(2), "every key is one: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let laid = read(repository().join("deploy/windlass.toml"));
    assert!(doctor(laid.clone()).contains("0.0.0.0:7070"));
    let is_key =
        |line: &&str| line.strip_prefix("# ").is_some_and(|rest| rest.split(' ').nth(1) == Some("="));
    assert_eq!(laid.lines().filter(is_key).count(), 6, "what can be uncommented");
    let whole: Vec<&str> = laid.lines().map(|line| if is_key(&line) { &line[2..] } else { line }).collect();
    assert!(doctor(whole.join("\n")).contains("head.lab:7070"));
}

#[test]
fn runs_outlive_their_daemon_and_keep_their_gpus_and_sandboxes_under_the_workers_unit() {
    let worker = unit("windlass-worker.service");
    for (key, want) in [
        ("KillMode", "process"),
        ("Delegate", "yes"),
        ("OOMPolicy", "continue"),
        ("User", "windlass-worker"),
        ("Restart", "always"),
    ] {
        assert_eq!(value(&worker, "Service", key), Some(want), "{key}");
    }
    // Each of them closes something that a run needs; the unit says what.
    let text = read(repository().join("deploy/systemd/windlass-worker.service"));
    for key in [
        "PrivateDevices",
        "ProtectClock",
        "DevicePolicy",
        "ProtectKernelTunables",
        "ProtectKernelLogs",
        "ProtectProc",
        "ProtectControlGroups",
        "RestrictNamespaces",
        "PrivateTmp",
        "MemoryDenyWriteExecute",
        "SystemCallFilter",
        "ProtectHome",
    ] {
        assert_eq!(value(&worker, "Service", key), None, "{key}");
        assert!(text.contains(key), "the unit says why {key} is not there");
    }
    let coordinator = unit("windlass-coordinator.service");
    assert_eq!(value(&coordinator, "Service", "Type"), Some("notify"));
    assert_ne!(value(&coordinator, "Service", "User"), value(&worker, "Service", "User"));
    assert_eq!(value(&coordinator, "Service", "ProtectSystem"), Some("strict"));
    // Users and folders that the units rest on are made by what is installed beside them.
    let users = read(repository().join("deploy/systemd/sysusers.conf"));
    let folders = read(repository().join("deploy/systemd/tmpfiles.conf"));
    for (unit, folder) in [(&coordinator, "/var/lib/windlass"), (&worker, "/var/lib/windlass-worker")] {
        let user = value(unit, "Service", "User").expect("a user");
        assert!(users.lines().any(|line| line.starts_with(&format!("u {user} "))), "{user}");
        assert!(folders.contains(&format!("d {folder} 0700 {user} {user} -")), "{folder}");
        assert_eq!(format!("/var/lib/{}", value(unit, "Service", "StateDirectory").expect("one")), folder);
        assert!(value(unit, "Service", "ExecStart").expect("one").contains(folder));
    }
    assert!(folders.contains("d /var/backups/windlass 0700 windlass windlass -"));
}

#[test]
fn the_container_file_builds_both_roles_from_what_is_here_and_runs_neither_as_root() {
    let text = read(repository().join("deploy/Containerfile")).replace("\\\n", " ");
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let mut stages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut stage = "";
    for line in &lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["FROM", _, "AS", name] = words.as_slice() {
            stage = name;
        }
        stages.entry(stage).or_default().push(line);
    }
    assert_eq!(stages.keys().copied().collect::<Vec<_>>(), ["", "build", "coordinator", "worker"]);
    let toolchain = read(repository().join("Cargo.toml"));
    let rust = toolchain.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    assert!(stages[""].contains(&format!("ARG RUST={}", rust.trim_matches('"')).as_str()), "{rust}");
    for role in ["coordinator", "worker"] {
        let stage = &stages[role];
        let of =
            |word: &str| stage.iter().filter_map(|line| line.strip_prefix(word)).next_back().map(str::trim);
        let user = of("USER ").expect("a user");
        assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{role}: {user}");
        let copied: Vec<&&str> = stage.iter().filter(|line| line.starts_with("COPY")).collect();
        let want = "COPY --from=build /src/target/release/windlass /usr/local/bin/windlass";
        assert_eq!(copied, [&want], "{role}");
        assert_eq!(of("ENTRYPOINT "), Some("[\"windlass\"]"));
        let command: Vec<String> = serde_json::from_str(of("CMD ").expect("a command")).expect("a list");
        assert_eq!(command[0], role);
        let output = Command::new(WINDLASS).args(&command).arg("--help").output().expect("it starts");
        assert!(output.status.success(), "{role}: {}", String::from_utf8_lossy(&output.stderr));
        for line in stage.iter().filter(|line| line.starts_with("ENV ")) {
            for (name, _) in line[4..].split_whitespace().filter_map(|pair| pair.split_once('=')) {
                assert!(read(repository().join("docs/settings.md")).contains(name), "{name} is a setting");
            }
        }
    }
    let ignored = read(repository().join(".dockerignore"));
    assert!(ignored.lines().any(|line| line == "target") && !ignored.lines().any(|line| line == "deploy"));
}
