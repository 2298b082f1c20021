//! What `up` hands on to its worker as it was given: a child reads neither files nor variables of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use windlass_shared::size::Size;

/// Each is an option of `windlass worker` of the same name, and has its default.
#[derive(Debug, Default, clap::Args)]
pub struct Handed {
    /// The worker's own folder [default: worker in the data folder]
    #[arg(long, env = "WINDLASS_WORK_DIR", value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// The worker's name [default: the host's]
    #[arg(long, env = "WINDLASS_WORKER_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// A label that campaigns can ask for; may be given several times
    #[arg(long = "label", env = "WINDLASS_LABELS", value_delimiter = ',', value_name = "LABEL")]
    pub labels: Vec<String>,
    /// CPU slots that the worker offers where there is no GPU [default: its own choice]
    #[arg(long, env = "WINDLASS_CPU_SLOTS", value_name = "K")]
    cpu_slots: Option<u32>,
    /// The worker takes nothing new when less is free on the disk of its folder [default: 1 GiB, or a twentieth of a small disk]
    #[arg(long, env = "WINDLASS_WORK_DISK_STOP_BELOW", value_name = "SIZE", value_parser = Size::parse)]
    work_disk_stop_below: Option<Size>,
    /// The worker's own secrets: NAME=value lines in a file that only its owner may read [default: secrets.env in its folder]
    #[arg(long, env = "WINDLASS_SECRETS_FILE", value_name = "FILE")]
    secrets_file: Option<PathBuf>,
    /// What the worker's blobs and trees may take on the disk, each [default: 20 GiB, or a tenth of a small disk]
    #[arg(long, env = "WINDLASS_CACHE_MAX", value_name = "SIZE", value_parser = Size::parse)]
    cache_max: Option<Size>,
    /// The worker copies every workspace, also where overlays can be mounted
    #[arg(long)]
    copy_workspaces: bool,
}

impl Handed {
    /// Its words on the worker's command line.
    pub fn words(&self) -> Vec<OsString> {
        let size = |size: Option<Size>| size.map(|size| size.bytes.to_string().into());
        let given = [
            ("--work-dir", self.work_dir.clone().map(PathBuf::into_os_string)),
            ("--name", self.name.clone().map(OsString::from)),
            ("--cpu-slots", self.cpu_slots.map(|slots| slots.to_string().into())),
            ("--work-disk-stop-below", size(self.work_disk_stop_below)),
            ("--secrets-file", self.secrets_file.clone().map(PathBuf::into_os_string)),
            ("--cache-max", size(self.cache_max)),
        ];
        let labels = self.labels.iter().map(|label| ("--label", Some(OsString::from(label))));
        let said = given.into_iter().chain(labels).filter_map(|(option, value)| Some((option, value?)));
        let mut words: Vec<OsString> =
            said.flat_map(|(option, value)| [OsString::from(option), value]).collect();
        words.extend(self.copy_workspaces.then(|| "--copy-workspaces".into()));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::worker;
    use crate::config::KEYS;
    use clap::{ArgAction, Args as _, Command, FromArgMatches};

    /// A value that differs from every default, for each option that takes one.
    fn given(option: &str) -> &'static str {
        match option {
            "work_disk_stop_below" | "cache_max" => "1234567 KiB",
            "cpu_slots" => "3",
            "labels" => "a100,fast-disk",
            _ => "somewhere else",
        }
    }

    #[test]
    fn every_option_of_a_worker_reaches_the_one_that_up_starts_as_it_was_given() {
        // `up` has these of its own, or its worker needs none: it is on the machine of its coordinator.
        let own = ["log", "log_format", "join", "lifeline_fd"];
        let worker = || worker::Args::augment_args(Command::new("worker"));
        let options: Vec<Vec<String>> = worker()
            .get_arguments()
            .filter(|option| !own.contains(&option.get_id().as_str()))
            .map(|option| {
                let mut words = vec![format!("--{}", option.get_long().expect("an option has a name"))];
                if !matches!(option.get_action(), ArgAction::SetTrue) {
                    words.push(given(option.get_id().as_str()).to_owned());
                }
                words
            })
            .collect();
        assert!(options.len() >= 8, "{options:?}");
        let line = |name: &str| {
            let options = options.iter().flatten().map(OsString::from);
            std::iter::once(OsString::from(name)).chain(options).collect::<Vec<_>>()
        };
        let up = Handed::augment_args(Command::new("up")).try_get_matches_from(line("up"));
        let words =
            Handed::from_arg_matches(&up.expect("each is an option of up too")).expect("read").words();
        let read = |line: Vec<OsString>| {
            let matches = worker().try_get_matches_from(line).expect("taken");
            format!("{:?}", worker::Args::from_arg_matches(&matches).expect("read"))
        };
        let handed = std::iter::once("worker".into()).chain(words).collect();
        assert_eq!(read(handed), read(line("worker")));
        assert!(Handed::default().words().is_empty(), "what was not given has the worker's own default");
    }

    #[test]
    fn what_a_file_sets_for_a_worker_counts_for_up() {
        // What is set for all commands is read by `up` itself.
        let of_worker = KEYS.iter().filter(|key| key.section == "worker" && !key.commands.is_empty());
        for key in of_worker {
            assert_eq!(key.commands, ["worker", "up"], "worker.{}", key.name);
        }
    }
}
