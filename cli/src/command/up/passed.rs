//! What `up` hands on to its coordinator as it was given: a child reads neither files nor variables of its own.

use crate::command::coordinator::Tls;
use std::ffi::OsString;
use std::net::SocketAddr;
use windlass_shared::size::Size;
use windlass_shared::time::Span;

/// Each is an option of `windlass coordinator` of the same name, and has its default.
#[derive(Debug, Default, clap::Args)]
pub struct Passed {
    /// Where TLS is spoken: `auto` is everywhere but on loopback [default: auto]
    #[arg(long, env = "WINDLASS_TLS", value_name = "WHERE")]
    tls: Option<Tls>,
    /// Where other machines reach it, as HOST:PORT: what join tokens carry [default: the address or host name that it listens on]
    #[arg(long, env = "WINDLASS_ADVERTISE", value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// How long certificates live; each is renewed at two thirds of that [default: 24 h]
    #[arg(long, env = "WINDLASS_CERTIFICATE_LIFE", value_name = "SPAN", value_parser = Span::parse)]
    certificate_life: Option<Span>,
    /// In which time half of what campaigns had of the fleet is forgotten, where it is shared by weight [default: 24 h]
    #[arg(long, env = "WINDLASS_SHARE_HALF_LIFE", value_name = "SPAN", value_parser = Span::parse)]
    share_half_life: Option<Span>,
    /// Warn when less is free on the disk of the data folder [default: 2 GiB, or a tenth of a small disk]
    #[arg(long, env = "WINDLASS_DISK_WARN_BELOW", value_name = "SIZE", value_parser = Size::parse)]
    disk_warn_below: Option<Size>,
    /// Take nothing new when less is free there [default: 1 GiB, or a twentieth of a small disk]
    #[arg(long, env = "WINDLASS_DISK_STOP_BELOW", value_name = "SIZE", value_parser = Size::parse)]
    disk_stop_below: Option<Size>,
    /// Logs of one campaign past which it takes no new work [default: 200 GiB]
    #[arg(long, env = "WINDLASS_CAMPAIGN_LOGS_MAX", value_name = "SIZE", value_parser = Size::parse)]
    campaign_logs_max: Option<Size>,
    /// The same for its blobs, each counted once [default: 1 TiB]
    #[arg(long, env = "WINDLASS_CAMPAIGN_BLOBS_MAX", value_name = "SIZE", value_parser = Size::parse)]
    campaign_blobs_max: Option<Size>,
    /// How long logs are kept after their iteration was decided [default: for ever]
    #[arg(long, env = "WINDLASS_KEEP_LOGS", value_name = "SPAN", value_parser = Span::parse)]
    keep_logs: Option<Span>,
    /// The same for outputs and artifacts [default: for ever]
    #[arg(long, env = "WINDLASS_KEEP_OUTPUTS", value_name = "SPAN", value_parser = Span::parse)]
    keep_outputs: Option<Span>,
    /// How long `gc` leaves a blob that nothing names alone after it was last asked for [default: 48 h]
    #[arg(long, env = "WINDLASS_KEEP_UNNAMED", value_name = "SPAN", value_parser = Span::parse)]
    keep_unnamed: Option<Span>,
    /// Serve figures for Prometheus at http://ADDR/metrics, on a loopback address; port 0 takes a free one
    #[arg(long, env = "WINDLASS_METRICS", value_name = "ADDR")]
    metrics: Option<SocketAddr>,
    /// Run this by `sh -c` when a campaign pauses, waits for a person or finds a new best; a line of JSON tells which
    #[arg(long, env = "WINDLASS_HOOK", value_name = "CMD")]
    hook: Option<String>,
    /// How long a campaign must have waited before the hook is told [default: 1 min]
    #[arg(long, env = "WINDLASS_HOOK_AFTER", value_name = "SPAN", value_parser = Span::parse)]
    hook_after: Option<Span>,
}

impl Passed {
    /// Its words on the coordinator's command line.
    pub fn words(&self) -> Vec<OsString> {
        let tls = self.tls.map(|tls| match tls {
            Tls::Auto => "auto".to_owned(),
            Tls::Always => "always".to_owned(),
        });
        // In the smallest unit, so that nothing is rounded on the way.
        let span = |span: Option<Span>| span.map(|span| format!("{} ms", span.ms));
        let size = |size: Option<Size>| size.map(|size| size.bytes.to_string());
        [
            ("--tls", tls),
            ("--advertise", self.advertise.clone()),
            ("--certificate-life", span(self.certificate_life)),
            ("--share-half-life", span(self.share_half_life)),
            ("--disk-warn-below", size(self.disk_warn_below)),
            ("--disk-stop-below", size(self.disk_stop_below)),
            ("--campaign-logs-max", size(self.campaign_logs_max)),
            ("--campaign-blobs-max", size(self.campaign_blobs_max)),
            ("--keep-logs", span(self.keep_logs)),
            ("--keep-outputs", span(self.keep_outputs)),
            ("--keep-unnamed", span(self.keep_unnamed)),
            ("--metrics", self.metrics.map(|address| address.to_string())),
            ("--hook", self.hook.clone()),
            ("--hook-after", span(self.hook_after)),
        ]
        .into_iter()
        .filter_map(|(option, value)| value.map(|value| [OsString::from(option), OsString::from(value)]))
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;
    use clap::{Args as _, Command, FromArgMatches};

    /// Values that differ from every default, for each form that a setting has.
    fn given(option: &str) -> &'static str {
        match option {
            "tls" => "always",
            "advertise" => "head.lab:7400",
            "disk_warn_below" => "1234567 KiB",
            "disk_stop_below" => "0.7 GiB",
            "keep_logs" => "36.5 h",
            "metrics" => "127.0.0.1:9464",
            "hook" => "cat >> told.jsonl",
            "campaign_logs_max" | "campaign_blobs_max" => "3 GiB",
            _ => "90061 s",
        }
    }

    #[test]
    fn every_setting_of_a_coordinator_reaches_the_one_that_up_starts_as_it_was_given() {
        // These have options of their own on `up`.
        let own = ["data_dir", "listen", "worker_lost_after", "log", "log_format"];
        let keys = KEYS.iter().filter(|key| key.section == "coordinator" && !own.contains(&key.arg));
        let options: Vec<&str> = keys.map(|key| key.arg).collect();
        assert!(
            options.len() >= 9
                && KEYS.iter().all(|key| key.section != "coordinator"
                    || key.commands.is_empty()
                    || key.commands.contains(&"up"))
        );
        let long = |arg: &&str| [format!("--{}", arg.replace('_', "-")), given(arg).to_owned()];
        let line = || std::iter::once("up".to_owned()).chain(options.iter().flat_map(long));
        let up =
            Passed::augment_args(Command::new("up")).try_get_matches_from(line()).expect("each is an option");
        let words = Passed::from_arg_matches(&up).expect("read").words();
        let coordinator = |line: Vec<OsString>| {
            let command = crate::command::coordinator::Args::augment_args(Command::new("coordinator"));
            let matches = command.try_get_matches_from(line).expect("taken");
            format!("{:?}", crate::command::coordinator::Args::from_arg_matches(&matches).expect("read"))
        };
        let handed = std::iter::once("coordinator".into()).chain(words).collect();
        assert_eq!(coordinator(handed), coordinator(line().map(OsString::from).collect()));
        assert!(Passed::default().words().is_empty(), "what was not given has the coordinator's own default");
    }
}
