//! `windlass certs list`: who is known.

use super::style;
use super::table::{Cell, Column, Table};
use super::units;
use windlass_shared::access::CertificateView;
use windlass_shared::conclusion::Status;

/// Digits of a serial number that are shown: enough to name it.
const SERIAL_DIGITS: usize = 12;

/// The table.
pub fn table(views: &[CertificateView], width: u16) -> String {
    if views.is_empty() {
        return "nobody has joined yet; `windlass token create --role R` lets one in\n".to_owned();
    }
    let mut table = Table::new(
        width,
        [
            Column::new("role"),
            Column::new("name"),
            Column::new("state"),
            Column::new("ends in").rank(1),
            Column::new("serial").rank(2),
            Column::new("worker").rank(3).hides(),
        ],
    );
    for view in views {
        let state = match view.state.as_str() {
            "valid" => style::of_status(Status::Keep),
            _ => style::of_status(Status::Discard),
        };
        let worker =
            view.worker.as_ref().map(|id| id.as_str().chars().take(SERIAL_DIGITS).collect::<String>());
        table.row([
            view.role.as_str().into(),
            (&view.name).into(),
            Cell::styled(&view.state, state),
            left(view).into(),
            view.serial.chars().take(SERIAL_DIGITS).collect::<String>().into(),
            worker.unwrap_or_default().into(),
        ]);
    }
    table.render()
}

/// How long it is good for.
fn left(view: &CertificateView) -> String {
    let left_ms = u64::try_from(view.expires_wall_ms - units::now_ms()).unwrap_or(0);
    if view.state == "valid" { units::duration(left_ms) } else { String::new() }
}
