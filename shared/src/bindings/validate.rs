//! What a campaign file may say: refused by key, never ignored.

use super::{Bindings, ConclusionMode, Dial, GateKind, Overrun, Strategy};
use crate::refusal::Refusal;
use std::collections::BTreeSet;

impl Bindings {
    /// Refuses, by key, what is missing, impossible, or not run by this version.
    pub fn validate(&self) -> Result<(), Refusal> {
        let wrong =
            |key: &'static str, problem: &str| Err(Refusal::Binding { key, problem: problem.to_owned() });
        let name_ok = |c: char| c.is_ascii_alphanumeric() || "_-./@".contains(c);
        if self.metric.is_empty() || self.metric.len() > 100 || !self.metric.chars().all(name_ok) {
            return wrong("metric", "write the name as the log prints it: letters, digits and _-./@");
        }
        if self.command().trim().is_empty() {
            return wrong("entrypoint", "give the command of one experiment here or in run_cmd");
        }
        if self.editable_files.is_empty() {
            return wrong("editable_files", "name at least one file that a lever may touch");
        }
        for pattern in &self.editable_files {
            if globset::Glob::new(pattern).is_err() {
                return wrong("editable_files", &format!("{pattern:?} is no path or glob"));
            }
        }
        let budget = self.budget.to_f64();
        if budget <= 0.0 || budget > 60.0 * 24.0 * 365.0 || self.budget_ms() == 0 {
            return wrong(
                "budget",
                "give a positive number of minutes, a millisecond at least and a year at most",
            );
        }
        if self.windlass.lanes == 0 {
            return wrong("windlass.lanes", "at least one lane is needed");
        }
        if self.windlass.simplicity.lines < 1 {
            return wrong("windlass.simplicity.lines", "at least 1");
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
        self.check_machine()?;
        self.refuse_what_comes_later()
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
            if pattern.starts_with('/') || globset::Glob::new(pattern).is_err() {
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

    fn refuse_what_comes_later(&self) -> Result<(), Refusal> {
        let w = &self.windlass;
        let given: [(&'static str, bool); 11] = [
            ("gate: epochs", self.gate == GateKind::Epochs),
            ("literature: on", self.literature == Dial::On),
            ("iter_strategy: branches", self.iter_strategy == Strategy::Branches),
            ("windlass.conclusion: required", w.conclusion.mode == ConclusionMode::Required),
            ("windlass.overrun: measure", w.overrun.mode == Overrun::Measure),
            ("windlass.lanes above 1", w.lanes > 1),
            ("windlass.weight other than 1", w.weight != 1),
            ("windlass.epochs", w.epochs.is_some()),
            ("windlass.noise", w.noise.is_some()),
            ("windlass.score", w.score.is_some()),
            ("windlass.move_scheduler", w.move_scheduler.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(Refusal::Unsupported { key }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Score;
    use super::*;
    use crate::decimal::Decimal;
    use crate::machine::Data;
    use crate::path::TreePath;

    fn minimal() -> Bindings {
        serde_json::from_str(
            r#"{"metric":"val_acc","metric_direction":"maximize","entrypoint":"python3 train.py","editable_files":["train.py"],"gate":"time","budget":0.2}"#,
        )
        .expect("minimal bindings")
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
    fn what_is_not_run_yet_is_refused_by_name_never_ignored() {
        let mut bindings = minimal();
        let artifact = TreePath::parse("preds.csv").expect("a path");
        bindings.windlass.score = Some(Score { run: "python3 score.py".to_owned(), artifact });
        assert_eq!(bindings.validate(), Err(Refusal::Unsupported { key: "windlass.score" }));
        let mut bindings = minimal();
        bindings.gate = GateKind::Epochs;
        assert_eq!(bindings.validate(), Err(Refusal::Unsupported { key: "gate: epochs" }));
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
        check(|b| b.budget = Decimal::parse("0").expect("zero"), "budget");
        check(|b| b.budget = Decimal::parse("1e-6").expect("less than a millisecond"), "budget");
        check(|b| b.budget = Decimal::parse("1e308").expect("for ever"), "budget");
        check(|b| b.windlass.lanes = 0, "windlass.lanes");
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
