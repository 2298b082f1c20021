//! When two findings ask for the same (P34): by the words of their change and the files of it, or by their
//! paper and its recipe. What a reader would call a paraphrase is not found; what differs in case, blanks and
//! punctuation is.

use super::Finding;
use crate::digest::Hash;
use serde_json::Value;
use std::collections::BTreeSet;

/// The proposed change in its plain words, with the files that it touches.
pub fn change_key(finding: &Finding) -> Hash {
    let files: BTreeSet<String> = finding.files().map(|file| file.to_string()).collect();
    let files = files.into_iter().collect::<Vec<_>>().join("\n");
    Hash::of(format!("change\0{}\0{files}", plain_words(&finding.proposed_change)).as_bytes())
}

/// Its paper with its recipe; none where one of them is missing.
pub fn recipe_key(finding: &Finding) -> Option<Hash> {
    let (_, paper) = finding.paper()?;
    let recipe = finding.recipe.as_ref().filter(|recipe| !recipe.is_empty())?;
    let mut lines = Vec::new();
    settings(&Value::Object(recipe.clone()), "", &mut lines);
    lines.sort();
    Some(Hash::of(format!("recipe\0{}\0{}", plain_paper(paper), lines.join("\n")).as_bytes()))
}

/// Letters, digits and the signs of numbers; everything else parts words.
fn plain_words(text: &str) -> String {
    let lower: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let digit_at = |at: Option<usize>| at.and_then(|at| lower.get(at)).is_some_and(char::is_ascii_digit);
    let mut plain = String::new();
    for (at, c) in lower.iter().enumerate() {
        let is_kept = match c {
            '.' => digit_at(at.checked_sub(1)) && digit_at(Some(at + 1)),
            '-' | '+' => digit_at(Some(at + 1)),
            c => c.is_alphanumeric(),
        };
        plain.push(if is_kept { *c } else { ' ' });
    }
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An identifier without what only says where it is looked up, and without an arXiv version.
fn plain_paper(id: &str) -> String {
    let mut id = id.trim().to_lowercase();
    let prefixes = [
        "https://",
        "http://",
        "www.",
        "dx.",
        "arxiv.org/abs/",
        "arxiv.org/pdf/",
        "doi.org/",
        "arxiv:",
        "doi:",
    ];
    for prefix in prefixes {
        id = id.strip_prefix(prefix).map(str::to_owned).unwrap_or(id);
    }
    let is_arxiv = |id: &str| {
        id.split_once('.').is_some_and(|(month, number)| {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            month.len() == 4 && digits(month) && digits(number)
        })
    };
    match id.rsplit_once('v') {
        Some((plain, version)) if is_arxiv(plain) && version.bytes().all(|byte| byte.is_ascii_digit()) => {
            plain.to_owned()
        }
        _ => id,
    }
}

/// Every value of a recipe as one line under its place. The form check has bounded how deep it goes.
fn settings(value: &Value, place: &str, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                settings(value, &format!("{place}/{}", plain_words(key)), lines);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                settings(value, &format!("{place}/{at}"), lines);
            }
        }
        Value::String(text) => lines.push(format!("{place} {}", plain_words(text))),
        Value::Null => {}
        other => lines.push(format!("{place} {}", plain_words(&other.to_string()))),
    }
}
