//! Telemetry's turns: while anything runs, and never more of a core than they may cost.

use super::blocking;
use crate::telemetry::{Spent, Telemetry};

/// Looks at runs for as long as there are any, and waits for the next.
pub(super) async fn sample(telemetry: Telemetry) {
    loop {
        telemetry.begun().await;
        let (mut spent, mut is_first) = (Spent::default(), true);
        while let Some(pause) = telemetry.pause(spent, is_first) {
            tokio::time::sleep(pause).await;
            let looking = telemetry.clone();
            let Ok(looked) = blocking(move || Ok(looking.look())).await else { return };
            (spent, is_first) = (looked, false);
        }
    }
}
