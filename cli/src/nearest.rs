//! The nearest known name to a mistyped one, by edit distance.

/// The key that is fewest edits away, if it is near enough to be meant; keys are in snake case.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_to(&typed.to_lowercase().replace('-', "_"), known)
}

/// The same for names of a user's own: campaigns, workers, files.
pub fn nearest_name<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_to(typed, known)
}

fn nearest_to<'a>(folded: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (folded.chars().count().max(3)).div_ceil(3);
    known
        .into_iter()
        .map(|name| (distance(folded, name), name))
        .filter(|(edits, name)| *edits <= limit || name.starts_with(folded) || folded.starts_with(name))
        .min()
        .map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(100).collect(), b.chars().take(100).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// The number of an iteration as a person writes it.
pub fn iteration(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "an iteration is named by its number, like 7".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_finds_the_one_that_was_meant() {
        let known = ["metric", "metric_direction", "editable_files", "budget", "gate"];
        for (typed, want) in [
            ("metrc", Some("metric")),
            ("editable-files", Some("editable_files")),
            ("editible_file", Some("editable_files")),
            ("bugdet", Some("budget")),
            ("Gate", Some("gate")),
            ("zzzzzz", None),
        ] {
            assert_eq!(nearest(typed, known), want, "{typed}");
        }
    }
}
