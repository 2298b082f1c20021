//! `windlass workers`: the fleet.

use super::style;
use super::table::{Cell, Column, Table};
use super::text::{neutral, wrap};
use super::units;
use anstyle::Style;
use std::collections::BTreeMap;
use windlass_shared::conclusion::Status;
use windlass_shared::device::{Device, DeviceKind, DeviceState, WorkerInfo};
use windlass_shared::view::WorkerView;

/// The table.
pub fn workers(views: &[WorkerView], width: u16) -> String {
    if views.is_empty() {
        return "no workers yet\n".to_owned();
    }
    let mut table = Table::new(
        width,
        [
            Column::new("name"),
            Column::new("worker").rank(3),
            Column::new("state"),
            Column::new("heard").rank(1),
            Column::new("devices").wraps(),
            Column::new("runs").wraps().hides(),
            Column::new("load").rank(5).hides(),
            Column::new("labels").rank(4).hides(),
            Column::new("version").rank(6).hides(),
            Column::new("machine").rank(7).hides(),
        ],
    );
    for view in views {
        let runs: Vec<String> = view.attempts.iter().map(ToString::to_string).collect();
        table.row([
            (&view.info.name).into(),
            short(view.info.id.as_str()).into(),
            Cell::styled(&view.state, state_style(&view.state)),
            heard(view).into(),
            devices(view).into(),
            runs.join(" ").into(),
            load(view).into(),
            view.info.labels.join(", ").into(),
            (&view.info.version).into(),
            machine(&view.info).into(),
        ]);
    }
    // What is wrong is said in full, below: a column of it would squeeze the others.
    let mut text = table.render();
    let columns = usize::from(width);
    for trouble in views.iter().flat_map(trouble) {
        text.push_str(&wrap(&neutral(&trouble), columns, columns.saturating_sub(2)).join("\n  "));
        text.push('\n');
    }
    text
}

fn state_style(state: &str) -> Style {
    match state {
        "ready" => style::of_status(Status::Keep),
        "lost" => style::of_status(Status::Crash),
        _ => style::of_status(Status::Discard),
    }
}

fn heard(view: &WorkerView) -> String {
    match view.silent_ms {
        // It speaks every 20 s when there is nothing new.
        0..30_000 => "now".to_owned(),
        ms => format!("{} ago", units::duration(ms)),
    }
}

/// The load average over the CPUs that there are: `3.2 of 16`.
fn load(view: &WorkerView) -> String {
    let Some(hundredths) = view.load.average_hundredths else { return String::new() };
    let average = format!("{}.{}", hundredths / 100, hundredths % 100 / 10);
    match view.info.cpus {
        0 => average,
        cpus => format!("{average} of {cpus}"),
    }
}

/// Devices by model, and how many are free: `2 × A100 80 GiB, 1 free`. Of what is lost nobody knows that.
fn devices(view: &WorkerView) -> String {
    let devices: &[Device] = &view.devices;
    let mut models: BTreeMap<(DeviceKind, String), u64> = BTreeMap::new();
    for device in devices {
        let memory = device.memory_bytes.map_or(String::new(), |bytes| format!(" {}", units::bytes(bytes)));
        let model = match device.kind {
            DeviceKind::Gpu => format!("{}{memory}", device.model),
            DeviceKind::Cpu => "CPU slot".to_owned(),
        };
        *models.entry((device.kind, model)).or_default() += 1;
    }
    let mut parts: Vec<String> = models
        .into_iter()
        .map(|((kind, model), n)| match kind {
            DeviceKind::Gpu => format!("{n} × {model}"),
            DeviceKind::Cpu => units::count(n, &model),
        })
        .collect();
    if parts.is_empty() {
        return "none".to_owned();
    }
    if view.state != "lost" {
        let free = devices.iter().filter(|device| device.state == DeviceState::Free).count();
        parts.push(format!("{free} free"));
    }
    parts.join(", ")
}

/// What a machine has besides: CPUs, memory, driver. What it does not say is left out.
fn machine(info: &WorkerInfo) -> String {
    let cpus = (info.cpus > 0).then(|| units::count(info.cpus.into(), "CPU"));
    let memory = info.memory_bytes.map(units::bytes);
    let driver = info.driver.as_ref().map(|driver| format!("driver {driver}"));
    [cpus, memory, driver].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What keeps devices from being leased.
fn trouble(view: &WorkerView) -> Vec<String> {
    let name = &view.info.name;
    let unwilling = view.info.unwilling.iter().map(|why| format!("{name} takes nothing new: {why}"));
    let devices = view.devices.iter().filter_map(|device| match &device.state {
        DeviceState::Outsider { who } => Some(format!("{name}: {} is used by {who}", device.id)),
        DeviceState::Quarantined { reason } => {
            Some(format!("{name}: {} is quarantined, {reason}", device.id))
        }
        DeviceState::Free | DeviceState::Busy(_) => None,
    });
    unwilling.chain(clock(&view.info)).chain(devices).collect()
}

/// What a clock that is far from the coordinator's means, and what to do.
pub fn clock(info: &WorkerInfo) -> Option<String> {
    let ms = info.clock_apart_ms;
    let (apart, side) = (units::duration(ms.unsigned_abs()), if ms > 0 { "ahead of" } else { "behind" });
    (ms != 0).then(|| {
        format!(
            "{}: its clock is {apart} {side} the coordinator's; set both by NTP: leases and gates are not affected, certificates and times in listings are",
            info.name
        )
    })
}

/// The first part of a UUID: enough to name a worker by.
fn short(id: &str) -> String {
    id.split('-').next().unwrap_or(id).to_owned()
}
