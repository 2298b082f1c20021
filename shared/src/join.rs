//! The token by which a machine joins a fleet: where the coordinator is, how its CA is known, and a secret
//! that works once. One line of text, however it was pasted.

use crate::access::Role;
use crate::digest::Hash;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name in the coordinator's own certificate, wherever it is reached: what proves it is the CA that its token
/// named, so that an address may change, be forwarded, or be a bare number.
pub const COORDINATOR: &str = "coordinator.windlass.internal";

/// How every token begins.
const PREFIX: &str = "windlass-join-";
/// Bytes of the check at its end: enough to tell a cut token from a whole one.
const CHECK_BYTES: usize = 4;
/// The longest text that is looked at, bytes: ten times a long token.
const TEXT_MAX_BYTES: usize = 4096;

/// What a token says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// What it lets its holder become.
    #[serde(rename = "r")]
    pub role: Role,
    /// Under which name; its holder chooses one without.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `HOST:PORT` of the coordinator.
    #[serde(rename = "a")]
    pub address: String,
    /// BLAKE3 of the CA's certificate.
    #[serde(rename = "f")]
    pub fingerprint: Hash,
    /// 244 random bits in hex.
    #[serde(rename = "s")]
    pub secret: String,
}

/// A text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It begins otherwise.
    #[error("this is no join token: one begins with {PREFIX}")]
    Foreign,
    /// Its check does not fit.
    #[error("the join token is cut or altered; paste it whole")]
    Damaged,
}

impl JoinToken {
    /// Reads a token; white space anywhere in it is a terminal's or a mail's and not its own.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() > TEXT_MAX_BYTES {
            return Err(TokenError::Foreign);
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let coded = text.strip_prefix(PREFIX).ok_or(TokenError::Foreign)?;
        let bytes = URL_SAFE_NO_PAD.decode(coded).map_err(|_| TokenError::Damaged)?;
        let (body, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(TokenError::Damaged)?;
        if *check != checksum(body) {
            return Err(TokenError::Damaged);
        }
        serde_json::from_slice(body).map_err(|_| TokenError::Damaged)
    }
}

fn checksum(body: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = blake3::hash(body);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hash.as_bytes()[..CHECK_BYTES]);
    check
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        bytes.extend(checksum(&bytes));
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({} {:?} at {})", self.role, self.name, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            role: Role::Worker,
            name: Some("gpu-1".to_owned()),
            address: "head.example:7070".to_owned(),
            fingerprint: Hash::of(b"a certificate"),
            secret: "0123456789abcdef".repeat(4),
        }
    }

    #[test]
    fn a_token_is_read_however_it_was_pasted() {
        let text = token().to_string();
        let (head, tail) = text.split_at(60);
        for pasted in [text.clone(), format!("  {head}\n    {tail}\r\n"), format!("{head} {tail}")] {
            assert_eq!(JoinToken::parse(&pasted), Ok(token()), "{pasted:?}");
        }
        assert!(!format!("{:?}", token()).contains("0123456789"), "a secret is not shown");
    }

    #[test]
    fn a_cut_or_altered_token_is_told_from_no_token() {
        let text = token().to_string();
        let altered = text.replacen('e', "f", 1);
        for (pasted, want) in [
            (&text[..text.len() - 1], TokenError::Damaged),
            (&text[..40], TokenError::Damaged),
            (PREFIX, TokenError::Damaged),
            ("windlass-join-%%%", TokenError::Damaged),
            ("", TokenError::Foreign),
            ("hello", TokenError::Foreign),
            (&"x".repeat(TEXT_MAX_BYTES + 1), TokenError::Foreign),
        ] {
            assert_eq!(JoinToken::parse(pasted), Err(want), "{pasted:?}");
        }
        assert!(JoinToken::parse(&altered).is_err());
    }
}
