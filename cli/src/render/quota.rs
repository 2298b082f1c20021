//! `windlass quota list`: who may have what, and has it.

use super::table::{Column, Table};
use super::text::fit;
use super::units;
use windlass_shared::quota::{Quota, QuotaView};

/// The table.
pub fn table(views: &[QuotaView], width: u16) -> String {
    if views.is_empty() {
        return fit("no quotas; `windlass quota set OWNER --devices N` bounds an owner\n", Some(width));
    }
    let columns = [
        Column::new("owner"),
        Column::new("devices").right(),
        Column::new("at most").right(),
        Column::new("device-hours").right(),
        Column::new("at most").right(),
        Column::new("within").hides(),
    ];
    let mut table = Table::new(width, columns);
    for view in views {
        let time = view.quota.time;
        table.row([
            (&view.owner).into(),
            view.devices.to_string().into(),
            view.quota.devices.map_or_else(String::new, |limit| limit.to_string()).into(),
            view.had_device_ms.map_or_else(String::new, units::hours).into(),
            time.map_or_else(String::new, |time| units::hours(time.device_ms)).into(),
            time.map_or_else(String::new, |time| units::duration(time.per_ms)).into(),
        ]);
    }
    table.render()
}

/// A quota in words: `4 devices at once and 100 h of device time within 7 d 0 h`.
pub fn words(quota: &Quota) -> String {
    let devices = quota.devices.map(|limit| format!("{} at once", units::count(limit.into(), "device")));
    let time = quota.time.map(|time| {
        format!("{} of device time within {}", units::hours(time.device_ms), units::duration(time.per_ms))
    });
    devices.into_iter().chain(time).collect::<Vec<_>>().join(" and ")
}
