//! A researcher's conclusion (P23): its form and its bounds, and that each deliverable is judged. What it says
//! is the researcher's own.

use super::anchor;
use super::plan::text_problem;
use std::collections::BTreeSet;
use windlass_shared::conclusion::Conclusion;
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;

/// Bullets: fewer say nothing, more are no summary.
const BULLETS: std::ops::RangeInclusive<usize> = 3..=8;
/// The longest finding: one line, and a column of `results.tsv`.
const FINDING_MAX_BYTES: usize = 1_000;
/// The longest bullet, and the longest text of what was examined.
const TEXT_MAX_BYTES: usize = 4_000;

/// Everything that is wrong with a conclusion of an iteration that has these deliverables.
pub fn problems(conclusion: &Conclusion, delivered: &BTreeSet<TreePath>) -> Vec<Refusal> {
    let mut problems = Vec::new();
    let mut refuse = |field: String, problem: String| {
        problems.push(Refusal::Lever { rule: "P23", field, problem });
    };
    if let Some(problem) = text_problem(&conclusion.finding, FINDING_MAX_BYTES) {
        refuse("finding".to_owned(), limited(problem, conclusion.finding.len(), FINDING_MAX_BYTES));
    } else if conclusion.finding.chars().any(char::is_control) {
        refuse(
            "finding".to_owned(),
            "has a line break or another control character; write one line".to_owned(),
        );
    }
    if let Some(problem) = text_problem(&conclusion.examined, TEXT_MAX_BYTES) {
        refuse("examined".to_owned(), limited(problem, conclusion.examined.len(), TEXT_MAX_BYTES));
    }
    let count = conclusion.bullets.len();
    if !BULLETS.contains(&count) {
        refuse("bullets".to_owned(), format!("has {count}; write {} to {}", BULLETS.start(), BULLETS.end()));
    }
    for (index, bullet) in conclusion.bullets.iter().take(*BULLETS.end()).enumerate() {
        if let Some(problem) = text_problem(bullet, TEXT_MAX_BYTES) {
            refuse(format!("bullets[{index}]"), limited(problem, bullet.len(), TEXT_MAX_BYTES));
        }
    }
    let mut judged = BTreeSet::new();
    for (output, _) in &conclusion.deliverables {
        if !delivered.contains(output) {
            refuse(format!("deliverables.{output}"), "is no deliverable of this iteration".to_owned());
        } else if !judged.insert(output) {
            refuse(format!("deliverables.{output}"), "is judged twice".to_owned());
        }
    }
    for output in delivered.iter().filter(|output| !judged.contains(output)) {
        let problem = "is not judged: write `as_helped`, `as_not` or `neither`".to_owned();
        refuse(format!("deliverables.{output}"), problem);
    }
    if let Some(Err(refusal)) = conclusion.anchor.as_ref().map(anchor::check_form) {
        problems.push(refusal);
    }
    problems
}

/// `is too long` with its figures.
fn limited(problem: &str, bytes: usize, max_bytes: usize) -> String {
    if bytes > max_bytes {
        format!("has {bytes} bytes; at most {max_bytes} are taken")
    } else {
        problem.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::conclusion::Verdict;
    use windlass_shared::lever::Anchor;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).expect(text)
    }

    /// What is wrong with a good conclusion of two deliverables, changed so.
    fn check(change: impl FnOnce(&mut Conclusion), want: &[&str]) {
        let mut conclusion = Conclusion {
            finding: "the slope halves".to_owned(),
            bullets: vec!["one".to_owned(), "two".to_owned(), "three".to_owned()],
            deliverables: vec![(path("a.tsv"), Verdict::AsHelped), (path("b.tsv"), Verdict::Neither)],
            automatic: false,
            examined: "both curves".to_owned(),
            ceiling_near: None,
            anchor: None,
        };
        change(&mut conclusion);
        let found = problems(&conclusion, &BTreeSet::from([path("a.tsv"), path("b.tsv")]));
        let fields: Vec<String> = found
            .iter()
            .map(|problem| problem.to_string().split(':').next().unwrap_or("").to_owned())
            .collect();
        assert_eq!(fields, want, "{found:?}");
    }

    #[test]
    fn p23_a_conclusion_has_3_to_8_bullets_judges_every_deliverable_and_is_bounded() {
        check(|_| {}, &[]);
        check(|c| c.bullets.truncate(2), &["bullets"]);
        check(|c| c.bullets = vec!["one".to_owned(); 9], &["bullets"]);
        check(|c| c.bullets = vec!["one".to_owned(); 8], &[]);
        check(|c| c.bullets[1] = "x".repeat(1 << 20), &["bullets[1]"]);
        check(|c| c.bullets[2] = "  ".to_owned(), &["bullets[2]"]);
        check(|c| c.finding = "two\nlines".to_owned(), &["finding"]);
        check(|c| c.finding.clear(), &["finding"]);
        check(|c| c.examined = "x".repeat(1 << 20), &["examined"]);
        check(|c| c.deliverables.truncate(1), &["deliverables.b.tsv"]);
        check(|c| c.deliverables.push((path("c.tsv"), Verdict::AsNot)), &["deliverables.c.tsv"]);
        check(|c| c.deliverables.push((path("a.tsv"), Verdict::AsNot)), &["deliverables.a.tsv"]);
        let offered = |pattern: &str| {
            Some(Anchor { file: path("a.tsv"), pattern: pattern.to_owned(), compare: None, iteration: None })
        };
        check(|c| c.anchor = offered("slope"), &[]);
        check(|c| c.anchor = offered("("), &["anchor.pattern"]);
    }
}
