//! A project as small as can be: a shell script prints a number that an editable file names.

use std::path::{Path, PathBuf};

/// The project's files, before they are written.
pub struct Project {
    run: String,
    budget_minutes: String,
    extra: String,
    literature: &'static str,
}

impl Default for Project {
    fn default() -> Self {
        Self {
            run: "echo \"val: $VALUE\"".to_owned(),
            budget_minutes: "1".to_owned(),
            extra: String::new(),
            literature: "",
        }
    }
}

impl Project {
    /// What the run does, in shell; `$VALUE` is the editable number.
    pub fn run(mut self, script: &str) -> Self {
        self.run = script.to_owned();
        self
    }

    /// The gate's budget, minutes.
    pub fn budget_minutes(mut self, budget: &str) -> Self {
        self.budget_minutes = budget.to_owned();
        self
    }

    /// Its levers rest on findings.
    pub fn literature(mut self) -> Self {
        self.literature = "literature: on\n";
        self
    }

    /// More lines of the `windlass:` block, indented by two blanks.
    pub fn windlass(mut self, lines: &str) -> Self {
        self.extra = lines.to_owned();
        self
    }

    /// Writes the project.
    pub fn write(&self, dir: &Path) -> PathBuf {
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        write(
            "run.sh",
            &format!(
                ". ./params.sh\nprintf 'value\\t%s\\n' \"$VALUE\" > \"$WINDLASS_RESULTS/value.tsv\"\n{}\n",
                self.run
            ),
        );
        write("params.sh", "# the one number\nVALUE=0.5\n");
        let campaign = format!(
            "metric: val\nmetric_direction: maximize\nentrypoint: sh run.sh\neditable_files: [params.sh]\n\
             gate: time\nbudget: {}\n{}windlass:\n  name: tiny\n  fix_wait: 0\n{}",
            self.budget_minutes, self.literature, self.extra
        );
        write("loop.run.yaml", &campaign);
        dir.to_owned()
    }

    /// Adds a lever that sets the number, its edited file beside it.
    pub fn lever(dir: &Path, name: &str, value: &str) {
        let levers = dir.join("levers");
        let edited = levers.join(format!("{name}.tree"));
        std::fs::create_dir_all(&edited).expect("a folder");
        std::fs::write(edited.join("params.sh"), format!("# the one number\nVALUE={value}\n"))
            .expect("a file");
        let text = format!(
            "title: set {value}\nfiles: [params.sh]\ntree: {name}.tree\n\
             anchor: {{file: value.tsv, pattern: 'value\\t([0-9.]+)', compare: '> 0'}}\n\
             prediction: val becomes {value}\nanalysis:\n  - script: builtin:log\n    output: {name}.tsv\n    \
             dimension: {name}\n    question: how did it end?\n    if_helped: finished\n    if_not: otherwise\n"
        );
        std::fs::write(levers.join(format!("{name}.yaml")), text).expect("a file");
    }
}
