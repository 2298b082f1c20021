//! Where a hunk fits: at the line that it states, else at the nearest one where every line matches.

use super::Hunk;
use crate::gate::text;

/// The most lines that are compared for one patch. One of distinct lines needs a few per hunk and
/// line of the file; only a file and a patch of one line repeated come near.
const COMPARISONS_MAX: u64 = 50_000_000;

/// The text with all hunks applied, in order; or the first hunk that fits nowhere after the one before.
/// `comparisons` counts over all files of the patch.
pub(super) fn weave<'a>(
    source: &[u8],
    hunks: &'a [Hunk],
    comparisons: &mut u64,
) -> Result<Vec<u8>, &'a Hunk> {
    let lines = text::lines(source);
    let mut search = Search { lines: &lines, comparisons };
    let mut woven = Vec::with_capacity(source.len());
    let (mut done, mut drift) = (0, 0_i64);
    for hunk in hunks {
        // A hunk without old lines states the line that it comes after.
        let stated = hunk.old_start.saturating_sub(u64::from(!hunk.old.is_empty()));
        let stated = i64::try_from(stated).map_err(|_| hunk)?;
        let at = search.nearest(hunk, stated.saturating_add(drift), done).ok_or(hunk)?;
        woven.extend(lines[done..at].iter().copied().flatten());
        woven.extend(hunk.new.iter().flatten());
        done = at + hunk.old.len();
        drift = at as i64 - stated;
    }
    woven.extend(lines[done..].iter().copied().flatten());
    Ok(woven)
}

struct Search<'a> {
    lines: &'a [&'a [u8]],
    comparisons: &'a mut u64,
}

impl Search<'_> {
    /// The place nearest to `wanted`, none before `first`; of two that are as near, the later one.
    fn nearest(&mut self, hunk: &Hunk, wanted: i64, first: usize) -> Option<usize> {
        let last = self.lines.len().checked_sub(hunk.old.len())?;
        if first > last {
            return None;
        }
        let wanted = usize::try_from(wanted).unwrap_or(0).clamp(first, last);
        let reach = (wanted - first).max(last - wanted);
        for distance in 0..=reach {
            let after = wanted.checked_add(distance).filter(|&at| at <= last);
            let before = wanted.checked_sub(distance).filter(|&at| at >= first && distance > 0);
            for at in [after, before].into_iter().flatten() {
                if self.fits(hunk, at) {
                    return Some(at);
                }
            }
            if *self.comparisons > COMPARISONS_MAX {
                return None;
            }
        }
        None
    }

    fn fits(&mut self, hunk: &Hunk, at: usize) -> bool {
        let end = at + hunk.old.len();
        let is_end = end == self.lines.len();
        // A last line without its newline stays the last one.
        let is_open = |line: Option<&[u8]>| line.is_some_and(|line| !line.ends_with(b"\n"));
        if is_open(hunk.new.last().map(Vec::as_slice)) && !is_end {
            return false;
        }
        if !hunk.new.is_empty() && at > 0 && is_open(self.lines.get(at - 1).copied()) {
            return false;
        }
        *self.comparisons += 1;
        let mut pairs = hunk.old.iter().zip(&self.lines[at..end]);
        pairs.all(|(wanted, found)| {
            *self.comparisons += 1;
            wanted == found
        })
    }
}
