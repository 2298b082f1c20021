//! The files that are there, one over the other, and what they mean for the command line.

use super::file::{self, Entry};
use super::keys::{KEYS, Key, sections};
use crate::error::Error;
use crate::yaml::Problem;
use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The file's name, in a project and in the user's configuration folder.
const NAME: &str = "windlass.toml";
/// Folders looked at on the way up: deeper than any project.
const PARENTS_MAX: usize = 64;

/// What the files say, the strongest first.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    files: Vec<Vec<Entry>>,
}

/// A setting in force, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// `client.data_dir`.
    pub key: String,
    /// Its value; what is so by default, in words, where nothing sets it.
    pub value: String,
    /// `--data-dir`, `WINDLASS_DATA_DIR`, `FILE:LINE` or `default`.
    pub from: String,
}

impl Layers {
    /// Reads `named`, if a file is named; else the nearest file up the tree from `here`, over the user's.
    pub fn read(named: Option<&Path>, here: &Path, user: Option<&Path>) -> Result<Self, Error> {
        let paths = match named {
            Some(path) if !path.exists() => {
                let problem = Problem::whole(path, "there is no such file".to_owned());
                return Err(problem.with_remedy("correct --config, or leave it out").into());
            }
            Some(path) => vec![path.to_owned()],
            None => {
                let up = here.ancestors().take(PARENTS_MAX).map(|folder| folder.join(NAME));
                let nearest = up.into_iter().find(|path| path.is_file());
                let user = user.map(|folder| folder.join(NAME)).filter(|path| path.is_file());
                let mut paths: Vec<PathBuf> = nearest.into_iter().chain(user).collect();
                paths.dedup();
                paths
            }
        };
        let files = paths.iter().map(|path| file::read(path)).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    /// Whether no file says anything.
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(Vec::is_empty)
    }

    /// The command line with what the files say in the place of its defaults. `matches` is what was read
    /// without them.
    pub fn apply(&self, mut command: clap::Command, matches: &ArgMatches) -> clap::Command {
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        let mut args: Vec<&str> = KEYS.iter().map(|key| key.arg).collect();
        args.sort_unstable();
        args.dedup();
        for arg in args {
            let Some((key, entry)) = self.find(&name, arg) else { continue };
            if arg == "coordinator" && self.has_nearer_folder(matches, &name, entry) {
                continue;
            }
            let set = |arg: clap::Arg| arg.default_values(entry.values.clone());
            command = match key.commands {
                [] => command.mut_arg(key.arg, set),
                _ => command.mut_subcommand(name.clone(), |command| command.mut_arg(key.arg, set)),
            };
        }
        command
    }

    /// What the files say of an option of this command.
    fn find(&self, command: &str, arg: &str) -> Option<(&'static Key, &Entry)> {
        let keys: Vec<&'static Key> = KEYS
            .iter()
            .filter(|key| key.arg == arg)
            .filter(|key| key.commands.is_empty() || key.commands.contains(&command))
            .collect();
        let order = |key: &&&'static Key| match key.commands {
            [] => sections(command).iter().position(|section| *section == key.section),
            _ => Some(0),
        };
        let mut keys: Vec<(usize, &'static Key)> =
            keys.iter().filter_map(|key| Some((order(&key)?, *key))).collect();
        keys.sort_by_key(|(order, _)| *order);
        self.files.iter().find_map(|file| {
            keys.iter().find_map(|(_, key)| {
                let entry =
                    file.iter().find(|entry| entry.section == key.section && entry.name == key.name)?;
                Some((*key, entry))
            })
        })
    }

    /// A data folder that is named more closely than a coordinator's address is the one that is meant.
    fn has_nearer_folder(&self, matches: &ArgMatches, command: &str, address: &Entry) -> bool {
        let given = matches.value_source("data_dir");
        if matches!(given, Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            return true;
        }
        let Some((_, folder)) = self.find(command, "data_dir") else { return false };
        let rank = |entry: &Entry| self.files.iter().position(|file| file.contains(entry));
        rank(folder) < rank(address)
    }

    /// Every setting with where it comes from. `given` says what the command line of this very process
    /// says; options of the roles count by environment and files alone.
    pub fn settings(&self, given: impl Fn(&Key) -> Option<String>) -> Vec<Setting> {
        let of = |key: &Key| {
            let full = format!("{}.{}", key.section, key.name);
            if let Some(value) = given(key) {
                let from = format!("--{}", key.arg.replace('_', "-"));
                return Setting { key: full, value, from };
            }
            if let Some(value) = std::env::var(key.env).ok().filter(|value| !value.is_empty()) {
                return Setting { key: full, value, from: key.env.to_owned() };
            }
            let entry = self.files.iter().find_map(|file| {
                file.iter().find(|entry| entry.section == key.section && entry.name == key.name)
            });
            match entry {
                Some(entry) => Setting {
                    key: full,
                    value: entry.values.join(", "),
                    from: format!("{}:{}", entry.path.display(), entry.line),
                },
                None => Setting { key: full, value: key.default.to_owned(), from: "default".to_owned() },
            }
        };
        KEYS.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command, Form};
    use clap::{CommandFactory, FromArgMatches};

    struct Desk {
        dir: tempfile::TempDir,
    }

    impl Desk {
        /// A project below a folder, and the user's own folder.
        fn new(above: &str, project: &str, user: &str) -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            for folder in ["above/project/deep", "user"] {
                std::fs::create_dir_all(dir.path().join(folder)).expect("a folder");
            }
            for (folder, text) in [("above", above), ("above/project", project), ("user", user)] {
                if !text.is_empty() {
                    std::fs::write(dir.path().join(folder).join(NAME), text).expect("a file");
                }
            }
            Self { dir }
        }

        fn layers(&self) -> Layers {
            let here = self.dir.path().join("above/project/deep");
            Layers::read(None, &here, Some(&self.dir.path().join("user"))).expect("sound")
        }

        fn read(&self, args: &[&str]) -> Cli {
            let all = || ["windlass"].iter().chain(args).copied();
            let first = Cli::command().try_get_matches_from(all()).expect("sound arguments");
            let command = self.layers().apply(Cli::command(), &first);
            let matches = command.try_get_matches_from(all()).expect("sound arguments");
            Cli::from_arg_matches(&matches).expect("sound arguments")
        }
    }

    #[test]
    fn an_option_wins_over_the_nearest_file_and_that_over_the_users() {
        let desk = Desk::new(
            "[client]\noutput = 'human'\n",
            "[client]\noutput = 'json'\n[worker]\nlabels = ['near']\n",
            "[client]\noutput = 'human'\ncolor = 'never'\n[worker]\nlabels = ['far', 'away']\nname = 'mine'\n",
        );
        let cli = desk.read(&["campaigns"]);
        assert_eq!(cli.global.output, Form::Json, "the nearest");
        assert_eq!(cli.global.color, crate::args::Color::Never, "what only the user's says");
        assert_eq!(desk.read(&["--output", "human", "campaigns"]).global.output, Form::Human);
        let Command::Worker(worker) = desk.read(&["worker"]).command else { panic!("a worker") };
        assert_eq!((worker.labels, worker.name.as_deref()), (vec!["near".to_owned()], Some("mine")));
        let Command::Worker(worker) = desk.read(&["worker", "--label", "own"]).command else {
            panic!("a worker")
        };
        assert_eq!(worker.labels, ["own"]);
        let Command::Up(up) = desk.read(&["up"]).command else { panic!("up") };
        assert_eq!((up.worker.labels, up.worker.name.as_deref()), (vec!["near".to_owned()], Some("mine")));
    }

    #[test]
    fn a_role_has_its_own_folder_and_a_client_finds_the_coordinators() {
        let desk = Desk::new("", "[coordinator]\ndata_dir = 'head'\n[worker]\ndata_dir = 'node'\n", "");
        let folder = |args: &[&str]| {
            let data_dir = desk.read(args).global.data_dir.expect("set");
            data_dir.file_name().expect("a name").to_string_lossy().into_owned()
        };
        assert_eq!(folder(&["coordinator"]), "head");
        assert_eq!(folder(&["worker"]), "node");
        assert_eq!(folder(&["campaigns"]), "head");
        assert_eq!(folder(&["--data-dir", "other", "campaigns"]), "other");
    }

    #[test]
    fn a_folder_that_is_named_more_closely_than_an_address_is_the_one_that_is_meant() {
        let address = "[client]\ncoordinator = 'http://127.0.0.1:7'\n";
        let desk = Desk::new("", address, "[client]\ndata_dir = 'd'\n");
        assert!(desk.read(&["campaigns"]).global.coordinator.is_some());
        assert!(desk.read(&["--data-dir", "x", "campaigns"]).global.coordinator.is_none());
        let desk = Desk::new("", "[client]\ndata_dir = 'd'\n", address);
        assert!(desk.read(&["campaigns"]).global.coordinator.is_none());
    }

    #[test]
    fn every_setting_says_where_it_came_from() {
        let desk = Desk::new("", "[coordinator]\n\nlisten = '127.0.0.1:7'\n", "");
        let settings = desk.layers().settings(|key| (key.name == "color").then(|| "never".to_owned()));
        let of = |name: &str| settings.iter().find(|setting| setting.key == name).expect(name);
        assert_eq!(
            (of("client.color").value.as_str(), of("client.color").from.as_str()),
            ("never", "--color")
        );
        let listen = of("coordinator.listen");
        assert!(listen.from.ends_with("above/project/windlass.toml:3"), "{}", listen.from);
        assert_eq!(of("worker.labels").from, "default");
        assert_eq!(settings.len(), KEYS.len());
    }

    #[test]
    fn every_key_stands_for_an_option_that_is_there() {
        let command = Cli::command();
        let has = |command: &clap::Command, arg: &str| command.get_arguments().any(|one| one.get_id() == arg);
        for key in &KEYS {
            let scopes: Vec<&clap::Command> = match key.commands {
                [] => vec![&command],
                names => names.iter().filter_map(|name| command.find_subcommand(name)).collect(),
            };
            assert!(!scopes.is_empty(), "{}.{}", key.section, key.name);
            for scope in scopes {
                assert!(has(scope, key.arg), "{} has no --{}", scope.get_name(), key.arg);
                let of_it = scope.get_arguments().find(|one| one.get_id() == key.arg);
                assert_eq!(of_it.and_then(|arg| arg.get_env()), Some(key.env.as_ref()), "--{}", key.arg);
            }
        }
    }
}
