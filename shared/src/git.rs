//! Where a campaign of `iter_strategy: branches` begins: HEAD of the user's repository when it was submitted. All
//! that the ids of its commits rest on is here and in the ledger, so that any copy makes the same ones.

use crate::digest::Digest;
use crate::path::TreePath;
use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// Bytes of a listing: as much as 500,000 files take.
pub const LISTING_MAX_BYTES: u64 = 64 << 20;

/// The root of a campaign's commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitRoot {
    /// The commit that HEAD named: 40 hexadecimal digits, or 64 in a repository of SHA-256.
    pub head: String,
    /// The workspace's folder in the repository, without a slash at its end; empty for the whole of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// What stands in that commit, as `git ls-tree -r -z --full-tree` lists it.
    pub listing: Digest,
}

impl GitRoot {
    /// Refuses what names no commit, no folder, or a listing past [`LISTING_MAX_BYTES`].
    pub fn check(&self) -> Result<(), Refusal> {
        let refuse = |problem: String| Err(Refusal::Malformed { field: "git", problem });
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !matches!(self.head.len(), 40 | 64) || !self.head.bytes().all(is_hex) {
            return refuse("its head names no commit".to_owned());
        }
        if let Some(problem) = Some(&self.prefix).filter(|it| !it.is_empty()).map(|it| TreePath::parse(it))
            && let Err(problem) = problem
        {
            return refuse(format!("its prefix is no folder: {problem}"));
        }
        if self.listing.size_bytes > LISTING_MAX_BYTES {
            let (figure, limit) = (self.listing.size_bytes, LISTING_MAX_BYTES);
            return Err(Refusal::TooMuch { what: "the listing of HEAD".to_owned(), figure, limit });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_names_a_commit_a_folder_and_a_listing_of_bounded_size() {
        let good = GitRoot {
            head: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            prefix: "experiments/one".to_owned(),
            listing: Digest::of(b"listing"),
        };
        assert_eq!(good.check(), Ok(()));
        assert_eq!(GitRoot { head: "a".repeat(64), ..good.clone() }.check(), Ok(()));
        assert_eq!(GitRoot { prefix: String::new(), ..good.clone() }.check(), Ok(()));
        let check = |root: GitRoot| assert!(root.check().is_err(), "{root:?}");
        check(GitRoot { head: "HEAD".to_owned(), ..good.clone() });
        check(GitRoot { head: "G".repeat(40), ..good.clone() });
        check(GitRoot { head: "a".repeat(41), ..good.clone() });
        check(GitRoot { prefix: "../out".to_owned(), ..good.clone() });
        check(GitRoot { prefix: "/abs".to_owned(), ..good.clone() });
        let listing = Digest { size_bytes: LISTING_MAX_BYTES + 1, ..good.listing };
        check(GitRoot { listing, ..good });
    }
}
