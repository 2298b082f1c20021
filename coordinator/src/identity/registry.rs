//! The list of tokens and certificates: a document beside the ledger, written whole and synced before anything
//! that rests on it is answered. Time and serial numbers are arguments.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::access::{CertificateView, Role};
use windlass_shared::digest::Hash;
use windlass_shared::id::WorkerId;
use windlass_shared::refusal::Refusal;

/// Tokens that are not over, at most: whoever sets a thousand machines up makes them as they go.
pub(super) const TOKENS_MAX: usize = 1_000;
/// Holders that are known, at most: about 2 KiB each, written anew at each change.
pub(super) const HOLDERS_MAX: usize = 2_000;
/// Certificates of one holder that are remembered, the newest: with renewals every 16 h a stream can be five days
/// old before its connection's certificate is forgotten, and it begins anew.
const KEPT_EACH_MAX: usize = 8;
/// A token that is over is remembered for so long, so that it can be said what became of it, milliseconds.
const TOKEN_MEMORY_MS: i64 = 24 * 3_600_000;

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// What it may be.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// A worker's id: whoever has the certificate speaks for this one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
}

/// A token, by the hash of its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Token {
    pub role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub expires_ms: i64,
    /// By which key, for whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<(Hash, Holder)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Certificate {
    holder: Holder,
    issued_ms: i64,
    expires_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_ms: Option<i64>,
}

/// All tokens and certificates.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Registry {
    tokens: BTreeMap<String, Token>,
    /// By serial number, hex.
    certificates: BTreeMap<String, Certificate>,
}

/// Why a certificate that the CA signed does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Void {
    /// It is in no list.
    Unknown,
    /// It was ended.
    Revoked,
}

/// A length of time as people say it, from milliseconds.
pub(super) fn minutes(ms: i64) -> String {
    match ms / 60_000 {
        0 => "less than a minute".to_owned(),
        minutes => format!("{minutes} min"),
    }
}

impl Registry {
    /// Takes a token in.
    pub fn add_token(&mut self, secret: &str, token: Token, now_ms: i64) -> Result<(), Refusal> {
        self.tokens.retain(|_, token| token.expires_ms + TOKEN_MEMORY_MS > now_ms);
        let open = self.tokens.values().filter(|token| token.used.is_none() && token.expires_ms > now_ms);
        bound("the number of open join tokens", open.count() + 1, TOKENS_MAX)?;
        // Those that are over make room.
        while self.tokens.len() >= 2 * TOKENS_MAX {
            let oldest = self.tokens.iter().min_by_key(|(_, token)| token.expires_ms);
            let Some(oldest) = oldest.map(|(hash, _)| hash.clone()) else { break };
            self.tokens.remove(&oldest);
        }
        self.tokens.insert(hash(secret), token);
        Ok(())
    }

    /// Uses a token, or says why it cannot be. The same key may use it again while it lives: an answer can be
    /// lost.
    pub fn redeem(&mut self, secret: &str, key: Hash, holder: &Holder, now_ms: i64) -> Result<(), Refusal> {
        self.look_at(secret, Some(key), holder, now_ms)?;
        if let Some(token) = self.tokens.get_mut(&hash(secret)) {
            token.used = Some((key, holder.clone()));
        }
        Ok(())
    }

    /// Whether a token would let somebody in, with this key or with one that was not looked at yet: whoever has none
    /// costs a look-up and nothing more.
    pub fn look_at(
        &self,
        secret: &str,
        key: Option<Hash>,
        holder: &Holder,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        let refuse = |problem: String| Err(Refusal::Token { problem });
        let Some(token) = self.tokens.get(&hash(secret)) else {
            return refuse(
                "is none of this coordinator's: another one made it, or it expired long ago".to_owned(),
            );
        };
        let is_another = |(used_key, used_by): &(Hash, Holder)| {
            used_by != holder || key.is_some_and(|key| key != *used_key)
        };
        if token.used.as_ref().is_some_and(is_another) {
            return refuse("was used before; each lets one machine in, once".to_owned());
        }
        if token.expires_ms <= now_ms {
            let since = minutes(now_ms - token.expires_ms);
            return refuse(format!("expired {since} ago by the coordinator's clock"));
        }
        if token.role != holder.role {
            return refuse(format!("is for the role {} and not for {}", token.role, holder.role));
        }
        match &token.name {
            Some(name) if *name != holder.name => {
                return refuse(format!("is for the name {name} and not for {}", holder.name));
            }
            None if token.used.is_none() && self.is_taken(holder) => {
                return refuse(format!(
                    "names nobody, and {} {} is known here already: choose another name, or use a token made with --name {}",
                    holder.role, holder.name, holder.name
                ));
            }
            _ => {}
        }
        if let Some(id) = &holder.worker
            && self
                .certificates
                .values()
                .any(|it| it.holder.worker.as_ref() == Some(id) && it.holder.name != holder.name)
        {
            return refuse(format!(
                "is for {} and the work folder is another worker's; use a fresh --work-dir",
                holder.name
            ));
        }
        Ok(())
    }

    /// Whether a name, or a worker's id, is somebody's.
    fn is_taken(&self, holder: &Holder) -> bool {
        self.certificates.values().any(|it| {
            (it.holder.role == holder.role && it.holder.name == holder.name)
                || (holder.worker.is_some() && it.holder.worker == holder.worker)
        })
    }

    /// Notes a certificate that is about to be given out. Its holder's oldest is forgotten, the last never: a name
    /// stays taken.
    pub fn add_certificate(
        &mut self,
        serial: &str,
        holder: Holder,
        (issued_ms, expires_ms): (i64, i64),
    ) -> Result<(), Refusal> {
        let own = || self.certificates.iter().filter(|(_, it)| it.holder == holder);
        if own().count() >= KEPT_EACH_MAX {
            let oldest = own().min_by_key(|(_, it)| it.issued_ms).map(|(serial, _)| serial.clone());
            oldest.and_then(|serial| self.certificates.remove(&serial));
        }
        if self.count_with(&holder) > HOLDERS_MAX {
            self.forget_a_worker(&holder, issued_ms);
        }
        bound("the number of known machines and people", self.count_with(&holder), HOLDERS_MAX)?;
        let made = Certificate { holder, issued_ms, expires_ms, revoked_ms: None };
        self.certificates.insert(serial.to_owned(), made);
        Ok(())
    }

    /// How many are known, with this one.
    fn count_with(&self, holder: &Holder) -> usize {
        let known = self.certificates.values().map(|it| &it.holder);
        known.chain([holder]).collect::<BTreeSet<_>>().len()
    }

    /// Makes room by the worker that is longest over: machines come and go, and own nothing that another of their
    /// name could take. A person's name stays taken, since campaigns are a name's.
    fn forget_a_worker(&mut self, but: &Holder, now_ms: i64) {
        let mut last: BTreeMap<&Holder, i64> = BTreeMap::new();
        for it in self.certificates.values().filter(|it| it.holder.role == Role::Worker) {
            let over_ms = it.revoked_ms.unwrap_or(it.expires_ms).min(it.expires_ms);
            let known = last.entry(&it.holder).or_insert(over_ms);
            *known = over_ms.max(*known);
        }
        let over = last.into_iter().filter(|(holder, over_ms)| *holder != but && *over_ms <= now_ms);
        if let Some(oldest) = over.min_by_key(|(_, over_ms)| *over_ms).map(|(holder, _)| holder.clone()) {
            self.certificates.retain(|_, it| it.holder != oldest);
        }
    }

    /// Ends the certificates of a machine whose name another machine has now: it was set up anew. How many counted.
    pub fn end_namesakes(&mut self, holder: &Holder, now_ms: i64) -> usize {
        let is_namesake =
            |it: &Holder| it.role == holder.role && it.name == holder.name && it.worker != holder.worker;
        let namesakes =
            self.certificates.values_mut().filter(|it| is_namesake(&it.holder) && it.is_valid(now_ms));
        namesakes.map(|it| it.revoked_ms = Some(now_ms)).count()
    }

    /// Whose certificate this is, if it counts. Its time is the caller's to judge.
    pub fn holder(&self, serial: &str) -> Result<&Holder, Void> {
        let found = self.certificates.get(serial).ok_or(Void::Unknown)?;
        if found.revoked_ms.is_some() { Err(Void::Revoked) } else { Ok(&found.holder) }
    }

    /// Whether a holder has any certificate that counts at this moment.
    pub fn has_valid(&self, holder: &Holder, now_ms: i64) -> bool {
        self.certificates.values().any(|it| it.holder == *holder && it.is_valid(now_ms))
    }

    /// Ends what is named: a serial number or its unique prefix, `ROLE/NAME`, or a name. Those that counted until
    /// now.
    pub fn revoke(&mut self, which: &str, now_ms: i64) -> Result<Vec<CertificateView>, Refusal> {
        let fits = |serial: &str, holder: &Holder| {
            serial == which || holder.name == which || format!("{}/{}", holder.role, holder.name) == which
        };
        let mut found: Vec<String> = self
            .certificates
            .iter()
            .filter(|(serial, it)| fits(serial, &it.holder))
            .map(|(serial, _)| serial.clone())
            .collect();
        if found.is_empty() && !which.is_empty() {
            found = self.certificates.keys().filter(|serial| serial.starts_with(which)).cloned().collect();
            if found.len() > 1 {
                let candidates = found.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
                return Err(Refusal::Ambiguous { what: "certificate", prefix: which.to_owned(), candidates });
            }
        }
        if found.is_empty() {
            return Err(Refusal::NotFound { what: "certificate", name: which.to_owned() });
        }
        let mut ended = Vec::new();
        for serial in found {
            let Some(it) = self.certificates.get_mut(&serial) else { continue };
            if it.is_valid(now_ms) {
                it.revoked_ms = Some(now_ms);
                ended.push(view(&serial, it, now_ms));
            }
        }
        Ok(ended)
    }

    /// All certificates that are remembered, by role and name, the newest first.
    pub fn views(&self, now_ms: i64) -> Vec<CertificateView> {
        let mut views: Vec<CertificateView> =
            self.certificates.iter().map(|(serial, it)| view(serial, it, now_ms)).collect();
        views.sort_by(|a, b| (a.role, &a.name, b.issued_wall_ms).cmp(&(b.role, &b.name, a.issued_wall_ms)));
        views
    }
}

impl Certificate {
    fn is_valid(&self, now_ms: i64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms > now_ms
    }
}

fn view(serial: &str, it: &Certificate, now_ms: i64) -> CertificateView {
    let state = match it.revoked_ms {
        Some(_) => "revoked",
        None if it.expires_ms <= now_ms => "expired",
        None => "valid",
    };
    CertificateView {
        serial: serial.to_owned(),
        role: it.holder.role,
        name: it.holder.name.clone(),
        worker: it.holder.worker.clone(),
        state: state.to_owned(),
        issued_wall_ms: it.issued_ms,
        expires_wall_ms: it.expires_ms,
    }
}

fn bound(what: &str, figure: usize, limit: usize) -> Result<(), Refusal> {
    if figure <= limit {
        return Ok(());
    }
    Err(Refusal::TooMuch { what: what.to_owned(), figure: figure as u64, limit: limit as u64 })
}

/// Secrets are kept as their hashes: whoever reads the list joins nowhere.
fn hash(secret: &str) -> String {
    Hash::of(secret.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn holder(name: &str, worker: Option<&str>) -> Holder {
        let role = if worker.is_some() { Role::Worker } else { Role::Client };
        Holder { role, name: name.to_owned(), worker: worker.map(WorkerId::from) }
    }

    fn with_token(role: Role, name: Option<&str>) -> Registry {
        let mut registry = Registry::default();
        let token = Token { role, name: name.map(str::to_owned), expires_ms: 15 * MINUTE, used: None };
        registry.add_token("secret", token, 0).expect("room");
        registry
    }

    #[test]
    fn a_token_lets_one_key_in_once_for_its_role_and_name_while_it_lives() {
        let (one, other) = (Hash::of(b"one"), Hash::of(b"other"));
        let ada = holder("ada", None);
        let check = |name: Option<&str>, secret: &str, who: &Holder, now_ms: i64, want: Option<&str>| {
            let mut registry = with_token(Role::Client, name);
            let refused = registry.redeem(secret, one, who, now_ms).err().map(|refusal| refusal.to_string());
            match want {
                None => assert_eq!(refused, None),
                Some(part) => {
                    assert!(refused.as_ref().is_some_and(|told| told.contains(part)), "{refused:?}")
                }
            }
        };
        check(Some("ada"), "secret", &ada, MINUTE, None);
        check(None, "secret", &ada, MINUTE, None);
        check(Some("ada"), "another", &ada, MINUTE, Some("none of this coordinator's"));
        check(Some("ada"), "secret", &ada, 15 * MINUTE, Some("expired"));
        check(Some("ada"), "secret", &holder("eve", None), MINUTE, Some("for the name ada"));
        check(Some("ada"), "secret", &holder("ada", Some("w-1")), MINUTE, Some("for the role client"));
        let mut registry = with_token(Role::Client, Some("ada"));
        registry.redeem("secret", one, &ada, 0).expect("first");
        registry.redeem("secret", one, &ada, MINUTE).expect("the answer was lost; it asks again");
        let refused = registry.redeem("secret", other, &ada, MINUTE).expect_err("another key");
        assert!(refused.to_string().contains("used before"), "{refused}");
        let text = serde_json::to_string(&registry).expect("JSON");
        assert!(!text.contains("\"secret\""), "the secret itself is nowhere: {text}");
    }

    #[test]
    fn who_is_known_is_taken_by_a_token_of_that_name_alone() {
        let one = Hash::of(b"one");
        for (known, asks, named, want) in [
            (holder("ada", None), holder("ada", None), None, false),
            (holder("ada", None), holder("bob", None), None, true),
            (holder("ada", None), holder("ada", None), Some("ada"), true),
            (holder("gpu", Some("w-1")), holder("gpu", Some("w-2")), None, false),
            (holder("gpu", Some("w-1")), holder("eve", Some("w-1")), None, false),
            (holder("gpu", Some("w-1")), holder("eve", Some("w-1")), Some("eve"), false),
            (holder("gpu", Some("w-1")), holder("gpu", Some("w-2")), Some("gpu"), true),
        ] {
            let mut registry = with_token(asks.role, named);
            // Long over, and taken all the same.
            registry.add_certificate("aa", known.clone(), (-9 * MINUTE, -MINUTE)).expect("room");
            let taken = registry.redeem("secret", one, &asks, MINUTE);
            assert_eq!(taken.is_ok(), want, "{known:?} {asks:?} {named:?} {taken:?}");
        }
    }

    #[test]
    fn a_machine_that_was_set_up_anew_ends_the_certificates_of_the_one_before() {
        let (before, now) = (holder("gpu", Some("w-1")), holder("gpu", Some("w-2")));
        let mut registry = with_token(Role::Worker, Some("gpu"));
        let others =
            [("aa", before.clone()), ("bb", holder("gpu-2", Some("w-3"))), ("cc", holder("gpu", None))];
        for (serial, holder) in &others {
            registry.add_certificate(serial, holder.clone(), (0, 24 * MINUTE)).expect("room");
        }
        registry.redeem("secret", Hash::of(b"key"), &now, MINUTE).expect("a token of its name");
        assert_eq!(registry.end_namesakes(&now, MINUTE), 1);
        registry.add_certificate("dd", now.clone(), (MINUTE, 25 * MINUTE)).expect("room");
        assert_eq!(registry.holder("aa"), Err(Void::Revoked));
        for (serial, holder) in others.iter().skip(1).chain([&("dd", now.clone())]) {
            assert_eq!(registry.holder(serial), Ok(holder), "nobody else's");
        }
        assert_eq!(registry.end_namesakes(&now, 2 * MINUTE), 0, "its own counts on");
    }

    #[test]
    fn what_is_revoked_counts_no_more_and_what_was_followed_is_forgotten() {
        let mut registry = Registry::default();
        let ada = holder("ada", None);
        registry.add_certificate("aa01", ada.clone(), (0, 24)).expect("room");
        registry.add_certificate("aa02", ada.clone(), (16, 40)).expect("room");
        registry.add_certificate("bb01", holder("bob", None), (0, 24)).expect("room");
        assert_eq!(registry.holder("aa01"), Ok(&ada));
        assert!(matches!(registry.revoke("aa", 17), Err(Refusal::Ambiguous { .. })));
        assert!(matches!(registry.revoke("", 17), Err(Refusal::NotFound { .. })));
        assert!(matches!(registry.revoke("cc", 17), Err(Refusal::NotFound { .. })));
        assert_eq!(registry.revoke("client/ada", 17).expect("known").len(), 2);
        assert_eq!(registry.revoke("ada", 17).expect("known").len(), 0, "twice is once");
        assert_eq!(
            (registry.holder("aa02"), registry.holder("zz")),
            (Err(Void::Revoked), Err(Void::Unknown))
        );
        assert!(!registry.has_valid(&ada, 17) && registry.has_valid(&holder("bob", None), 17));
        registry.add_certificate("aa03", ada.clone(), (50, 74)).expect("a token let it in again");
        assert_eq!(registry.holder("aa03"), Ok(&ada));
        assert_eq!(registry.holder("aa02"), Err(Void::Revoked), "what is ended stays so");
        assert_eq!(registry.views(50).len(), 4);
    }

    #[test]
    fn tokens_and_certificates_are_bounded_and_said_so_with_figure_and_limit() {
        let mut registry = Registry::default();
        let token = Token { role: Role::Client, name: None, expires_ms: MINUTE, used: None };
        for n in 0..TOKENS_MAX {
            registry.add_token(&n.to_string(), token.clone(), 0).expect("room");
        }
        let refused = registry.add_token("one more", token.clone(), 0).expect_err("full");
        assert_eq!(refused.to_string(), "the number of open join tokens is 1001; at most 1000 is taken");
        let later = Token { expires_ms: 3 * MINUTE, ..token };
        registry.add_token("later", later, 2 * MINUTE).expect("the others are over");
        let ada = holder("ada", None);
        for n in 0..100 {
            registry.add_certificate(&n.to_string(), ada.clone(), (n, n + 1000)).expect("room");
        }
        assert_eq!(registry.views(100).len(), KEPT_EACH_MAX);
    }
    #[test]
    fn a_machine_that_is_over_makes_room_and_a_person_never_does() {
        let mut registry = Registry::default();
        // Ada's is over for longer than any worker's.
        registry.add_certificate("ada", holder("ada", None), (0, 1)).expect("room");
        let worker = |n: usize| holder(&format!("gpu-{n}"), Some(&format!("w-{n}")));
        for n in 1..HOLDERS_MAX {
            let until_ms = 10 + i64::try_from(n).expect("small");
            registry.add_certificate(&format!("s{n}"), worker(n), (0, until_ms)).expect("room");
        }
        let full =
            registry.add_certificate("new", worker(HOLDERS_MAX), (5, 100)).expect_err("all count still");
        assert_eq!(
            full.to_string(),
            "the number of known machines and people is 2001; at most 2000 is taken"
        );
        registry.revoke("s2", 6).expect("known");
        registry
            .add_certificate("new", worker(HOLDERS_MAX), (11, 100))
            .expect("the second was revoked first");
        assert_eq!(registry.holder("s2"), Err(Void::Unknown), "it is let in no more than before");
        registry
            .add_certificate("newer", holder("bob", None), (11, 100))
            .expect("the first has expired since");
        assert_eq!(registry.holder("s1"), Err(Void::Unknown));
        assert!(registry.holder("s3").is_ok() && registry.holder("ada").is_ok());
        assert!(registry.add_certificate("newest", worker(0), (11, 100)).is_err(), "all others count");
    }
}
