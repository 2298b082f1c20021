//! The evidence gate (P34): why a finding is not kept. Each reason is a sentence's end, so that a researcher can
//! hand the finding over again, repaired.

use super::corpus::Literature;
use crate::gate::editable::Editable;
use windlass_shared::id::FindingNumber;
use windlass_shared::literature::{Finding, Strength, Verdict, change_key, path, recipe_key};

impl Literature {
    /// Everything that speaks against a finding; nothing, where it is kept.
    pub(super) fn reasons_against(&self, finding: &Finding, editable: &Editable) -> Vec<String> {
        let mut reasons = Vec::new();
        if finding.verdict == Verdict::Reject {
            let why = finding.verdict_reason.as_deref().map(str::trim).filter(|why| !why.is_empty());
            reasons.push(why.map_or_else(
                || "its researcher rejects it".to_owned(),
                |why| format!("its researcher rejects it: {why}"),
            ));
        }
        for (index, citation) in finding.citations.iter().enumerate() {
            if citation.paper_id().is_none() {
                reasons.push(format!(
                    "citation {} has a title alone: give an arXiv id, a DOI or an address (P33)",
                    index + 1
                ));
            }
        }
        if finding.evidence.strength == Strength::Weak {
            reasons.push("its evidence is weak".to_owned());
        }
        let said = finding.applicability_to_our_setup.as_deref().unwrap_or_default();
        let wanted = "`applicability_to_our_setup` does not say that it transfers to the present data, model and \
                      budget";
        match contrary(said) {
            _ if words(said).is_empty() => reasons.push(wanted.to_owned()),
            Some(contrary) => reasons.push(format!("{wanted}: it says {contrary:?}")),
            None => {}
        }
        for file in &finding.files_to_edit {
            match path(file) {
                Ok(path) if editable.allows(&path) => {}
                Ok(path) => reasons.push(format!("{path} is not among editable_files")),
                Err(problem) => reasons.push(format!("{file:?} is no file of the workspace: {problem}")),
            }
        }
        reasons.extend(self.repeats(finding));
        reasons
    }

    /// Which failed change a finding repeats, unless it says why it differs now: by naming the finding that
    /// failed, or the iteration that tested it.
    pub(super) fn repeats(&self, finding: &Finding) -> Option<String> {
        let keys = [Some(change_key(finding)), recipe_key(finding)];
        let failed = keys.into_iter().flatten().find_map(|key| self.failed.get(&key))?;
        let said = [&finding.applicability_to_our_setup, &finding.verdict_reason];
        let names_it = said.into_iter().flatten().any(|text| {
            let plain = words(text);
            let number = failed.iteration.to_string();
            let by_iteration = plain.windows(2).any(|pair| pair[0] == "iteration" && pair[1] == number);
            by_iteration || plain.contains(&failed.finding.to_string().to_lowercase())
        });
        if names_it {
            return None;
        }
        let ended = self.ended(failed.finding);
        Some(format!(
            "iteration {} tested the same change for {} ({ended}): `verdict_reason` does not say why it differs \
             now, naming {} or iteration {}",
            failed.iteration, failed.finding, failed.finding, failed.iteration
        ))
    }

    /// How a finding ended that failed, in the word of its column.
    pub(super) fn ended(&self, finding: FindingNumber) -> &'static str {
        use super::corpus::Over;
        match self.over.get(&finding) {
            Some(Over::NoEffect) => "no-effect",
            Some(Over::Hurt) => "hurt",
            Some(Over::Stale) => "stale",
            Some(Over::Rejected) => "rejected",
            Some(Over::Helped) => "helped",
            Some(Over::Pending) => "pending",
            None if self.kept.get(&finding).is_some_and(|kept| kept.has_helped) => "helped",
            None => "pending",
        }
    }
}

/// Texts that by themselves say nothing of the present setup.
const SAY_NOTHING: [&str; 7] = ["n a", "na", "no", "none", "unknown", "unclear", "tbd"];
/// Words that say the contrary, wherever they stand; `t` is what is left of doesn't and won't.
const CONTRARY: [&str; 7] = [
    "not transfer",
    "t transfer",
    "not carry over",
    "t carry over",
    "not applicable",
    "inapplicable",
    "not transferable",
];

/// What of a text says that a finding does not transfer, if anything does (P34).
fn contrary(text: &str) -> Option<&'static str> {
    let plain = words(text).join(" ");
    let padded = format!(" {plain} ");
    let whole = SAY_NOTHING.into_iter().find(|says| plain == *says);
    whole.or_else(|| CONTRARY.into_iter().find(|says| padded.contains(&format!(" {says} "))))
}

/// A text's words, without case and punctuation.
fn words(text: &str) -> Vec<String> {
    let split = text.split(|c: char| !c.is_alphanumeric());
    split.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}
