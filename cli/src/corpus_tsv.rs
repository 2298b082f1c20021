//! `corpus.tsv` (P35): one row per finding, kept or rejected. The only place that renders one.

use crate::history::Findings;
use crate::results_tsv::line;
use windlass_shared::id::FindingNumber;

/// What stands for the identifier of a paper that cannot be looked up.
const NO_PAPER: &str = "none";

/// The columns.
const COLUMNS: [&str; 9] =
    ["iter", "level", "paper_id", "title", "scope", "relevance", "verdict", "implemented", "result"];

/// The whole file, header first, in the order in which the findings came.
pub fn render(findings: &Findings) -> String {
    let rows = findings.values().map(|finding| {
        let document = &finding.document;
        line(&[
            &*finding.review.to_string(),
            &document.abstraction_level.to_string(),
            document.paper().map_or(NO_PAPER, |(_, id)| id),
            document.title(),
            finding.scope.as_str(),
            document.evidence.strength.relevance().as_str(),
            finding.verdict.as_str(),
            if finding.is_implemented() { "y" } else { "n" },
            finding.result.as_str(),
        ])
    });
    std::iter::once(line(&COLUMNS)).chain(rows).collect()
}

/// What a row of `results.tsv` says of its lever's basis: `F3 A Closer Look (1810.13243)`.
pub fn basis(findings: &Findings, literature: Option<&str>) -> String {
    let number = literature.and_then(FindingNumber::parse);
    let Some((number, finding)) = number.and_then(|number| Some((number, findings.get(&number)?))) else {
        return literature.unwrap_or(NO_PAPER).to_owned();
    };
    let id = finding.document.paper().map_or(String::new(), |(_, id)| format!(" ({id})"));
    format!("{number} {}{id}", finding.document.title())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{finding_added, test_finding};
    use windlass_shared::id::IterationNumber;
    use windlass_shared::literature::Effect;
    use windlass_shared::record::Body;

    #[test]
    fn p35_a_row_for_each_finding_kept_or_rejected() {
        let mut findings = Findings::new();
        assert_eq!(
            render(&findings),
            "iter\tlevel\tpaper_id\ttitle\tscope\trelevance\tverdict\timplemented\tresult\n",
            "the header is there at submit"
        );
        let mut rejected = test_finding("a, title\twith a tab", "weak");
        rejected["citations"] = serde_json::json!([{"title": "a, title\twith a tab"}]);
        for record in [
            finding_added(1, test_finding("A Closer Look", "strong"), "agnostic", &[]),
            finding_added(2, rejected, "vit", &["its evidence is weak"]),
        ] {
            crate::history::add_finding(&mut findings, &record);
        }
        let want = "2\t2\t1810.13243\tA Closer Look\tagnostic\thigh\tkeep\tn\tpending\n\
                    2\t2\tnone\ta; title with a tab\tvit\tlow\treject\tn\tpending\n";
        assert_eq!(render(&findings).split_once('\n').expect("a header").1, want);
        for (result, iteration, want) in
            [(Effect::NoEffect, Some(IterationNumber(4)), "y\tno-effect"), (Effect::Stale, None, "n\tstale")]
        {
            let mut record = finding_added(1, test_finding("A Closer Look", "strong"), "agnostic", &[]);
            record.body =
                Body::FindingMarked { finding: FindingNumber(1), result, iteration, why: "so".to_owned() };
            crate::history::add_finding(&mut findings, &record);
            let text = render(&findings);
            assert!(text.lines().nth(1).expect("a row").ends_with(want), "{text}");
        }
        assert_eq!(basis(&findings, Some("F1")), "F1 A Closer Look (1810.13243)");
        assert_eq!(basis(&findings, Some("none")), "none");
        assert_eq!(basis(&findings, Some("F9")), "F9");
    }
}
