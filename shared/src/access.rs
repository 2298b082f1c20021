//! Who may do what: the roles, how far a campaign is shared, and on whose behalf something is asked. Values
//! only; which call asks for what stands in the coordinator's one table.

use crate::id::WorkerId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest name of an identity, bytes: it stands in a certificate and in listings.
pub const NAME_MAX_BYTES: usize = 64;

/// What an identity is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Carries attempts out.
    Worker,
    /// Has campaigns of its own.
    Client,
    /// May do all.
    Admin,
}

impl Role {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Client => "client",
            Self::Admin => "admin",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Worker, Self::Client, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a text can name an identity: it is compared byte for byte, written into a certificate and shown.
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    (1..=NAME_MAX_BYTES).contains(&text.len()) && text.chars().all(fits)
}

/// How far a campaign is another client's too. Each holds those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// See everything of it.
    Read,
    /// Queue levers, send fixes and scripts, write conclusions.
    Propose,
    /// What its owner may, but for sharing it on.
    Control,
    /// All: its owner's, and nobody else's.
    #[serde(skip_deserializing)]
    Own,
}

impl Grant {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Propose => "propose",
            Self::Control => "control",
            Self::Own => "own",
        }
    }

    /// Reads a word that a campaign can be shared by.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Propose, Self::Control].into_iter().find(|share| share.as_str() == text)
    }
}

/// How far a campaign is one client's too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// The client's name.
    pub with: String,
    /// How far; not at all any more without one.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "as")]
    pub share: Option<Grant>,
}

/// On whose behalf something is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// An administrator: the owner of the socket or of the data folder's token, or one by certificate.
    Admin,
    /// The client of this name.
    Client(String),
    /// The worker of this id and name.
    Worker(WorkerId, String),
}

impl Viewer {
    /// The name under which it owns what it creates; an administrator's campaigns have no other owner.
    pub fn owner(&self) -> Option<String> {
        match self {
            Self::Client(name) => Some(name.clone()),
            Self::Admin | Self::Worker(..) => None,
        }
    }
}

/// A viewer, and how much of a campaign it needs for what it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who.
    pub viewer: Viewer,
    /// How much.
    pub need: Grant,
}

impl Access {
    /// An administrator's: nothing is hidden from it.
    pub const ADMIN: Self = Self { viewer: Viewer::Admin, need: Grant::Own };
}

/// A certificate as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateView {
    /// Its serial number, hex.
    pub serial: String,
    /// For what.
    pub role: Role,
    /// For whom.
    pub name: String,
    /// For which worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// `valid`, `expired` or `revoked`.
    pub state: String,
    /// When it was made, wall time.
    pub issued_wall_ms: i64,
    /// When it ends, wall time.
    pub expires_wall_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_has_nothing_to_escape() {
        for good in ["gpu-1", "ada", "ada@lab", "a.b_c"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a b", "a/b", "ada\n", "ädä", "a\u{202e}b", &"x".repeat(NAME_MAX_BYTES + 1)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn nobody_is_given_the_owners_part_by_a_share() {
        assert_eq!(Grant::parse("own"), None);
        assert!(serde_json::from_str::<Grant>("\"own\"").is_err());
        assert_eq!(serde_json::from_str::<Grant>("\"propose\"").ok(), Some(Grant::Propose));
        assert!(
            Grant::Read < Grant::Propose && Grant::Propose < Grant::Control && Grant::Control < Grant::Own
        );
    }
}
