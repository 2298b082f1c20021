//! A review of the literature (P33): refused with every place that is wrong, or read; what is read is written back
//! the same, and says by itself who its papers are and what it asks for.

use windlass_shared::literature::{FINDINGS_MAX, change_key, read, recipe_key};
use windlass_shared::refusal::Refusal;

/// The input is the file.
pub(crate) fn check(data: &[u8]) {
    let review = match read(data) {
        Ok(review) => review,
        Err(faults) => {
            assert!(!faults.is_empty(), "a review is refused for a reason");
            for fault in faults {
                let is_in_finding = fault.pointer.starts_with("/findings/");
                assert_eq!(fault.finding.is_some(), is_in_finding, "{fault:?}");
                let said = Refusal::from(fault).to_string();
                assert!(said.contains(": "), "{said}");
            }
            return;
        }
    };
    assert!(review.iteration > 0 && review.findings.len() <= FINDINGS_MAX);
    let text = serde_json::to_vec(&review).expect("representable");
    let back = read(&text).expect("what was read is of the shape");
    let again = serde_json::to_vec(&back).expect("representable");
    assert_eq!(text, again, "a way through the ledger changes nothing");
    for (finding, same) in review.findings.iter().zip(&back.findings) {
        assert_eq!(change_key(finding), change_key(same));
        assert_eq!(recipe_key(finding), recipe_key(same));
        if let Some((_, id)) = finding.paper() {
            assert!(!id.is_empty() && !id.contains(char::is_whitespace), "{id:?}");
        }
        assert!(!finding.title().trim().is_empty(), "a citation has a title");
    }
}
