//! What an attempt that finds no place waits for, with figures: how many workers there are, and how many
//! lack what. Costs a look at many workers, so it is asked for when somebody reads it.

use super::fit::{Lack, fit};
use super::{Ask, Scene, noun};
use crate::session::Member;
use std::collections::BTreeMap;
use windlass_shared::device::DeviceKind;

/// Workers that one sentence looks at: a page lists many campaigns, each with its wait.
const LOOKED_AT_MAX: usize = 256;

/// One sentence for people.
pub fn why_not(ask: &Ask, scene: &Scene<'_>) -> String {
    if let Some(why) = scene.fleet.closed() {
        return format!("room on the coordinator's disk: {why}");
    }
    if scene.fleet.is_empty() {
        return "a worker: none is connected (`windlass worker` starts one)".to_owned();
    }
    if let Some(wait) = for_secrets(ask, scene) {
        return wait;
    }
    let (kind, count) = ask.devices(scene.fleet);
    if count == 0 {
        return without_devices(ask, scene);
    }
    let reasons = reasons(ask, kind, count, scene);
    if let Some(level) = ask.isolation
        && nobody_can(ask, scene)
    {
        return format!(
            "a worker that can run it `{level}`: none of {} can; `windlass doctor` on a worker says what it lacks, or ask for less with `sandbox`",
            scene.fleet.ready().count()
        );
    }
    let most = scene.fleet.most_free_devices(kind);
    let wanted = format!(
        "{count} free {} on one worker that suits it; the most free on one is {most}",
        noun(kind, count)
    );
    let parts: Vec<String> =
        reasons.iter().map(|(why, (many, first))| why.say(*many, first, ask, kind)).collect();
    let looked_at = match scene.fleet.ready().nth(LOOKED_AT_MAX) {
        Some(_) => format!("of the first {LOOKED_AT_MAX} looked at, "),
        None => String::new(),
    };
    if parts.is_empty() { wanted } else { format!("{wanted}; {looked_at}{}", parts.join("; ")) }
}

/// What is said where no worker has what nobody gave: no device will help.
fn for_secrets(ask: &Ask, scene: &Scene<'_>) -> Option<String> {
    let has_all = |worker| scene.fleet.member(worker).is_some_and(|member| ask.secrets_suit(member));
    if ask.secrets.is_empty() || scene.fleet.ready().take(LOOKED_AT_MAX).any(has_all) {
        return None;
    }
    let names = ask.secrets.join(" and ");
    Some(format!(
        "the secret {names}: no worker has it in its secrets file, and `windlass submit --secret` did not send it; \
         put it into `secrets.env` in a worker's work folder (mode 0600), or submit again with `--secret {}`",
        ask.secrets.join(" --secret ")
    ))
}

/// Why a worker is not it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Lacks(Lack),
    Drained,
    Kept,
}

/// How many workers for each reason, and the first of them.
fn reasons<'a>(
    ask: &Ask,
    kind: DeviceKind,
    count: usize,
    scene: &Scene<'a>,
) -> BTreeMap<Why, (usize, &'a Member)> {
    let mut reasons: BTreeMap<Why, (usize, &Member)> = BTreeMap::new();
    for worker in scene.fleet.ready().take(LOOKED_AT_MAX) {
        let Some(member) = scene.fleet.member(worker) else { continue };
        let why = match fit(ask, kind, count, member) {
            Err(lack) => Why::Lacks(lack),
            Ok(_) if (scene.is_drained)(worker) => Why::Drained,
            Ok(_) => Why::Kept,
        };
        let entry = reasons.entry(why).or_insert((0, member));
        entry.0 += 1;
    }
    reasons
}

impl Why {
    fn say(self, many: usize, first: &Member, ask: &Ask, kind: DeviceKind) -> String {
        let workers = if many == 1 { first.info.name.clone() } else { format!("{many} workers") };
        let s = if many == 1 { "s" } else { "" };
        match self {
            Self::Lacks(Lack::Label) => format!("{workers} lack{s} a label of {}", ask.labels.join(", ")),
            Self::Lacks(Lack::Secret) => {
                format!("{workers} lack{s} the secret {}", ask.secrets.join(" or "))
            }
            Self::Lacks(Lack::Isolation) => {
                let level = ask.isolation.map_or("", |level| level.as_str());
                format!("{workers} cannot run it `{level}`")
            }
            Self::Lacks(Lack::Devices) => format!("{workers} ha{} not {}", ve(many), asked(ask, kind)),
            Self::Lacks(Lack::Machine) => format!("{workers} ha{} not {}", ve(many), host(ask)),
            Self::Lacks(Lack::Unwilling) => match &first.info.unwilling {
                Some(why) if many == 1 => format!("{workers} takes nothing new: {why}"),
                _ => format!("{workers} take{s} nothing new"),
            },
            Self::Lacks(Lack::Healthy) => {
                format!("{workers} ha{} devices in quarantine or used by others", ve(many))
            }
            Self::Lacks(Lack::Free) => format!("{workers} {} busy", if many == 1 { "is" } else { "are" }),
            Self::Lacks(Lack::Room) => {
                format!("{workers} ha{} not {} beside what runs there", ve(many), host(ask))
            }
            Self::Drained => format!("{workers} {} drained", if many == 1 { "is" } else { "are" }),
            Self::Kept => {
                format!("{workers} {} kept for a larger request", if many == 1 { "is" } else { "are" })
            }
        }
    }
}

fn ve(many: usize) -> &'static str {
    if many == 1 { "s" } else { "ve" }
}

/// The devices asked for, in words.
fn asked(ask: &Ask, kind: DeviceKind) -> String {
    let mut parts = vec![format!("the {}", noun(kind, 2))];
    if let Some(model) = &ask.device_model {
        parts.push(format!("of the baseline's model {model} (`comparable: any` lifts that)"));
    }
    if kind == DeviceKind::Gpu && !ask.gpu_model.is_empty() {
        parts.push(format!("of a model like {}", ask.gpu_model));
    }
    if kind == DeviceKind::Gpu && ask.gpu_memory_bytes > 0 {
        parts.push(format!("of {} each", gib(ask.gpu_memory_bytes)));
    }
    if parts.len() == 1 { format!("as many {}", noun(kind, 2)) } else { parts.join(" ") }
}

fn host(ask: &Ask) -> String {
    match (ask.memory_bytes, ask.cpus) {
        (0, cpus) => format!("{cpus} CPUs"),
        (memory, 0) => format!("{} of memory", gib(memory)),
        (memory, cpus) => format!("{} of memory and {cpus} CPUs", gib(memory)),
    }
}

fn gib(bytes: u64) -> String {
    // Tenths, rounded down: a request is never said smaller than it is by more than that.
    let tenths = (u128::from(bytes) * 10) >> 30;
    if tenths % 10 == 0 {
        format!("{} GiB", tenths / 10)
    } else {
        format!("{}.{} GiB", tenths / 10, tenths % 10)
    }
}

fn without_devices(ask: &Ask, scene: &Scene<'_>) -> String {
    match ask.isolation {
        Some(level) if nobody_can(ask, scene) => format!(
            "a worker that can run it `{level}`: none of {} can; `windlass doctor` on a worker says what it lacks, or ask for less with `sandbox`",
            scene.fleet.ready().count()
        ),
        _ => "a worker that is connected, not drained and willing".to_owned(),
    }
}

/// Whether no worker that is there can give the isolation asked for.
fn nobody_can(ask: &Ask, scene: &Scene<'_>) -> bool {
    let can = |worker| scene.fleet.member(worker).is_some_and(|member| ask.isolation_suits(member));
    !scene.fleet.ready().any(can)
}
