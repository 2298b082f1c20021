//! Secrets: names that everybody may see, and values that reach the environment of a run and nothing else.
//! A value cannot be printed, recorded or put into a document by accident: it has neither words nor JSON.

use std::collections::BTreeMap;
use std::fmt;

/// The most secrets of one campaign or worker.
pub const SECRETS_MAX: usize = 100;
/// The longest value: a key file of 16 KiB and some.
pub const VALUE_MAX_BYTES: usize = 32 << 10;

/// One value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Secrets by their names.
pub type Secrets = BTreeMap<String, Secret>;

/// Why something is no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Its name is none of an environment variable.
    #[error("{0:?} is no name of an environment variable")]
    Name(String),
    /// It has no value.
    #[error("secret {0} is empty")]
    Empty(String),
    /// Its value has a NUL in it.
    #[error("secret {0} has a NUL character")]
    Nul(String),
    /// Its value is past [`VALUE_MAX_BYTES`].
    #[error("secret {0} has more than {VALUE_MAX_BYTES} bytes")]
    TooLong(String),
    /// A line of a file is none of `NAME=value`.
    #[error("line {0} is not NAME=value")]
    Line(usize),
    /// There are more than [`SECRETS_MAX`].
    #[error("there are more than {SECRETS_MAX} secrets")]
    TooMany,
    /// The file is longer than this, bytes.
    #[error("the file has more than {0} bytes")]
    FileTooLong(u64),
}

impl Secret {
    /// Takes a value for the secret `name`.
    pub fn new(name: &str, value: String) -> Result<Self, SecretError> {
        if value.is_empty() {
            return Err(SecretError::Empty(name.to_owned()));
        }
        if value.contains('\0') {
            return Err(SecretError::Nul(name.to_owned()));
        }
        if value.len() > VALUE_MAX_BYTES {
            return Err(SecretError::TooLong(name.to_owned()));
        }
        Ok(Self(value))
    }

    /// The value itself: for a run's environment, a file of mode 0600 and the wire, and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Whether a text can name a secret: a name of an environment variable, of at most 200 bytes.
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && name.len() <= 200
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Reads a file of `NAME=value` lines. Empty lines and those that begin with `#` are skipped, `export ` before
/// a name too; one pair of quotes around a value is taken off. An error never holds a value.
pub fn parse_file(text: &str) -> Result<Secrets, SecretError> {
    let mut secrets = Secrets::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or(SecretError::Line(index + 1))?;
        let name = name.trim();
        if !is_name(name) {
            return Err(SecretError::Line(index + 1));
        }
        let value = value.trim();
        let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
        secrets.insert(name.to_owned(), Secret::new(name, value.to_owned())?);
        if secrets.len() > SECRETS_MAX {
            return Err(SecretError::TooMany);
        }
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_line_by_line_and_its_errors_hold_no_value() {
        let text = "# tokens\n\nHF_TOKEN=hf_abc=\nexport WANDB = \" two words \"\nQ='x'\n";
        let secrets = parse_file(text).expect("readable");
        let got: Vec<_> = secrets.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(got, [("HF_TOKEN", "hf_abc="), ("Q", "x"), ("WANDB", " two words ")]);
        for (text, want) in [
            ("A=1\nhunter2", SecretError::Line(2)),
            ("hunter 2=hunter2", SecretError::Line(1)),
            ("A=", SecretError::Empty("A".to_owned())),
            ("A=hunter2\0", SecretError::Nul("A".to_owned())),
        ] {
            let error = parse_file(text).expect_err(text);
            assert_eq!(error, want);
            assert!(!error.to_string().contains("hunter"), "{error}");
        }
        let many: String = (0..=SECRETS_MAX).map(|n| format!("A{n}=x\n")).collect();
        assert_eq!(parse_file(&many), Err(SecretError::TooMany));
        let long = format!("A={}", "x".repeat(VALUE_MAX_BYTES + 1));
        assert_eq!(parse_file(&long), Err(SecretError::TooLong("A".to_owned())));
    }

    #[test]
    fn a_value_has_no_words() {
        let secret = Secret::new("A", "hunter2".to_owned()).expect("a value");
        assert_eq!(
            format!("{secret:?} {:?}", Secrets::from([("A".to_owned(), secret.clone())])),
            "[secret] {\"A\": [secret]}"
        );
    }
}
