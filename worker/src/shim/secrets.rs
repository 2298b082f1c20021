//! The secrets of a run on their way into it: through the shim's standard input, so that they are on no disk,
//! no command line and in no environment but the run's own.

use super::spec::Spec;
use crate::error::Error;
use std::collections::BTreeMap;
use std::io::Read;
use windlass_shared::secret::{SECRETS_MAX, Secret, Secrets, VALUE_MAX_BYTES};

/// As much is read: all values, each written with escapes.
const SECRETS_MAX_BYTES: u64 = 6 * (SECRETS_MAX * VALUE_MAX_BYTES) as u64;

/// The values of the secrets, from whoever started us. Without them nothing is started: a run that lacks one
/// would fail later, and blame its lever.
pub fn receive(spec: &Spec) -> Result<Secrets, Error> {
    if spec.secrets.is_empty() {
        return Ok(Secrets::new());
    }
    let failed = |reason: &str| Error::Start { reason: reason.to_owned() };
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(SECRETS_MAX_BYTES).read_to_end(&mut bytes);
    read.map_err(|source| Error::System { operation: "read the secrets", source })?;
    // What cannot be read is not quoted.
    let values: BTreeMap<String, String> =
        serde_json::from_slice(&bytes).map_err(|_| failed("the secrets did not come through"))?;
    let mut secrets = Secrets::new();
    for name in &spec.secrets {
        let value =
            values.get(name).ok_or_else(|| failed(&format!("the secret {name} did not come through")))?;
        let value = Secret::new(name, value.clone()).map_err(|error| failed(&error.to_string()))?;
        secrets.insert(name.clone(), value);
    }
    Ok(secrets)
}

/// The spec with their values in its environment: in memory alone.
pub fn in_environment(spec: &Spec, secrets: &Secrets) -> Spec {
    let mut spec = spec.clone();
    spec.env.extend(secrets.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())));
    spec
}
