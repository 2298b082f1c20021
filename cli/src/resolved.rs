//! The campaign as a file resolves it: each setting, its value, and where that came from. Never decides
//! anything: defaults are those of `shared`, and what the fleet decides is said in words.

use crate::campaign_file::CampaignFile;
use crate::yaml;
use serde::Serialize;
use serde_json::Value;
use windlass_shared::bindings::{GateKind, Overrun};

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its key, dotted: `windlass.analysis.wait`.
    pub key: String,
    /// Its value, on one line.
    pub value: String,
    /// `line 5`, `default`, an option, another key.
    pub from: String,
}

/// The keys of the file itself, in PROTOCOL.md's order.
const KEYS: [&str; 17] = [
    "metric",
    "metric_direction",
    "run_cmd",
    "entrypoint",
    "editable_files",
    "sandbox_root",
    "iter_strategy",
    "run_tag",
    "gate",
    "budget",
    "literature",
    "domain",
    "research_scale",
    "lit_skill_dir",
    "lit_py",
    "literature_tiers",
    "host",
];

/// The keys of the `windlass:` block, in the same order.
const BLOCK: [&str; 35] = [
    "name",
    "priority",
    "weight",
    "resources",
    "comparable",
    "include",
    "ignore",
    "data",
    "caches",
    "setup",
    "env",
    "secrets",
    "baseline",
    "always",
    "diagnostics",
    "analysis",
    "conclusion",
    "fixes",
    "fix_wait",
    "overrun",
    "epochs",
    "metric_line",
    "metric_range",
    "simplicity",
    "noise",
    "score",
    "artifacts",
    "architecture",
    "move_scheduler",
    "lanes",
    "passes",
    "python",
    "sandbox",
    "limits",
    "stop",
];

/// Every setting that has a value; `name` is what the campaign will be called, and why.
pub fn settings(file: &CampaignFile, name: (&str, &str)) -> Vec<Setting> {
    let bindings = &file.bindings;
    let written = serde_json::to_value(bindings).unwrap_or_default();
    let mut found = Found { file, settings: Vec::new() };
    for key in KEYS {
        found.add(key, written.get(key).unwrap_or(&Value::Null));
        match key {
            "entrypoint" => found.command(),
            "run_tag" => found.derived(
                key,
                file.tag_from_date.then(|| bindings.run_tag.clone()).flatten(),
                "today's date",
            ),
            _ => {}
        }
    }
    let block = written.get("windlass").unwrap_or(&Value::Null);
    for key in BLOCK {
        let dotted = format!("windlass.{key}");
        match key {
            "name" => found.put(&dotted, name.0.to_owned(), name.1.to_owned()),
            _ => found.add(&dotted, block.get(key).unwrap_or(&Value::Null)),
        }
        found.unsaid(key);
    }
    found.settings
}

struct Found<'a> {
    file: &'a CampaignFile,
    settings: Vec<Setting>,
}

impl Found<'_> {
    fn put(&mut self, key: &str, value: String, from: String) {
        self.settings.push(Setting { key: key.to_owned(), value, from });
    }

    /// A value of the bindings: mappings key by key, everything else on one line. What says nothing
    /// (absent, an empty list) is left out.
    fn add(&mut self, key: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Array(items) if items.is_empty() => {}
            Value::Object(map) => {
                map.iter().for_each(|(inner, value)| self.add(&format!("{key}.{inner}"), value))
            }
            _ if key == "run_tag" && self.file.tag_from_date => {}
            value => {
                let from = self.origin(key);
                self.put(key, shown(value), from);
            }
        }
    }

    /// Where a key's value is written, or that it is the default.
    fn origin(&self, key: &str) -> String {
        let parts = key.split('.');
        let is_given = parts.clone().try_fold(&self.file.given, |at, part| at.get(part)).is_some();
        if !is_given {
            return "default".to_owned();
        }
        // Its own line, or in flow style that of the mapping around it.
        let mut named = key;
        loop {
            if let Some(line) = yaml::line_of_key(&self.file.text, named) {
                return format!("line {line}");
            }
            match named.rsplit_once('.') {
                Some((around, _)) => named = around,
                None => return "the campaign file".to_owned(),
            }
        }
    }

    fn derived(&mut self, key: &str, value: Option<String>, from: &str) {
        if let Some(value) = value {
            self.put(key, value, from.to_owned());
        }
    }

    /// The command that is really run, where one of its two keys stands for the other.
    fn command(&mut self) {
        let bindings = &self.file.bindings;
        let is_fallback = bindings.entrypoint.as_deref().is_none_or(|text| text.trim().is_empty());
        let value = is_fallback.then(|| bindings.command().to_owned());
        self.derived("entrypoint", value, "run_cmd");
    }

    /// What a key means that says nothing in the file, where there is something to say.
    fn unsaid(&mut self, key: &str) {
        let bindings = &self.file.bindings;
        let w = &bindings.windlass;
        let grace_ms = bindings.budget_ms() / 20;
        let (key, value, from) = match key {
            "resources" if w.resources.gpus.is_none() => {
                ("resources.gpus", "1 where the fleet has GPUs, else 0".to_owned(), "default")
            }
            "conclusion" if w.conclusion.wait.is_none() => match w.conclusion.mode {
                windlass_shared::bindings::ConclusionMode::Required => {
                    ("conclusion.wait", w.analysis.wait.to_string(), "windlass.analysis.wait")
                }
                windlass_shared::bindings::ConclusionMode::Automatic => return,
            },
            "overrun" if w.overrun.mode == Overrun::Measure && w.overrun.grace.is_none() => {
                ("overrun.grace", format!("{grace_ms} ms"), "5 % of budget")
            }
            "epochs" if bindings.gate == GateKind::Epochs => {
                let limit = w.epochs.as_ref().and_then(|epochs| epochs.safety_limit);
                if limit.is_some() {
                    return;
                }
                let value = "24 h for the baseline, then the larger of 10 min and 3 × the baseline";
                ("epochs.safety_limit", value.to_owned(), "default")
            }
            "simplicity" if w.simplicity.min_gain.is_none() => {
                let value = "0.001; outside a baseline of 0.1 to 10 in size: 0.001 × its size";
                ("simplicity.min_gain", value.to_owned(), "default")
            }
            "python" if w.python.is_none() => {
                let python = bindings.python();
                let is_own = bindings.command().split_whitespace().any(|word| word == python);
                ("python", python, if is_own { "the entrypoint's own" } else { "default" })
            }
            "sandbox" if w.sandbox.is_none() => {
                let value = "the strongest of none and guarded that the worker has";
                ("sandbox", value.to_owned(), "default")
            }
            _ => return,
        };
        self.put(&format!("windlass.{key}"), value, from.to_owned());
    }
}

/// A value on one line.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown_item).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// An item of a list: a deliverable by what it measures and makes, another mapping by its first words.
fn shown_item(item: &Value) -> String {
    let word = |key: &str| item.get(key).and_then(Value::as_str);
    match (word("dimension"), word("output"), word("path").or(word("name"))) {
        (Some(dimension), Some(output), _) => format!("{output} ({dimension})"),
        (_, _, Some(named)) => named.to_owned(),
        _ => shown(item),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign_file;

    fn resolve(text: &str) -> Vec<Setting> {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join(campaign_file::NAME), text).expect("written");
        let file = campaign_file::read(dir.path()).expect("a campaign file");
        settings(&file, ("digits", "--name"))
    }

    #[test]
    fn each_value_says_where_it_came_from() {
        let text = "metric: val_acc\nmetric_direction: maximize\nrun_cmd: python3.12 train.py\n\
                    editable_files:\n  - train.py\n  - model.py\ngate: time\nbudget: 0.50\n\
                    windlass:\n  analysis: {wait: 0}\n  stop:\n    target: 0.99\n  env: {A: b}\n";
        let found = resolve(text);
        let check = |key: &str, value: &str, from: &str| {
            let setting = found.iter().filter(|setting| setting.key == key).collect::<Vec<_>>();
            let want = Setting { key: key.into(), value: value.into(), from: from.into() };
            assert_eq!(setting, [&want], "{key}");
        };
        check("metric", "val_acc", "line 1");
        check("entrypoint", "python3.12 train.py", "run_cmd");
        check("run_cmd", "python3.12 train.py", "line 3");
        check("editable_files", "train.py, model.py", "line 4");
        check("sandbox_root", "./sandbox", "default");
        check("windlass.name", "digits", "--name");
        check("windlass.analysis.wait", "0", "line 10");
        check("windlass.analysis.time_limit", "10 min", "default");
        check("windlass.stop.target", "0.99", "line 12");
        check("windlass.env.A", "b", "line 13");
        check("windlass.python", "python3.12", "the entrypoint's own");
        check("windlass.fixes", "1", "default");
        assert!(found.iter().all(|setting| setting.key != "windlass.stop.iterations"));
    }

    #[test]
    fn no_key_of_a_campaign_is_left_out() {
        let bindings = serde_json::json!({
            "metric": "m", "metric_direction": "minimize", "run_cmd": "r", "entrypoint": "e",
            "editable_files": ["a"], "run_tag": "t", "gate": "epochs", "budget": 1, "literature": "on",
            "domain": "d", "research_scale": "low", "lit_skill_dir": "s", "lit_py": "p",
            "literature_tiers": {"s2": true}, "host": "h",
            "windlass": {
                "setup": {"run": "x"}, "sandbox": "none", "epochs": {}, "noise": {},
                "score": {"run": "r", "artifact": "a"}, "move_scheduler": {},
            },
        });
        let bindings: windlass_shared::bindings::Bindings =
            serde_json::from_value(bindings).expect("every key that is not always written");
        let written = serde_json::to_value(&bindings).expect("written");
        let keys = |value: &Value| {
            let keys = value.as_object().expect("an object").keys().cloned();
            keys.collect::<std::collections::BTreeSet<String>>()
        };
        let known = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let top: std::collections::BTreeSet<String> = known(&[&KEYS[..], &["windlass"]].concat());
        assert_eq!(keys(&written), top);
        assert_eq!(keys(&written["windlass"]), known(&BLOCK));
    }
}
