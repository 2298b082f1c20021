//! The page of a campaign in each state that it can be in.

use super::*;
use windlass_shared::record::StopReason;
use windlass_shared::view::LeverView;

fn view() -> CampaignView {
    serde_json::from_str(include_str!("../../tests/view.json")).expect("a view")
}

fn levers() -> Vec<LeverView> {
    serde_json::from_str(include_str!("../../tests/levers.json")).expect("levers")
}

fn shown(view: &CampaignView, levers: &[LeverView], decided: &[Record], width: u16) -> String {
    let text = page(view, levers, decided, 1_767_225_900_000, width);
    let plain = anstream::adapter::strip_str(&text).to_string();
    let wide = plain.lines().find(|line| super::super::text::visible_width(line) > usize::from(width));
    assert_eq!(wide, None, "at {width}");
    plain
}

/// Only the part below `Now`, where the states differ.
fn now(view: &CampaignView) -> String {
    let text = shown(view, &[], &[], 80);
    let (_, now) = text.split_once("\nNow\n").expect("a section");
    let section = now.split("\n\n").next().unwrap_or_default().trim_end();
    format!("{}\n{section}\n", text.lines().next().unwrap_or_default())
}

#[test]
fn p24_every_state_says_why_and_what_to_do() {
    let idle = CampaignView { open: None, ..view() };
    let paused = |reason| CampaignView { state: CampaignState::Paused { reason }, ..idle.clone() };
    let stopped = |reason| CampaignState::Stopped { reason };
    let mut between = view();
    between.open.as_mut().expect("open").attempt = None;
    between.open.as_mut().expect("open").stage = "waiting for a device".to_owned();
    between.waits_for = Some("1 GPU with 80 GiB: no worker has one".to_owned());
    let mut cut_off = between.clone();
    (cut_off.waits_for, cut_off.state) = (None, stopped(StopReason::Owner));
    let mut over = view();
    over.open.as_mut().and_then(|open| open.attempt.as_mut()).expect("live").elapsed_ms = 13_500;
    let mut preparing = view();
    preparing.open.as_mut().and_then(|open| open.attempt.as_mut()).expect("live").phase =
        "preparing".to_owned();
    let limit = StopReason::Limit { limit: "20 iterations".to_owned() };
    let repair = "train.py printed no line `val_acc: <number>`".to_owned();
    let all = [
        idle.clone(),
        CampaignView {
            waits_for: Some("a lever: `windlass lever add` queues one".to_owned()),
            ..idle.clone()
        },
        paused(PauseReason::Owner),
        paused(PauseReason::Baseline { repair }),
        paused(PauseReason::Infrastructure),
        CampaignView { state: stopped(limit), ..idle.clone() },
        cut_off,
        between,
        preparing,
        view(),
        over,
    ];
    insta::assert_snapshot!(all.each_ref().map(now).join("\n"));
}

#[test]
fn a_long_campaign_stays_one_page() {
    let decided: Vec<Record> = crate::history::test_records()
        .into_iter()
        .filter(|record| matches!(record.body, Body::IterationDecided { .. }))
        .cycle()
        .take(900)
        .collect();
    let lever = levers().into_iter().find(|lever| lever.state == LeverState::Queued).expect("queued");
    let mut view = view();
    view.decided.discard = 897;
    for width in [60, 80, 120] {
        let text = shown(&view, &vec![lever.clone(); 400], &decided, width);
        assert!(text.lines().count() < 45, "{text}");
        assert!(text.contains("and 897 more: `windlass results") && text.contains("and 395 more:"), "{text}");
        assert!(text.contains("staircase  …"), "what does not fit is marked: {text}");
    }
}

#[test]
fn a_priority_is_told_where_it_is_not_the_usual_one() {
    let told = |priority| shown(&CampaignView { priority, ..view() }, &[], &[], 80).contains("  priority ");
    assert_eq!([told(0), told(3), told(-2)], [false, true, true]);
}

#[test]
fn a_name_is_told_where_the_id_does_not_tell_it() {
    let told = |name: &str| {
        let view = CampaignView { name: name.to_owned(), ..view() };
        (shown(&view, &[], &[], 80).contains("  name "), other_name(&view).map(str::to_owned))
    };
    assert_eq!(told("digits"), (false, None));
    assert_eq!(told("late digits"), (true, Some("late digits".to_owned())));
}

#[test]
fn p27_status_says_of_each_kept_gain_whether_it_stands_above_the_noise() {
    let decided = |iteration: u32, status: &str, is_above: Option<bool>| -> Record {
        let mut record = serde_json::json!({
            "seq": iteration, "wall_ms": 1_767_225_600_000_i64, "campaign": "digits-0a1b2c",
            "body": {
                "kind": "iteration_decided", "iteration": iteration, "status": status, "reason": "better",
                "arithmetic": {
                    "metric": "0.9", "record": "0.8", "gain": "0.1", "net_lines": 1, "sentence": "a sum",
                    "noise": { "replicates": ["0.9"], "floor": "0.01", "threshold": "0.02" },
                },
                "best": iteration, "summary": "s", "description": "d",
            },
        });
        if let Some(is_above) = is_above {
            record["body"]["arithmetic"]["noise"]["is_above"] = is_above.into();
        }
        serde_json::from_value(record).expect("a record")
    };
    let floor = Decimal::parse("0.01").expect("a number");
    assert_eq!(noise(&floor, &[]), "the floor is 0.01");
    let all = [
        decided(1, "keep", None),
        decided(2, "keep", Some(false)),
        decided(3, "keep", Some(true)),
        decided(4, "discard", Some(false)),
    ];
    let want = "the floor is 0.01, a gain stands above the noise from 0.02 on; kept gains that do: 3; kept gains \
                that do not: 2";
    assert_eq!(noise(&floor, &all), want);
    let told = serde_json::to_value(gains(&all)).expect("JSON");
    let gain = |iteration: u32, is_above: bool| serde_json::json!({"iteration": iteration, "gain": "0.1", "threshold": "0.02", "is_above": is_above});
    assert_eq!(told, serde_json::json!([gain(2, false), gain(3, true)]));
}
