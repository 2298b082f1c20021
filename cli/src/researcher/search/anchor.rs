//! The evidence that a lever of the search rests on (P6): what the space declares, where it holds; else the metric
//! that the latest analysed run printed.

use super::space::{Setting, Space};
use crate::context::{Facts, File};
use crate::history::Iteration;
use windlass_engine::gate::anchor::{Finding, search};
use windlass_shared::attempt::Kind;
use windlass_shared::lever::Anchor;
use windlass_shared::path::TreePath;

/// For each setting the anchor by which it may be moved now; none where its evidence does not hold.
pub fn for_each(space: &Space, facts: &Facts) -> Vec<Option<Anchor>> {
    let printed = facts.analysed().and_then(|latest| of_metric(latest, &facts.view.metric));
    let of = |setting: &Setting| {
        let own = if setting.anchors.is_empty() { &space.anchors } else { &setting.anchors };
        match own.is_empty() {
            true => printed.clone(),
            false => own.iter().find_map(|anchor| holding(anchor, &facts.files)),
        }
    };
    space.settings.iter().map(of).collect()
}

/// The anchor with the iteration in whose evidence it holds, the latest analysed one first.
fn holding(anchor: &Anchor, files: &[File]) -> Option<Anchor> {
    let is_meant = |file: &&File| {
        file.path == anchor.file.as_str() && anchor.iteration.is_none_or(|number| number == file.iteration)
    };
    let held = files.iter().filter(is_meant).find(|file| {
        let text = file.text.as_deref().unwrap_or_default();
        matches!(search(anchor, text.as_bytes()), Finding::Holds { .. })
    })?;
    Some(Anchor { iteration: Some(held.iteration), ..anchor.clone() })
}

/// The metric line of a run: there whenever it has a metric.
fn of_metric(iteration: &Iteration, metric: &str) -> Option<Anchor> {
    let (_, run) = iteration.logged()?;
    run.reading.as_ref()?.value()?;
    debug_assert!(iteration.last_ended(Kind::Run).is_some());
    Some(Anchor {
        file: TreePath::parse("run.log").ok()?,
        pattern: format!(r"^{}:\s+(-?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*$", regex::escape(metric)),
        compare: None,
        iteration: Some(iteration.number),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::id::IterationNumber;
    use windlass_shared::lever::Comparison;

    fn file(iteration: u32, path: &str, text: Option<&str>) -> File {
        let text = text.map(str::to_owned);
        File { iteration: IterationNumber(iteration), path: path.to_owned(), size_bytes: 1, text }
    }

    #[test]
    fn p6_an_anchor_cites_the_iteration_in_which_it_holds() {
        let files = [
            file(4, "curve.tsv", Some("slope\t0.1\n")),
            file(4, "picture.png", None),
            file(2, "curve.tsv", Some("slope\t-0.5\n")),
        ];
        let anchor = |path: &str, compare: &str, iteration: Option<u32>| Anchor {
            file: TreePath::parse(path).expect("a path"),
            pattern: r"^slope\t(-?[0-9.]+)$".to_owned(),
            compare: Comparison::parse(compare),
            iteration: iteration.map(IterationNumber),
        };
        let cited = |anchor| holding(&anchor, &files).map(|held| held.iteration.map_or(0, |number| number.0));
        assert_eq!(cited(anchor("curve.tsv", "> 0", None)), Some(4));
        assert_eq!(cited(anchor("curve.tsv", "< 0", None)), Some(2), "it holds in the best's");
        assert_eq!(cited(anchor("curve.tsv", "< 0", Some(4))), None);
        assert_eq!(cited(anchor("curve.tsv", "> 7", None)), None);
        assert_eq!(cited(anchor("picture.png", "> 0", None)), None);
        assert_eq!(cited(anchor("none.tsv", "> 0", None)), None);
    }

    #[test]
    fn p6_without_a_declared_anchor_the_printed_metric_is_the_evidence() {
        let story = crate::history::test_story();
        let second = &story.iterations[&IterationNumber(2)];
        let anchor = of_metric(second, "val.acc").expect("it has a metric");
        let holds = |line: &str| matches!(search(&anchor, line.as_bytes()), Finding::Holds { .. });
        assert!(holds("epoch 1\nval.acc: 0.93\n") && holds("val.acc:  -1.5e-3"));
        assert!(!holds("val_acc: 0.93") && !holds("val.acc: none"));
        assert_eq!(anchor.iteration, Some(IterationNumber(2)));
    }
}
