//! The network: it loses, doubles and delays, and so reorders. Also how events look in a trace.

use crate::coverage::Fault;
use crate::machine::Cut;
use crate::world::{Event, World};
use windlass_shared::attempt::Phase;
use windlass_shared::record::{Body, Record};

impl World {
    /// Sends a message to or from a machine, or between client and coordinator.
    pub(crate) fn transmit(&mut self, machine: Option<usize>, message: Event) {
        if let Some(machine) = machine
            && let Some(cut) = self.machines[machine].cut
        {
            let is_report = matches!(message, Event::Report { .. });
            if cut == Cut::Both || (cut == Cut::Reports) == is_report {
                return;
            }
        }
        if self.is_due(Fault::MessageLost, self.weather.lose_in_a_thousand) {
            self.hit(Fault::MessageLost);
            return;
        }
        if self.is_due(Fault::MessageDoubled, self.weather.double_in_a_thousand) {
            self.hit(Fault::MessageDoubled);
            let delay_ms = self.random.range(0, 3_000);
            self.after(delay_ms, message.clone());
        }
        let mut delay_ms = self.random.range(0, self.weather.delay_max_ms);
        if self.is_due(Fault::MessageDelayed, self.weather.delay_in_a_thousand) {
            self.hit(Fault::MessageDelayed);
            delay_ms = self.random.range(1_000, 60_000);
        }
        self.after(delay_ms, message);
    }
}

/// An event in one line.
pub(crate) fn show(event: &Event) -> String {
    match event {
        Event::Report { machine, report } => {
            let attempts: Vec<String> = report
                .attempts
                .iter()
                .map(|attempt| {
                    let phase = match &attempt.phase {
                        Phase::Preparing => "preparing".to_owned(),
                        Phase::Running { .. } => "running".to_owned(),
                        Phase::Collecting => "collecting".to_owned(),
                        Phase::Ended(outcome) => outcome.ending.to_string(),
                    };
                    format!("{} {phase}", attempt.key)
                })
                .collect();
            let (session, number) = (&report.session, report.number);
            format!("report of m{machine} {session} {number} seen {}: {attempts:?}", report.seen)
        }
        Event::Answer { machine, answer } => {
            let orders: Vec<String> = answer.orders.iter().map(|order| order.key.to_string()).collect();
            let done: Vec<String> = answer.acknowledged.iter().map(ToString::to_string).collect();
            let (session, number, standing) = (&answer.session, answer.number, answer.standing);
            let stops: Vec<String> =
                answer.stop.iter().map(|stop| format!("{} {:?}", stop.key, stop.reason)).collect();
            format!(
                "answer to m{machine} {session} {number} {standing:?}: orders {orders:?} stop {stops:?} acknowledged {done:?}"
            )
        }
        other => {
            let text = format!("{other:?}");
            text.chars().take(300).collect()
        }
    }
}

/// A record in one line.
pub(crate) fn show_record(record: &Record) -> String {
    let detail = match &record.body {
        Body::AttemptLeased { order, worker, why, .. } => {
            format!("{} {:?} to {worker} {:?}: {why}", order.key, order.kind, order.devices)
        }
        Body::AttemptEnded { attempt, outcome, .. } => format!("{attempt} {}", outcome.ending),
        Body::IterationDecided { iteration, status, reason, .. } => {
            format!("{iteration} {status:?} {reason}")
        }
        Body::IterationOpened { iteration, lever, .. } => format!("{iteration} {lever:?}"),
        Body::ConclusionWritten { .. } | Body::CampaignCreated { .. } => String::new(),
        other => format!("{other:?}").chars().take(160).collect(),
    };
    let campaign = record.campaign.as_ref().map_or("", |campaign| campaign.as_str());
    format!("  #{} {} {campaign} {detail}", record.seq, record.body.kind())
}
