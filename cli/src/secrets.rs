//! The secrets that a submitter sends: named on the command line with their values in the environment, or in
//! a file that is the submitter's alone. Only what the campaign names is sent, and no value is ever shown.

use crate::error::Error;
use std::collections::BTreeMap;
use std::path::Path;
use windlass_shared::refusal::Refusal;
use windlass_shared::secret::Secret;

/// The values to send. `wanted` are the names given with `--secret`, `named` those in the campaign's file;
/// `value_of` reads the submitter's environment.
pub fn gather(
    wanted: &[String],
    file: Option<&Path>,
    named: &[String],
    value_of: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut found = BTreeMap::new();
    if let Some(file) = file {
        let read = windlass_worker::secrets::read_file(file);
        let secrets = read.map_err(|error| refused("--secrets-file", error.chain()))?;
        let of_campaign = secrets.into_iter().filter(|(name, _)| named.contains(name));
        found.extend(of_campaign.map(|(name, value)| (name, value.expose().to_owned())));
    }
    for name in wanted {
        if !named.contains(name) {
            let problem =
                format!("the campaign does not name {name}: add it to `windlass.secrets` in loop.run.yaml");
            return Err(refused("--secret", problem));
        }
        let value = value_of(name).unwrap_or_default();
        if value.is_empty() {
            let problem =
                format!("{name} has no value in the environment: set it there, or use --secrets-file");
            return Err(refused("--secret", problem));
        }
        Secret::new(name, value.clone()).map_err(|error| refused("--secret", error.to_string()))?;
        found.insert(name.clone(), value);
    }
    Ok(found)
}

/// What is said of those that are not sent; nothing when all are.
pub fn missing(named: &[String], sent: &BTreeMap<String, String>) -> Option<String> {
    let missing: Vec<&str> =
        named.iter().filter(|name| !sent.contains_key(*name)).map(String::as_str).collect();
    let (first, those) = (missing.first()?, missing.join(", "));
    Some(format!(
        "not sent: {those}; only workers that have them in their own secrets file will run this campaign (`--secret {first}` sends one)"
    ))
}

fn refused(field: &'static str, problem: String) -> Error {
    Error::Refused(Refusal::Malformed { field, problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_what_the_campaign_names_is_sent_and_no_value_is_shown() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("my.env");
        fs::write(&file, "A=from-file\nB=b-file\nOTHER=stays\n").expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
        let named = ["A", "B", "C"].map(str::to_owned);
        let env = |name: &str| (name == "A").then(|| "from-env".to_owned());
        let gather = |wanted: &[&str], file: Option<&Path>| {
            let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
            gather(&wanted, file, &named, env)
        };
        let sent = gather(&["A"], Some(&file)).expect("all there");
        let want = [("A", "from-env"), ("B", "b-file")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(sent, BTreeMap::from(want));
        let said = missing(&named, &sent).expect("C is not sent");
        assert!(said.contains("not sent: C;") && !said.contains("b-file"), "{said}");
        assert_eq!(missing(&named[..2], &sent), None);
        for (wanted, says) in [("OTHER", "windlass.secrets"), ("C", "no value in the environment")] {
            let error = gather(&[wanted], None).expect_err(wanted).to_string();
            assert!(error.contains(says), "{error}");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("a mode");
        let open = gather(&[], Some(&file)).expect_err("open to all").to_string();
        assert!(open.contains("chmod 600") && !open.contains("b-file"), "{open}");
    }
}
