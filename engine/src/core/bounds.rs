//! What one client may have of everybody's memory: bounds on what somebody's fault costs the others. Administrators,
//! and what belongs to nobody else, have none.

use super::Durable;
use crate::campaign::Campaign;
use windlass_shared::refusal::Refusal;

/// Campaigns of one client, those that have ended included: years of work.
const CAMPAIGNS_EACH_MAX: usize = 10_000;

/// Levers that stand in line in all campaigns of one client: five full queues, and a few hundred MB of documents at
/// worst.
const LEVERS_EACH_MAX: usize = 50_000;

/// Refuses one campaign more than a client may have.
pub(super) fn refuse_campaign(durable: &Durable, owner: Option<&str>) -> Result<(), Refusal> {
    let Some(owner) = owner else { return Ok(()) };
    refuse("campaigns", owner, owned(durable, owner).count(), CAMPAIGNS_EACH_MAX)
}

/// Refuses one lever more in line than the client may have whose campaign it is.
pub(super) fn refuse_lever(durable: &Durable, campaign: &Campaign) -> Result<(), Refusal> {
    let Some(owner) = campaign.owner.as_deref() else { return Ok(()) };
    let in_line = owned(durable, owner).map(|campaign| campaign.queue.len()).sum();
    refuse("queued levers", owner, in_line, LEVERS_EACH_MAX)
}

fn owned<'a>(durable: &'a Durable, owner: &str) -> impl Iterator<Item = &'a Campaign> {
    durable.campaigns.values().filter(move |campaign| campaign.owner.as_deref() == Some(owner))
}

fn refuse(what: &str, owner: &str, own: usize, limit: usize) -> Result<(), Refusal> {
    if own < limit {
        return Ok(());
    }
    let (figure, limit) = (own as u64 + 1, limit as u64);
    Err(Refusal::TooMuch { what: format!("the number of {what} of {owner}"), figure, limit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::digest::Digest;
    use windlass_shared::id::{CampaignId, LeverNumber};

    fn campaign(name: &str, owner: Option<&str>, in_line: usize) -> Campaign {
        let bindings = serde_json::json!({"metric": "val", "metric_direction": "maximize", "entrypoint": "true",
            "editable_files": ["a"], "gate": "time", "budget": 1});
        let bindings = Box::new(serde_json::from_value(bindings).expect("bindings"));
        let made = Campaign::new(CampaignId(name.to_owned()), name.to_owned(), bindings, Digest::of(b""), 0);
        let queue = (1..=in_line).map(|number| LeverNumber(u32::try_from(number).expect("few"))).collect();
        Campaign { owner: owner.map(str::to_owned), queue, ..made }
    }

    #[test]
    fn levers_in_line_are_counted_over_all_campaigns_of_one_client_and_of_nobody_else() {
        let mut durable = Durable::default();
        let half = LEVERS_EACH_MAX / 2;
        for (name, owner, in_line) in [
            ("a", Some("ada"), half),
            ("b", Some("ada"), half - 1),
            ("c", Some("eve"), half),
            ("d", None, half * 2),
        ] {
            let campaign = campaign(name, owner, in_line);
            durable.campaigns.insert(campaign.id.clone(), campaign);
        }
        let refused = |durable: &Durable, name: &str| {
            let campaign = &durable.campaigns[&CampaignId(name.to_owned())];
            refuse_lever(durable, campaign).err().map(|refusal| refusal.to_string())
        };
        assert!(["a", "b", "c", "d"].iter().all(|name| refused(&durable, name).is_none()));
        let last = campaign("e", Some("ada"), 1);
        durable.campaigns.insert(last.id.clone(), last);
        for name in ["a", "b", "e"] {
            let told = refused(&durable, name).expect("one too many");
            assert_eq!(told, "the number of queued levers of ada is 50001; at most 50000 is taken");
        }
        assert!(refused(&durable, "c").is_none() && refused(&durable, "d").is_none());
    }

    #[test]
    fn a_bound_is_told_with_figure_and_limit_and_what_is_below_it_is_let_through() {
        for (own, want) in [
            (0, None),
            (9, None),
            (10, Some("the number of queued levers of ada is 11; at most 10 is taken")),
            (12, Some("the number of queued levers of ada is 13; at most 10 is taken")),
        ] {
            let refused = refuse("queued levers", "ada", own, 10).err().map(|refusal| refusal.to_string());
            assert_eq!(refused.as_deref(), want);
        }
    }
}
