//! `iter_strategy: branches`: the branch in the user's own repository.

use crate::harness::Fleet;
use crate::project::Project;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn git_output(dir: &Path, args: &[&str]) -> Output {
    let mut git = Command::new("git");
    git.arg("-C").arg(dir).args(["-c", "user.name=A Researcher", "-c", "user.email=a@example.org"]);
    git.args(args).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    git.stdin(Stdio::null()).output().expect("git is there")
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = git_output(dir, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {args:?} in {}: {said}", dir.display());
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// A client command that is called in a folder.
fn windlass(fleet: &Fleet, dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(crate::harness::WINDLASS);
    command.arg("--data-dir").arg(fleet.data_dir()).args(args).current_dir(dir).stdin(Stdio::null());
    command.env_remove("WINDLASS_COORDINATOR").env_remove("WINDLASS_OUTPUT").env("NO_COLOR", "1");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command.output().expect("the binary starts")
}

fn ok(fleet: &Fleet, dir: &Path, args: &[&str]) -> Value {
    let output = windlass(fleet, dir, &[&["--output", "json"], args].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}{}", fleet.logs());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {args:?}"))
}

/// That a command is refused with these words, and its exit code 3.
fn refused(fleet: &Fleet, dir: &Path, args: &[&str], words: &str) {
    let output = windlass(fleet, dir, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(3) && said.contains(words), "{words}: {:?} {said}", output.status);
}

/// A project in a folder of a repository, beside a file of another's; committed but for what is ignored.
fn project(fleet: &Fleet, format: &str) -> (PathBuf, PathBuf) {
    let repository = fleet.path("repository");
    std::fs::create_dir_all(&repository).expect("a folder");
    git(&repository, &["init", "--quiet", "--initial-branch=main", &format!("--object-format={format}")]);
    let dir = repository.join("experiments/one");
    let project = Project::default().windlass("  include: [secret.sh]\n").write(&dir);
    let config = std::fs::read_to_string(project.join("loop.run.yaml")).expect("there");
    let config =
        config.replace("editable_files: [params.sh]", "editable_files: [params.sh, secret.sh, more/*]");
    let config = format!("iter_strategy: branches\nrun_tag: one\n{config}");
    std::fs::write(project.join("loop.run.yaml"), config).expect("written");
    std::fs::write(project.join("secret.sh"), "# not in git\n").expect("written");
    std::fs::write(repository.join(".gitignore"), "secret.sh\nsandbox\nlevers\n").expect("written");
    // A filter of the user's has no say in what is committed, and CRLF stays as it is.
    std::fs::write(repository.join(".gitattributes"), "*.sh text eol=lf\n").expect("written");
    std::fs::write(repository.join("other.txt"), "of somebody else\n").expect("written");
    std::os::unix::fs::symlink("other.txt", repository.join("link")).expect("a link");
    git(&repository, &["add", "--all"]);
    git(&repository, &["commit", "--quiet", "-m", "begin"]);
    (repository, project)
}

/// What the user has checked out, and the index, as they were.
fn untouched(repository: &Path) -> (String, Vec<u8>, String) {
    let index = std::fs::read(repository.join(".git/index")).expect("an index");
    (git(repository, &["rev-parse", "HEAD"]), index, git(repository, &["status", "--porcelain"]))
}

fn column(tsv: &str) -> Vec<&str> {
    tsv.lines().skip(1).filter_map(|line| line.split('\t').next()).collect()
}

fn check_branch(format: &str) {
    let fleet = Fleet::new();
    let (repository, project) = project(&fleet, format);
    Project::lever(&project, "a", "0.4");
    Project::lever(&project, "b", "0.75");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let before = untouched(&repository);
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 3);
    let synced = ok(&fleet, &project, &["sync", &campaign]);
    let tip = synced["branch"]["tip"].as_str().expect("a tip").to_owned();
    assert_eq!(untouched(&repository), before, "nothing that is checked out was touched");
    // The tip is the best, and grows from HEAD through the baseline.
    assert_eq!(git(&repository, &["rev-parse", "autoresearch/one"]), tip);
    let line = git(&repository, &["log", "--format=%s", "autoresearch/one"]);
    assert_eq!(line, "set 0.75\nbaseline\nbegin");
    assert_eq!(git(&repository, &["log", "-1", "--format=%an %cn", "autoresearch/one"]), "Windlass Windlass");
    let show = |what: &str| git(&repository, &["show", what]);
    assert_eq!(show("autoresearch/one:experiments/one/params.sh"), "# the one number\nVALUE=0.75");
    assert_eq!(show("autoresearch/one:other.txt"), "of somebody else", "the rest is as HEAD has it");
    assert_eq!(show("autoresearch/one:experiments/one/secret.sh"), "# not in git", "sent although ignored");
    let files = git(&repository, &["ls-tree", "-r", "--name-only", "autoresearch/one"]);
    let is_ours =
        |file: &&str| file.contains("results.tsv") || file.contains("sandbox") || file.contains("iter");
    assert_eq!(files.lines().find(is_ours), None, "projections are never committed: {files}");
    // The loser is reachable beside it, from what it was built on.
    let loser = git(&repository, &["log", "--format=%s", "refs/windlass/one/iter2"]);
    assert_eq!(loser, "set 0.4\nbaseline\nbegin");
    assert_eq!(show("refs/windlass/one/iter2:experiments/one/params.sh"), "# the one number\nVALUE=0.4");
    git(&repository, &["fsck", "--strict"]);
    // results.tsv names commits, wherever it is made.
    let tsv = std::fs::read_to_string(project.join("sandbox/results.tsv")).expect("the copy");
    let elsewhere = fleet.ok(&["results", &campaign, "--format", "tsv"]);
    assert_eq!(tsv, elsewhere);
    let names = column(&tsv);
    let short = |what: &str| git(&repository, &["rev-parse", what])[..7].to_owned();
    let want = ["autoresearch/one~1", "refs/windlass/one/iter2", "autoresearch/one"].map(short);
    assert_eq!(names, want);
    // Any copy makes the same ids, and a second sync has nothing to do.
    let again = ok(&fleet, &project, &["sync", &campaign]);
    assert_eq!(
        (&again["branch"]["written"], &again["branch"]["tip"]),
        (&Value::from(0), &Value::from(&*tip))
    );
    let clone = fleet.path("clone.git");
    let url = repository.display().to_string();
    git(
        fleet.path("repository").parent().expect("a parent"),
        &[
            "clone",
            "--quiet",
            "--bare",
            "--single-branch",
            "--branch=main",
            &url,
            &clone.display().to_string(),
        ],
    );
    assert_eq!(git(&clone, &["branch", "--format=%(refname:short)"]), "main");
    ok(&fleet, &clone, &["sync", &campaign, &fleet.path("copy").display().to_string()]);
    assert_eq!(git(&clone, &["rev-parse", "autoresearch/one"]), tip);
    // With --checkout, and then with more that is kept.
    let out = ok(&fleet, &project, &["sync", &campaign, "--checkout"]);
    assert_eq!(out["branch"]["checked_out"], true);
    assert_eq!(git(&repository, &["symbolic-ref", "HEAD"]), "refs/heads/autoresearch/one");
    Project::lever(&project, "c", "0.9");
    fleet.ok(&["lever", "add", &campaign, &project.join("levers/c.yaml").display().to_string()]);
    fleet.wait_decided(&campaign, 4);
    let params = || std::fs::read_to_string(project.join("params.sh")).expect("there");
    let left = ok(&fleet, &project, &["sync", &campaign]);
    assert!(!left["branch"]["left"].is_null(), "it is checked out, and nobody asked: {left}");
    assert!(params().contains("0.75") && git(&repository, &["rev-parse", "HEAD"]) == tip);
    ok(&fleet, &project, &["sync", &campaign, "--checkout"]);
    assert!(params().contains("0.9"), "{}", params());
    assert_eq!(git(&repository, &["status", "--porcelain"]), "");
    fleet.verify();
}

#[test]
fn branches_keep_one_commit_for_each_kept_iteration_and_losers_beside_it() {
    check_branch("sha1");
}

#[test]
fn branches_are_kept_in_a_repository_of_sha256_too() {
    check_branch("sha256");
}

#[test]
fn branches_refuse_what_they_could_not_keep_and_send_nothing() {
    let fleet = Fleet::new();
    let (repository, project) = project(&fleet, "sha1");
    let _coordinator = fleet.coordinator();
    let dir = project.display().to_string();
    let submit = |words: &str| refused(&fleet, &project, &["submit", &dir], words);
    let edit = |name: &str, text: &str| std::fs::write(repository.join(name), text).expect("written");
    // A file that is sent and not as HEAD has it; what is not sent does not matter.
    let run = std::fs::read_to_string(project.join("run.sh")).expect("there");
    edit("experiments/one/run.sh", &format!("{run}# changed\n"));
    submit("run.sh");
    edit("experiments/one/run.sh", &run);
    std::fs::remove_file(project.join("params.sh")).expect("removed");
    std::fs::write(project.join("more.sh"), "").expect("written");
    submit("params.sh");
    git(&repository, &["checkout", "--quiet", "--", "experiments/one/params.sh"]);
    // The branch, or what lies beside it, is there.
    git(&repository, &["branch", "autoresearch/one"]);
    submit("refs/heads/autoresearch/one is there already");
    git(&repository, &["branch", "--delete", "--force", "autoresearch/one"]);
    git(&repository, &["update-ref", "refs/windlass/one/iter3", "HEAD"]);
    submit("refs/windlass/one/iter3 is there already");
    git(&repository, &["update-ref", "-d", "refs/windlass/one/iter3"]);
    // No git on the way.
    let mut without = Command::new(crate::harness::WINDLASS);
    without.arg("--data-dir").arg(fleet.data_dir()).args(["submit", &dir]).env("PATH", "/nowhere");
    let said = String::from_utf8_lossy(&without.output().expect("it starts").stderr).into_owned();
    assert!(said.contains("there is no git here"), "{said}");
    // A submodule with an editable file, a repository without a commit, none at all.
    let elsewhere = fleet.path("elsewhere");
    git(&repository, &["clone", "--quiet", ".", &elsewhere.display().to_string()]);
    let module = project.join("more");
    git(&repository, &["clone", "--quiet", &elsewhere.display().to_string(), &module.display().to_string()]);
    git(&repository, &["add", "experiments/one/more"]);
    git(&repository, &["commit", "--quiet", "-m", "a submodule"]);
    submit("lies in a submodule");
    git(&repository, &["reset", "--quiet", "--hard", "HEAD~1"]);
    std::fs::remove_dir_all(&module).expect("removed");
    let unborn = Project::default().write(&fleet.path("unborn"));
    let config = std::fs::read_to_string(unborn.join("loop.run.yaml")).expect("there");
    std::fs::write(unborn.join("loop.run.yaml"), format!("iter_strategy: branches\n{config}"))
        .expect("written");
    let there = unborn.display().to_string();
    refused(&fleet, &unborn, &["submit", &there], "is in no working tree");
    git(&unborn, &["init", "--quiet"]);
    refused(&fleet, &unborn, &["submit", &there], "has no commit yet");
    let campaigns = fleet.json(&["campaigns"]);
    assert_eq!(campaigns["campaigns"].as_array().map(Vec::len), Some(0), "nothing was sent: {campaigns}");
    // Dirty where it does not matter, on a detached HEAD: taken.
    edit("other.txt", "changed, and not sent\n");
    std::fs::write(project.join("notes.txt"), "untracked\n").expect("written");
    git(&repository, &["checkout", "--quiet", "--detach"]);
    let campaign = ok(&fleet, &project, &["submit", &dir])["campaign"].as_str().expect("an id").to_owned();
    // Somebody else's branch of that name is left as it is.
    let _worker = fleet.worker("one");
    fleet.wait_decided(&campaign, 1);
    git(&repository, &["commit", "--quiet", "-am", "theirs"]);
    git(&repository, &["branch", "autoresearch/one"]);
    refused(&fleet, &project, &["sync", &campaign], "which");
    assert!(project.join("sandbox/results.tsv").is_file(), "the copy is there all the same");
    git(&repository, &["branch", "--delete", "--force", "autoresearch/one"]);
    ok(&fleet, &project, &["sync", &campaign]);
    refused(&fleet, &fleet.path("unborn"), &["sync", &campaign], "has no commit");
}

#[test]
fn branches_grow_in_a_linked_worktree_whose_files_git_converts() {
    let fleet = Fleet::new();
    let (repository, _) = project(&fleet, "sha1");
    // Git keeps these with LF and checks them out with CRLF.
    std::fs::write(repository.join(".gitattributes"), "*.txt text eol=crlf\n").expect("written");
    let notes = "experiments/one/more/notes.txt";
    std::fs::create_dir_all(repository.join("experiments/one/more")).expect("a folder");
    std::fs::write(repository.join(notes), "one\r\ntwo\r\n").expect("written");
    git(&repository, &["add", "--all"]);
    git(&repository, &["commit", "--quiet", "-m", "notes"]);
    let linked = fleet.path("linked");
    git(&repository, &["worktree", "add", "--quiet", "-b", "side", &linked.display().to_string()]);
    let project = linked.join("experiments/one");
    std::fs::write(project.join("secret.sh"), "# not in git\n").expect("written");
    assert!(linked.join(".git").is_file(), "a linked working tree has no folder of its own");
    assert_eq!(std::fs::read(linked.join(notes)).expect("there"), b"one\r\ntwo\r\n");
    Project::lever(&project, "a", "0.75");
    std::fs::create_dir_all(project.join("levers/a.tree/more")).expect("a folder");
    std::fs::write(project.join("levers/a.tree/more/notes.txt"), "one\r\nthree\r\n").expect("written");
    let file = project.join("levers/a.yaml");
    let lever = std::fs::read_to_string(&file).expect("there");
    let lever = lever.replace("files: [params.sh]", "files: [params.sh, more/notes.txt]");
    std::fs::write(&file, lever).expect("written");
    let state = |dir: &Path| {
        ["HEAD", "side", "main"].map(|name| git(dir, &["rev-parse", name])).join(" ")
            + &git(dir, &["symbolic-ref", "HEAD"])
            + &git(dir, &["status", "--porcelain"])
    };
    let before = [&repository, &linked].map(|dir| state(dir));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    // As git sees it nothing is changed, though the bytes are not those that it keeps.
    let dir = project.display().to_string();
    let submitted = ok(&fleet, &project, &["submit", &dir, "--levers", &format!("{dir}/levers")]);
    let campaign = submitted["campaign"].as_str().expect("an id").to_owned();
    fleet.wait_decided(&campaign, 2);
    let synced = ok(&fleet, &project, &["sync", &campaign]);
    assert_eq!([&repository, &linked].map(|dir| state(dir)), before, "neither working tree was touched");
    let tip = synced["branch"]["tip"].as_str().expect("a tip");
    assert_eq!(git(&repository, &["rev-parse", "autoresearch/one"]), tip, "the repository has the branch");
    assert_eq!(git(&linked, &["log", "--format=%s", "autoresearch/one"]), "set 0.75\nbaseline\nnotes\nbegin");
    let blob = |at: &str| git_output(&repository, &["cat-file", "blob", &format!("{at}:{notes}")]).stdout;
    assert_eq!(blob("autoresearch/one~1"), b"one\ntwo\n", "what no lever touched is as HEAD has it");
    assert_eq!(blob("autoresearch/one"), b"one\r\nthree\r\n", "what a lever wrote is what was measured");
    git(&repository, &["fsck", "--strict"]);
}

#[test]
fn p29_p30_the_copy_and_the_branch_that_research_keeps_are_those_of_a_sync() {
    let fleet = Fleet::new();
    let (repository, project) = project(&fleet, "sha1");
    let agent = fleet.path("agent.sh");
    let script = "[ $WINDLASS_TURN = propose ] || exit 0\nprintf '# the one number\\nVALUE=0.75\\n' > params.sh\n\
        cat > \"$WINDLASS_TURN_DIR/lever.yaml\" <<'END'\ntitle: set 0.75\nfiles: [params.sh]\n\
        anchor: {file: value.tsv, pattern: 'value\\t([0-9.]+)', compare: '> 0'}\nprediction: val becomes 0.75\n\
        analysis:\n  - {script: 'builtin:log', output: end.tsv, dimension: end, question: q, if_helped: a, if_not: b}\nEND\n";
    std::fs::write(&agent, script).expect("an agent");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let before = untouched(&repository);
    let campaign = fleet.submit(&project, false);
    let command = ["--max-iterations", "1", "--sync", "sandbox", "--", "sh", agent.to_str().expect("UTF-8")];
    let output = windlass(&fleet, &project, &[&["research", &campaign], &command[..]].concat());
    let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
    assert!(output.status.success() && !said.contains("was not brought up to date"), "{said}");
    assert_eq!(git(&repository, &["log", "--format=%s", "autoresearch/one"]), "set 0.75\nbaseline\nbegin");
    assert_eq!(untouched(&repository), before, "nothing that is checked out was touched");
    let tsv = std::fs::read_to_string(project.join("sandbox/results.tsv")).expect("the copy");
    assert_eq!(tsv, fleet.ok(&["results", &campaign, "--format", "tsv"]), "rows are called by their commits");
    let again = ok(&fleet, &project, &["sync", &campaign]);
    assert_eq!((&again["written"], &again["branch"]["written"]), (&0.into(), &0.into()), "{again}");
}
