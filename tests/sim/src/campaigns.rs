//! Campaigns and levers, made up within what their owners may write.

use crate::random::Random;
use std::collections::BTreeSet;
use windlass_engine::core::Core;
use windlass_shared::bindings::{
    Bindings, ConclusionMode, ConclusionRule, Dial, Direction, MoveScheduler, Noise, Score,
};
use windlass_shared::conclusion::{Conclusion, Verdict as Shown};
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::Digest;
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::lever::{Anchor, CarriedFix, FixTrigger, Kind, Lever};
use windlass_shared::literature::{Citation, Finding, Review, Scope, Strength, Verdict};
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Compares, Deliverable, Script};
use windlass_shared::time::Span;

/// What every campaign file has at the least.
const MINIMAL: &str = r#"{"metric":"val_acc","metric_direction":"maximize","entrypoint":"python3 train.py",
    "editable_files":["train.py"],"gate":"time","budget":0.2}"#;

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).expect("a literal decimal")
}

/// Bindings of one campaign.
pub(crate) fn bindings(random: &mut Random) -> Bindings {
    let mut bindings: Bindings = serde_json::from_str(MINIMAL).expect("minimal bindings");
    if random.chance(400) {
        bindings.metric_direction = Direction::Minimize;
    }
    bindings.budget = decimal(random.pick(&["0.05", "0.1", "0.25", "0.4"]).copied().unwrap_or("0.1"));
    let w = &mut bindings.windlass;
    w.priority = random.below(3) as i32;
    w.resources.gpus = *random.pick(&[None, None, Some(0), Some(1), Some(2)]).unwrap_or(&None);
    w.resources.cpus = *random.pick(&[None, None, Some(2)]).unwrap_or(&None);
    if random.chance(150) {
        w.resources.gpu_model = Some(crate::machine::GPU_MODEL.to_owned());
    }
    if random.chance(50) {
        w.resources.labels = vec!["fast".to_owned()];
    }
    if random.chance(150) {
        let (swing_budget, stagnation_limit) = (random.range(0, 1) as u32, random.range(1, 3) as u32);
        w.move_scheduler = Some(MoveScheduler { swing_budget, stagnation_limit });
    }
    if random.chance(150) {
        w.score = Some(Score { run: "python3 score.py".to_owned(), artifact: path("preds.csv") });
    }
    if random.chance(250) {
        let (baseline, confirm) = (random.range(1, 3) as u32, random.range(1, 3) as u32);
        let sigmas = decimal("1.5");
        w.noise = Some(Noise { baseline_replicates: baseline, confirm_replicates: confirm, sigmas });
    }
    w.lanes = random.range(1, 4) as u32;
    w.fixes = random.range(0, 3) as u32;
    // Short, so that a history sees their ends; 0 where nobody is there to help.
    w.fix_wait = Span::from_secs(*random.pick(&[0, 0, 2, 10]).unwrap_or(&0));
    w.analysis.wait = Span::from_secs(*random.pick(&[0, 2, 10]).unwrap_or(&0));
    if random.chance(200) {
        w.conclusion = ConclusionRule { mode: ConclusionMode::Required, wait: Some(Span::from_secs(5)) };
    }
    w.passes = random.range(1, 4) as u32;
    w.analysis.time_limit = Span::from_secs(random.range(2, 20));
    w.analysis.gpus = u32::from(random.chance(120));
    if random.chance(400) {
        w.simplicity.tolerance = decimal("0.01");
    }
    if random.chance(300) {
        w.stop.iterations = Some(random.range(2, 10) as u32);
    }
    if random.chance(80) {
        w.stop.target = Some(decimal("0.9"));
    }
    if random.chance(600) {
        w.baseline = rows(random, 1, 2);
    }
    if random.chance(300) {
        w.always = rows(random, 1, 1);
    }
    for _ in 0..random.below(4) {
        w.diagnostics.push(row(random));
    }
    if random.chance(500) {
        bindings.literature = Dial::On;
        let w = &mut bindings.windlass;
        w.architecture = random.chance(500).then(|| "mlp".to_owned());
        let probe =
            Deliverable { dimension: "headroom".to_owned(), output: path("headroom.tsv"), ..row(random) };
        w.diagnostics.extend(random.chance(700).then_some(probe));
    }
    bindings
}

/// A review for this iteration: mostly of findings that are kept, at times of none.
pub(crate) fn review(random: &mut Random, iteration: u32) -> (Review, Vec<Scope>) {
    let findings: Vec<Finding> = (0..random.below(4)).map(|_| finding(random)).collect();
    let scopes = findings.iter().map(|_| {
        let word = random.pick(&["agnostic", "agnostic", "mlp", "cnn"]).copied().unwrap_or("agnostic");
        Scope::parse(word).expect("a scope")
    });
    let scopes = scopes.collect();
    let (questions_asked, summary) = (vec!["what next?".to_owned()], None);
    let review = Review { iteration, research_scale: None, questions_asked, findings, summary };
    (review, scopes)
}

/// Few words, so that changes are repeated.
fn finding(random: &mut Random) -> Finding {
    let change = random.below(12);
    let strengths =
        [Strength::Strong, Strength::Moderate, Strength::Strong, Strength::Strong, Strength::Weak];
    let citation = Citation {
        title: format!("paper {change}"),
        arxiv_id: random.chance(900).then(|| format!("2001.{change:05}")),
        doi: None,
        year: None,
        venue: None,
        influential_citations: None,
        url: None,
        snippet: None,
    };
    Finding {
        question: "what?".to_owned(),
        abstraction_level: 1 + random.below(2) as u8,
        claim: "it helps".to_owned(),
        recipe: None,
        evidence: windlass_shared::literature::Evidence {
            strength: *random.pick(&strengths).unwrap_or(&Strength::Strong),
            n_papers_agree: None,
            has_ablation: None,
            reported_gain: None,
        },
        citations: vec![citation],
        applicability_to_our_setup: random.chance(900).then(|| "it transfers".to_owned()),
        proposed_change: format!("change {change}"),
        files_to_edit: random.chance(300).then(|| "train.py".to_owned()).into_iter().collect(),
        how_to_verify: Some("look at the loss".to_owned()),
        verdict: if random.chance(950) { Verdict::Keep } else { Verdict::Reject },
        verdict_reason: None,
    }
}

/// One lever.
pub(crate) fn lever(random: &mut Random, title: String) -> Lever {
    use Kind::{Change, Exploit, Instrumentation, Simplification, Swing};
    let kinds = [Change, Change, Change, Simplification, Instrumentation, Swing, Swing, Exploit];
    let anchored = random.chance(750);
    Lever {
        kind: *random.pick(&kinds).unwrap_or(&Change),
        files: vec![path("train.py")],
        change: windlass_shared::lever::Change::Patch(Digest::of(title.as_bytes())),
        anchor: anchored.then(|| Anchor {
            file: path("loss.tsv"),
            pattern: "slope (.*)".to_owned(),
            compare: None,
            iteration: random.chance(200).then(|| IterationNumber(random.range(1, 5) as u32)),
        }),
        prediction: "better".to_owned(),
        fixes: fixes(random),
        literature: None,
        architecture: random.chance(150).then(|| if random.chance(500) { "mlp" } else { "cnn" }.to_owned()),
        instrumentation: None,
        parents: Vec::new(),
        axes: Vec::new(),
        cites: Vec::new(),
        changed_assumption: random.chance(200).then(|| "more data".to_owned()),
        analysis: rows(random, 1, 2),
        title,
    }
}

/// The deliverables of an iteration that is open; of a decided one nothing is asked here.
pub(crate) fn delivered(
    core: &Core,
    campaign: &CampaignId,
    iteration: IterationNumber,
) -> BTreeSet<TreePath> {
    let open = core.durable().campaigns.get(campaign).and_then(|campaign| campaign.open.get(&iteration));
    open.map(|open| open.accepted.keys().cloned().collect()).unwrap_or_default()
}

/// A conclusion that judges these.
pub(crate) fn conclusion(delivered: &BTreeSet<TreePath>) -> Conclusion {
    Conclusion {
        finding: "the loss is flat".to_owned(),
        bullets: vec!["one".to_owned(), "two".to_owned(), "three".to_owned()],
        deliverables: delivered.iter().map(|output| (output.clone(), Shown::AsHelped)).collect(),
        automatic: false,
        examined: "all of it".to_owned(),
        ceiling_near: Some(false),
        anchor: None,
    }
}

fn fixes(random: &mut Random) -> Vec<CarriedFix> {
    let endings = ["out_of_memory", "crashed", "crashed", "soft_timeout", "finished", "hard_timeout"];
    let count = random.range(1, 4);
    let fix = |n| {
        let on = random.pick(&endings).copied().unwrap_or("crashed").to_owned();
        let trigger = match random.chance(500) {
            true => FixTrigger::On(on),
            false => FixTrigger::Pattern("Error".to_owned()),
        };
        CarriedFix { trigger, patch: Digest::of(format!("fix {n}").as_bytes()) }
    };
    (0..count).map(fix).collect()
}

/// Rows with outputs of their own.
fn rows(random: &mut Random, least: u64, most: u64) -> Vec<Deliverable> {
    let mut rows: Vec<Deliverable> = Vec::new();
    for _ in 0..random.range(least, most) {
        let row = row(random);
        if rows.iter().all(|other| other.output != row.output) {
            rows.push(row);
        }
    }
    rows
}

/// A row beside any plan.
pub(crate) fn follow_up(random: &mut Random) -> Deliverable {
    let output = path(&format!("late_{}.tsv", random.below(8)));
    Deliverable { output, ..row(random) }
}

fn row(random: &mut Random) -> Deliverable {
    let number = random.below(25);
    let script = match random.chance(250) {
        true => Script::Named(Script::BUILTIN_LOG.to_owned()),
        false => Script::Blob { name: "look.py".to_owned(), digest: Digest::of(b"print(1)") },
    };
    Deliverable {
        script,
        output: path(&format!("out_{number}.tsv")),
        dimension: format!("d{number}"),
        question: "what?".to_owned(),
        if_helped: "this".to_owned(),
        if_not: "that".to_owned(),
        compares: random.chance(200).then(|| Compares {
            iteration: IterationNumber::BASELINE,
            reason: "to see the drift".to_owned(),
        }),
    }
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect("a plain path")
}
