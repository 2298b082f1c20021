//! What a campaign file may say: refused by key, never ignored.

use super::{Bindings, Dial, GateKind, Overrun, Strategy};
use crate::decimal::Decimal;
use crate::literature::Scope;
use crate::refusal::Refusal;
use std::collections::BTreeSet;

/// More epochs than any run has; binary64 counts to far beyond it.
const EPOCHS_MAX: f64 = 1e6;

/// Iterations that one campaign may have open at once: a fleet's worth, and every one of them is looked at
/// whenever something of the campaign changes.
const LANES_MAX: u32 = 64;

/// Replicates of one iteration: as many as anybody pays for, and a bound on one sentence.
const REPLICATES_MAX: u32 = 32;

/// Whether a pattern compiles and leads nowhere but into the workspace.
fn is_inner_pattern(pattern: &str) -> bool {
    let pattern = pattern.trim();
    let is_inner = !pattern.starts_with('/') && pattern.split('/').all(|part| part != "..");
    is_inner && !pattern.is_empty() && globset::Glob::new(pattern).is_ok()
}

impl Bindings {
    /// Refuses, by key, what is missing, impossible, or not run by this version.
    pub fn validate(&self) -> Result<(), Refusal> {
        let wrong =
            |key: &'static str, problem: &str| Err(Refusal::Binding { key, problem: problem.to_owned() });
        self.check_metric()?;
        if self.command().trim().is_empty() {
            return wrong("entrypoint", "give the command of one experiment here or in run_cmd");
        }
        if self.editable_files.is_empty() {
            return wrong("editable_files", "name at least one file that a lever may touch");
        }
        for pattern in &self.editable_files {
            if !is_inner_pattern(pattern) {
                let problem = format!("{pattern:?} is no path or glob relative to the workspace");
                return wrong("editable_files", &problem);
            }
        }
        self.check_copy()?;
        let budget = self.budget.to_f64();
        match self.gate {
            GateKind::Time if budget <= 0.0 || budget > 60.0 * 24.0 * 365.0 || self.budget_ms() == 0 => {
                return wrong(
                    "budget",
                    "give a positive number of minutes, a millisecond at least and a year at most",
                );
            }
            GateKind::Epochs if !(1.0..=EPOCHS_MAX).contains(&budget) || budget.fract() != 0.0 => {
                return wrong("budget", "give a whole number of epochs, at most a million");
            }
            GateKind::Time | GateKind::Epochs => {}
        }
        if let Some(grace) = self.windlass.overrun.grace
            && (self.windlass.overrun.mode != Overrun::Measure || grace.ms == 0)
        {
            return wrong("windlass.overrun.grace", "a time above zero, with `mode: measure`");
        }
        if self.gate == GateKind::Time && self.windlass.epochs.is_some() {
            return wrong("windlass.epochs", "says something only with `gate: epochs`");
        }
        if let Some(limit) = self.windlass.epochs.as_ref().and_then(|epochs| epochs.safety_limit)
            && limit.ms == 0
        {
            return wrong("windlass.epochs.safety_limit", "give a time above zero");
        }
        if let Some((low, high)) = &self.windlass.metric_range
            && low > high
        {
            return wrong("windlass.metric_range", "the lowest value comes first");
        }
        for key in [&self.windlass.env] {
            if key.keys().any(|name| name.starts_with("WINDLASS_")) {
                return wrong("windlass.env", "names that begin with WINDLASS_ are set by Windlass");
            }
        }
        self.check_literature()?;
        self.check_rules()?;
        self.check_machine()
    }

    /// The metric's name.
    pub(crate) fn check_metric(&self) -> Result<(), Refusal> {
        let name_ok = |c: char| c.is_ascii_alphanumeric() || "_-./@".contains(c);
        if self.metric.is_empty() || self.metric.len() > 100 || !self.metric.chars().all(name_ok) {
            let problem = "write the name as the log prints it: letters, digits and _-./@".to_owned();
            return Err(Refusal::Binding { key: "metric", problem });
        }
        Ok(())
    }

    /// Where the user's copy goes.
    fn check_copy(&self) -> Result<(), Refusal> {
        let wrong = |key: &'static str, problem: String| Err(Refusal::Binding { key, problem });
        let parts = || self.sandbox_root.split('/').filter(|part| !matches!(*part, "" | "."));
        if parts().next().is_none() || parts().any(|part| part == "..") {
            let problem =
                format!("{:?} is no folder of its own; write one like ./sandbox", self.sandbox_root);
            return wrong("sandbox_root", problem);
        }
        if self.iter_strategy == Strategy::Branches && self.run_tag.is_none() {
            return wrong("run_tag", "is missing; it names the branch autoresearch/<run_tag>".to_owned());
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if let Some(tag) = &self.run_tag
            && (tag.is_empty()
                || tag.len() > 64
                || !tag.chars().all(plain)
                || tag.starts_with(['-', '.'])
                || tag.ends_with('.')
                || tag.ends_with(".lock")
                || tag.contains(".."))
        {
            let problem = format!("{tag:?} cannot name a branch: letters, digits, _, - and ., at most 64");
            return wrong("run_tag", problem);
        }
        Ok(())
    }

    /// What belongs to the literature dial; with `off` everything below it is ignored.
    fn check_literature(&self) -> Result<(), Refusal> {
        const SCALES: [&str; 4] = ["low", "medium", "high", "x-high"];
        let tag = self.windlass.architecture.as_deref();
        if let Some(tag) = tag.filter(|tag| self.literature == Dial::On && Scope::parse(tag).is_none()) {
            let problem = format!("{tag:?} is no tag: write letters a-z, digits, `_` and `-`");
            return Err(Refusal::Binding { key: "windlass.architecture", problem });
        }
        match &self.research_scale {
            Some(scale) if self.literature == Dial::On && !SCALES.contains(&scale.as_str()) => {
                let problem = format!("{scale:?} is none of {}", SCALES.join(", "));
                Err(Refusal::Binding { key: "research_scale", problem })
            }
            _ => Ok(()),
        }
    }

    /// Figures that a rule could not work with.
    fn check_rules(&self) -> Result<(), Refusal> {
        let w = &self.windlass;
        let none = Decimal::from_value(0.into());
        let noise = w.noise.as_ref();
        let least: [(&'static str, bool, &str); 11] = [
            ("windlass.weight", w.weight == 0, "at least 1"),
            ("windlass.lanes", !(1..=LANES_MAX).contains(&w.lanes), "give at least one lane and at most 64"),
            ("windlass.passes", w.passes == 0, "at least 1"),
            ("windlass.simplicity.lines", w.simplicity.lines < 1, "at least 1"),
            ("windlass.simplicity.tolerance", w.simplicity.tolerance < none, "zero or more"),
            (
                "windlass.simplicity.min_gain",
                w.simplicity.min_gain.as_ref().is_some_and(|gain| *gain < none),
                "zero or more",
            ),
            (
                "windlass.noise",
                noise.is_some_and(|noise| {
                    !noise.counts().iter().all(|count| (1..=REPLICATES_MAX).contains(count))
                }),
                "give between 1 and 32 replicates",
            ),
            ("windlass.noise.sigmas", noise.is_some_and(|noise| noise.sigmas < none), "zero or more"),
            (
                "windlass.move_scheduler.stagnation_limit",
                w.move_scheduler.as_ref().is_some_and(|moves| moves.stagnation_limit == 0),
                "at least 1",
            ),
            (
                "windlass.score.run",
                w.score.as_ref().is_some_and(|score| score.run.trim().is_empty()),
                "give the command that prints the metric",
            ),
            (
                "windlass.score.artifact",
                w.score.as_ref().is_some_and(|score| globset::Glob::new(score.artifact.as_str()).is_err()),
                "give it a name without brackets and braces that do not close",
            ),
        ];
        if let Some((key, _, problem)) = least.iter().find(|(_, is_wrong, _)| *is_wrong) {
            return Err(Refusal::Binding { key, problem: (*problem).to_owned() });
        }
        Ok(())
    }

    /// What is asked of the machine around a run.
    fn check_machine(&self) -> Result<(), Refusal> {
        let wrong = |key: &'static str, problem: String| Err(Refusal::Binding { key, problem });
        let w = &self.windlass;
        for data in &w.data {
            if !data.path.starts_with('/') || data.path.split('/').any(|part| part == "..") {
                return wrong("windlass.data", format!("{:?} is no absolute path on the workers", data.path));
            }
            if data.path.split('/').all(|part| part.is_empty() || part == ".") {
                let problem = "the root of a machine is no data set: name the folder that it lies in";
                return wrong("windlass.data", problem.to_owned());
            }
        }
        let mut names = BTreeSet::new();
        for cache in &w.caches {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if cache.name.is_empty() || cache.name.len() > 64 || !cache.name.chars().all(plain) {
                let problem =
                    format!("{:?} is no cache's name: letters, digits, _ and -, at most 64", cache.name);
                return wrong("windlass.caches", problem);
            }
            if !names.insert(&cache.name) {
                return wrong("windlass.caches", format!("{:?} stands there twice", cache.name));
            }
        }
        if let Some(setup) = &w.setup
            && setup.run.trim().is_empty()
        {
            return wrong("windlass.setup.run", "give the command that prepares the environment".to_owned());
        }
        for pattern in w.artifacts.iter().chain(w.setup.iter().flat_map(|setup| &setup.inputs)) {
            if !is_inner_pattern(pattern) {
                let problem = format!("{pattern:?} is no path or glob relative to the workspace");
                return wrong("windlass.artifacts and windlass.setup.inputs", problem);
            }
        }
        for name in &w.secrets {
            if !crate::secret::is_name(name) || name.starts_with("WINDLASS_") {
                return wrong("windlass.secrets", format!("{name:?} is no name of an environment variable"));
            }
            if w.env.contains_key(name) {
                return wrong(
                    "windlass.secrets",
                    format!("{name} stands in windlass.env too: remove it there"),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::{Noise, Score};
    use crate::machine::Data;
    use crate::path::TreePath;

    fn minimal() -> Bindings {
        serde_json::from_str(
            r#"{"metric":"val_acc","metric_direction":"maximize","entrypoint":"python3 train.py","editable_files":["train.py"],"gate":"time","budget":0.2}"#,
        )
        .expect("minimal bindings")
    }

    fn score(run: &str) -> Option<Score> {
        let artifact = TreePath::parse("model.npz").expect("a path");
        Some(Score { run: run.to_owned(), artifact })
    }

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).expect("a number")
    }

    #[test]
    fn defaults_are_those_of_the_protocol_table() {
        let bindings = minimal();
        assert_eq!(bindings.validate(), Ok(()));
        assert_eq!((bindings.windlass.fixes, bindings.windlass.passes, bindings.windlass.lanes), (1, 3, 1));
        assert_eq!(bindings.budget_ms(), 12_000);
        assert_eq!(bindings.python(), "python3");
        assert_eq!(bindings.sandbox_root, "./sandbox");
    }

    #[test]
    fn what_is_asked_of_the_machine_is_taken() {
        let mut bindings = minimal();
        bindings.windlass = serde_json::from_str(
            r#"{"setup":{"run":"make","inputs":["uv.lock"]},"secrets":["TOKEN"],"data":[{"path":"/data/set"}],
                "caches":[{"name":"hub"}],"artifacts":["out/*.pt"]}"#,
        )
        .expect("bindings");
        assert_eq!(bindings.validate(), Ok(()));
    }

    #[test]
    fn literature_is_run_with_all_that_the_founding_loop_records_of_it() {
        let mut bindings = minimal();
        bindings.literature = Dial::On;
        assert_eq!(bindings.validate(), Ok(()));
        bindings.domain = Some("image classification".to_owned());
        bindings.research_scale = Some("x-high".to_owned());
        bindings.lit_skill_dir = Some("~/.claude/skills/literature-search".to_owned());
        bindings.lit_py = Some("python3".to_owned());
        bindings.literature_tiers.insert("s2".to_owned(), true);
        bindings.windlass.architecture = Some("mlp".to_owned());
        assert_eq!(bindings.validate(), Ok(()));
    }

    #[test]
    fn impossible_values_are_refused_by_key() {
        let check = |change: fn(&mut Bindings), want: &str| {
            let mut bindings = minimal();
            change(&mut bindings);
            match bindings.validate() {
                Err(Refusal::Binding { key, .. }) => assert_eq!(key, want),
                other => panic!("{want}: {other:?}"),
            }
        };
        check(|b| b.metric = "val acc".into(), "metric");
        check(|b| b.entrypoint = None, "entrypoint");
        check(|b| b.editable_files.clear(), "editable_files");
        for budget in ["0", "2.5", "-1", "2e6"] {
            let mut bindings = minimal();
            bindings.gate = GateKind::Epochs;
            bindings.budget = decimal(budget);
            assert!(matches!(bindings.validate(), Err(Refusal::Binding { key: "budget", .. })), "{budget}");
            bindings.budget = decimal("5");
            assert_eq!(bindings.validate(), Ok(()));
            assert_eq!(bindings.budget_epochs(), 5);
        }
        check(|b| b.windlass.epochs = Some(Default::default()), "windlass.epochs");
        check(|b| b.budget = decimal("0"), "budget");
        check(|b| b.windlass.lanes = 0, "windlass.lanes");
        check(|b| (b.entrypoint, b.run_cmd) = (Some(" ".into()), Some(String::new())), "entrypoint");
        check(|b| b.editable_files.push("../other.py".into()), "editable_files");
        check(|b| b.editable_files.push("/etc/passwd".into()), "editable_files");
        check(|b| b.editable_files.push("a[".into()), "editable_files");
        check(|b| b.sandbox_root = "./".into(), "sandbox_root");
        check(|b| b.sandbox_root = "../sandbox".into(), "sandbox_root");
        check(|b| b.iter_strategy = Strategy::Branches, "run_tag");
        check(|b| b.run_tag = Some("a b".into()), "run_tag");
        check(|b| b.run_tag = Some("x.lock".into()), "run_tag");
        check(|b| (b.gate, b.budget) = (GateKind::Epochs, decimal("2.5")), "budget");
        check(|b| (b.literature, b.research_scale) = (Dial::On, Some("extreme".into())), "research_scale");
        check(
            |b| (b.literature, b.windlass.architecture) = (Dial::On, Some("A Net".into())),
            "windlass.architecture",
        );
        check(|b| b.windlass.weight = 0, "windlass.weight");
        check(|b| b.windlass.passes = 0, "windlass.passes");
        check(|b| b.windlass.simplicity.tolerance = decimal("-1"), "windlass.simplicity.tolerance");
        check(|b| b.windlass.simplicity.min_gain = Some(decimal("-1")), "windlass.simplicity.min_gain");
        check(
            |b| b.windlass.noise = Some(Noise { confirm_replicates: 0, ..Noise::default() }),
            "windlass.noise",
        );
        check(|b| b.windlass.score = score(" "), "windlass.score.run");
        check(|b| b.budget = Decimal::parse("1e-6").expect("less than a millisecond"), "budget");
        check(|b| b.budget = Decimal::parse("1e308").expect("for ever"), "budget");
        check(|b| b.windlass.lanes = 65, "windlass.lanes");
        check(|b| b.windlass.secrets = vec!["1ST".into()], "windlass.secrets");
        for path in ["set", "/data/../etc", "/", "//./"] {
            let mut bindings = minimal();
            bindings.windlass.data = vec![Data { path: path.to_owned(), fingerprint: None }];
            let refused = bindings.validate();
            assert!(matches!(refused, Err(Refusal::Binding { key: "windlass.data", .. })), "{path}");
        }
        check(
            |b| {
                b.windlass.secrets = vec!["TOKEN".into()];
                b.windlass.env.insert("TOKEN".into(), "x".into());
            },
            "windlass.secrets",
        );
    }
}
