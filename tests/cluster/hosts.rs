//! deploy/agent: the manifests are as their hosts publish them, and the hooks do what they say.

use crate::harness::{Fleet, WINDLASS};
use crate::project::Project;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn agent() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/agent")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(agent().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every key of an object is one of these.
fn check_keys(value: &Value, known: &[&str], whose: &str) {
    let keys: BTreeSet<&str> = value.as_object().expect(whose).keys().map(String::as_str).collect();
    let unknown: Vec<&&str> = keys.iter().filter(|key| !known.contains(*key)).collect();
    assert!(unknown.is_empty(), "{whose} has {unknown:?}");
}

/// Small letters, digits and single hyphens, as plugins and skills are named.
fn is_kebab(name: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= 64 && name.split('-').all(is_part)
}

#[test]
fn the_plugin_and_its_marketplace_are_as_claude_code_publishes_them() {
    let plugin = json(".claude-plugin/plugin.json");
    let known = ["name", "version", "description", "author", "homepage", "repository", "license", "keywords"];
    check_keys(&plugin, &known, "plugin.json");
    let name = plugin["name"].as_str().expect("a name");
    assert!(is_kebab(name) && plugin["author"]["name"].is_string());
    assert_eq!(plugin["version"], env!("CARGO_PKG_VERSION"), "the plugin has the version of what it drives");

    let market = json(".claude-plugin/marketplace.json");
    check_keys(&market, &["name", "owner", "description", "plugins"], "marketplace.json");
    assert!(market["name"].as_str().is_some_and(is_kebab) && market["owner"]["name"].is_string());
    let [entry] = &market["plugins"].as_array().expect("a list")[..] else { panic!("one plugin") };
    check_keys(entry, &["name", "source", "description", "license"], "its entry");
    assert_eq!((&entry["name"], &entry["description"]), (&plugin["name"], &plugin["description"]));
    let source = entry["source"].as_str().expect("a path");
    assert!(source.starts_with("./") && agent().join(source).join(".claude-plugin/plugin.json").is_file());

    let servers = json(".mcp.json");
    check_keys(&servers, &["mcpServers"], ".mcp.json");
    let server = &servers["mcpServers"]["windlass"];
    check_keys(server, &["command", "args", "env"], "the server");
    assert_eq!((&server["command"], &server["args"][0]), (&"windlass".into(), &"mcp".into()));

    let hooks = json("hooks/hooks.json");
    check_keys(&hooks, &["description", "hooks"], "hooks.json");
    check_keys(&hooks["hooks"], &["SessionStart", "Stop"], "hooks");
    for (event, groups) in hooks["hooks"].as_object().expect("events") {
        for group in groups.as_array().expect("groups") {
            check_keys(group, &["matcher", "hooks"], event);
            for hook in group["hooks"].as_array().expect("hooks") {
                check_keys(hook, &["type", "command", "timeout"], event);
                assert_eq!(hook["type"], "command");
                let command = hook["command"].as_str().expect("a command");
                let script = command.split("${CLAUDE_PLUGIN_ROOT}/").nth(1).expect("below the plugin");
                assert!(agent().join(script.trim_end_matches('"')).is_file(), "{command}");
            }
        }
    }
    let sources = hooks["hooks"]["SessionStart"][0]["matcher"].as_str().expect("a matcher");
    assert_eq!(sources.split('|').collect::<Vec<_>>(), ["startup", "resume", "clear", "compact"]);
}

#[test]
fn every_skill_is_named_like_its_folder_and_within_what_the_format_allows() {
    let mut skills = 0;
    for folder in std::fs::read_dir(agent().join("skills")).expect("skills").flatten() {
        let name = folder.file_name().into_string().expect("UTF-8");
        let page = text(&format!("skills/{name}/SKILL.md"));
        let (head, body) =
            page.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")).expect("frontmatter");
        let fields: Vec<(&str, &str)> = head.lines().map(|line| line.split_once(": ").expect(line)).collect();
        let field = |key: &str| fields.iter().find(|(name, _)| *name == key).map_or("", |(_, value)| *value);
        let known = ["name", "description", "license", "compatibility", "metadata", "allowed-tools"];
        assert!(fields.iter().all(|(key, _)| known.contains(key)), "{fields:?}");
        assert!(field("name") == name && is_kebab(&name), "{name}");
        assert!((1..=1024).contains(&field("description").len()) && field("compatibility").len() <= 500);
        // A colon and a blank within a plain scalar of YAML would begin another key.
        assert!(fields.iter().all(|(_, value)| !value.contains(": ")), "{fields:?}");
        assert!(body.lines().count() < 100, "the loop in one page");
        for command in body.split('`').filter(|code| code.starts_with("windlass ")) {
            let word = command.split(' ').nth(1).unwrap_or_default();
            let help = Command::new(WINDLASS).args([word, "--help"]).output().expect("the binary starts");
            assert!(help.status.success(), "{name} names `{command}`");
        }
        skills += 1;
    }
    assert!(skills > 0);
    let block = text("AGENTS.md");
    assert!(
        block.starts_with("<!-- windlass: begin") && block.trim_end().ends_with("<!-- windlass: end -->")
    );
}

/// A session of a host in a project.
struct Session<'a> {
    fleet: &'a Fleet,
    project: PathBuf,
}

impl Session<'_> {
    fn hook(&self, script: &str, input: &str) -> (bool, String) {
        let bin = self.fleet.path("bin");
        if !bin.exists() {
            std::fs::create_dir(&bin).expect("a folder");
            std::os::unix::fs::symlink(WINDLASS, bin.join("windlass")).expect("a link");
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut child = Command::new("sh")
            .arg(agent().join("hooks").join(script))
            .current_dir(&self.project)
            .env("PATH", path)
            .env("HOME", self.fleet.path("home"))
            .env("WINDLASS_DATA_DIR", self.fleet.data_dir())
            .env("CLAUDE_PROJECT_DIR", &self.project)
            .env("CLAUDE_PLUGIN_DATA", self.fleet.path("plugin"))
            .env_remove("WINDLASS_COORDINATOR")
            .env_remove("WINDLASS_CAMPAIGN")
            .env_remove("WINDLASS_OUTPUT")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        // A hook that needs no input may have ended already.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        (output.status.success(), String::from_utf8(output.stdout).expect("UTF-8"))
    }

    /// Whether the session is kept from ending.
    fn is_kept(&self, session: &str) -> bool {
        let input = format!(
            "{{\"session_id\":\"{session}\",\"transcript_path\":\"/t.jsonl\",\"cwd\":\"/\",\
             \"hook_event_name\":\"Stop\",\"stop_hook_active\":false}}"
        );
        let (ended_well, said) = self.hook("stop.sh", &input);
        assert!(ended_well, "{said}");
        if said.is_empty() {
            return false;
        }
        let answer: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(answer["decision"], "block");
        assert!(answer["reason"].as_str().is_some_and(|reason| reason.contains("researcher")), "{said}");
        true
    }

    fn drives(&self, campaign: &str) {
        std::fs::write(self.project.join(".windlass-campaign"), format!("{campaign}\n")).expect("a file");
    }
}

#[test]
fn the_stop_hook_keeps_the_loop_going_while_the_campaign_runs_and_never_for_ever() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    Project::lever(&project, "a", "0.75");
    let coordinator = fleet.coordinator();
    let campaign = fleet.submit(&project, false);
    let session = Session { fleet: &fleet, project: fleet.path("project") };
    assert!(!session.is_kept("s1"), "a session that drives no campaign is left alone");
    session.drives(&campaign);
    for block in 1..=5 {
        assert!(session.is_kept("s1"), "block {block}");
    }
    for _ in 0..3 {
        assert!(!session.is_kept("s1"), "nothing moved: it may end");
    }
    assert!(session.is_kept("s2"), "another session has a count of its own");
    fleet.ok(&["lever", "add", &campaign, project.join("levers/a.yaml").to_str().expect("UTF-8")]);
    assert!(session.is_kept("s1"), "it moved on");
    std::fs::write(fleet.path("plugin/stops/s1"), "0\n500\nx\n").expect("a file");
    assert!(!session.is_kept("s1"), "so many in one session are enough");
    std::fs::write(fleet.path("plugin/stops/s3"), "torn").expect("a file");
    assert!(session.is_kept("s3"), "a count that cannot be read begins anew");
    assert!(!session.is_kept("../s4") && !fleet.path("plugin/s4").exists(), "no file elsewhere");
    session.drives("x\"; touch hacked; \"");
    assert!(!session.is_kept("s2") && !session.project.join("hacked").exists());
    session.drives(&campaign);
    fleet.ok(&["pause", &campaign]);
    assert!(!session.is_kept("s2"), "paused");
    fleet.ok(&["resume", &campaign]);
    assert!(session.is_kept("s5"), "and again");
    drop(coordinator);
    assert!(!session.is_kept("s5"), "nobody can say whether it runs");
}

#[test]
fn the_start_hook_tells_a_session_where_the_campaign_stands() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let coordinator = fleet.coordinator();
    let campaign = fleet.submit(&project, false);
    let session = Session { fleet: &fleet, project: fleet.path("project") };
    let begun = |source: &str| {
        let input =
            format!("{{\"session_id\":\"s\",\"hook_event_name\":\"SessionStart\",\"source\":\"{source}\"}}");
        let (ended_well, said) = session.hook("session-start.sh", &input);
        assert!(ended_well, "{said}");
        said
    };
    assert_eq!(begun("startup"), "", "a session that drives no campaign is left alone");
    session.drives(&campaign);
    let said = begun("compact");
    assert!(
        said.contains(&format!("campaign `{campaign}`")) && said.contains("What can be done next"),
        "{said}"
    );
    assert!(said.chars().count() < 10_000, "hosts take so much: {}", said.len());
    drop(coordinator);
    assert!(begun("resume").contains("It cannot be read now"));
}
