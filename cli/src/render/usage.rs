//! `windlass status --usage`: who had what of the fleet, and what came of it.

use super::table::{Cell, Column, Table};
use super::text::wrap;
use super::units;
use windlass_shared::device::DeviceKind;
use windlass_shared::usage::{FleetUsage, Spent, UsageView};

/// Who owns what no client owns.
const ADMINISTRATORS: &str = "(administrators)";

/// The page.
pub fn page(view: &UsageView, now_ms: i64, width: u16) -> String {
    if view.campaigns.is_empty() {
        return format!("no campaigns yet\n{}", fleet(view, now_ms, width));
    }
    let mut owners = Table::new(width, columns("owner"));
    for one in &view.owners {
        let name = one.owner.as_deref().unwrap_or(ADMINISTRATORS);
        owners.row(row(name, one.kept_levers, &one.spent, one.gpu_ms_per_kept_lever));
    }
    let mut campaigns = Table::new(width, columns("campaign"));
    for one in &view.campaigns {
        let name = one.campaign.as_str();
        campaigns.row(row(name, one.kept_levers, &one.spent, one.gpu_ms_per_kept_lever));
    }
    format!(
        "Device time by what came of it\n\n{}\n{}\n{}",
        owners.render(),
        campaigns.render(),
        fleet(view, now_ms, width)
    )
}

fn columns(first: &str) -> [Column; 11] {
    [
        Column::new(first),
        Column::new("all").right(),
        Column::new("kept").right(),
        Column::new("discarded").right(),
        Column::new("crashed").right(),
        Column::new("machinery").right().rank(2),
        Column::new("analysis").right().rank(3),
        Column::new("cancelled").right().rank(5),
        Column::new("open").right().rank(4),
        Column::new("levers kept").right().rank(1),
        Column::new("GPU time each").right().rank(1),
    ]
}

fn row(name: &str, kept_levers: u32, spent: &Spent, each: Option<u64>) -> [Cell; 11] {
    let hours = |ms: u64| if ms == 0 { Cell::from("-") } else { Cell::from(units::hours(ms)) };
    [
        name.into(),
        hours(spent.all_ms()),
        hours(spent.kept_ms),
        hours(spent.discarded_ms),
        hours(spent.crashed_ms),
        hours(spent.infrastructure_ms),
        hours(spent.analysis_ms),
        hours(spent.cancelled_ms),
        hours(spent.undecided_ms),
        kept_levers.to_string().into(),
        each.map_or_else(|| Cell::from("-"), hours),
    ]
}

/// How idle the fleet was; nothing for one who does not see it.
fn fleet(view: &UsageView, now_ms: i64, width: u16) -> String {
    let lines = view.fleet.iter().filter(|one| one.offered_ms > 0).map(|one| line(one, view, now_ms));
    let columns = usize::from(width);
    lines.map(|line| wrap(&line, columns, columns.saturating_sub(2)).join("\n  ") + "\n").collect()
}

fn line(one: &FleetUsage, view: &UsageView, now_ms: i64) -> String {
    let noun = match one.device_kind {
        DeviceKind::Gpu => "GPUs",
        DeviceKind::Cpu => "CPU slots",
    };
    let idle = one.idle_permille.unwrap_or(0);
    format!(
        "{noun} were idle for {}.{} % of the {} that they offered since the coordinator started {}",
        idle / 10,
        idle % 10,
        units::hours(one.offered_ms),
        units::ago(view.fleet_since_wall_ms, now_ms)
    )
}
