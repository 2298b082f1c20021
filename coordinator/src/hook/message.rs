//! What a hook is told: one line of JSON.

use serde::Serialize;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::record::{Body, PauseReason, Record};

/// See the module. docs/operate.md describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Message {
    schema: &'static str,
    /// `campaign_paused`, `campaign_waits` or `new_best`.
    pub event: &'static str,
    /// Whose.
    pub campaign: CampaignId,
    /// When it happened, wall time.
    pub wall_ms: i64,
    /// A sentence for people.
    pub text: String,
    /// For a new best: its iteration and metric.
    pub iteration: Option<IterationNumber>,
    /// See `iteration`.
    pub metric: Option<Decimal>,
}

impl Message {
    /// What a record tells, if it is one that somebody should hear of.
    pub fn of(record: &Record) -> Option<Self> {
        let campaign = record.campaign.clone()?;
        let (event, text, iteration, metric) = match &record.body {
            Body::CampaignPaused { reason } => {
                let text = match reason {
                    PauseReason::Owner => "it is paused by its owner".to_owned(),
                    PauseReason::Baseline { repair } => {
                        format!("its baseline is no ground to build on: {repair}")
                    }
                    PauseReason::Infrastructure => "machines failed under two levers in a row".to_owned(),
                };
                ("campaign_paused", text, None, None)
            }
            // A baseline is kept and is no gain.
            Body::IterationDecided { iteration, status: Status::Keep, arithmetic, description, .. }
                if *iteration != IterationNumber::BASELINE =>
            {
                let text = format!("{description}: {}", arithmetic.sentence);
                ("new_best", text, Some(*iteration), arithmetic.metric.clone())
            }
            _ => return None,
        };
        Some(Self { schema: SCHEMA, event, campaign, wall_ms: record.wall_ms, text, iteration, metric })
    }

    /// A campaign waits for a person.
    pub fn waits(campaign: CampaignId, wall_ms: i64, what: &str) -> Self {
        let text = format!("it waits for {what}");
        Self {
            schema: SCHEMA,
            event: "campaign_waits",
            campaign,
            wall_ms,
            text,
            iteration: None,
            metric: None,
        }
    }

    /// The line.
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("a message is always representable");
        line.push(b'\n');
        line
    }
}

const SCHEMA: &str = "windlass.hook/1";
