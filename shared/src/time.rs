//! Two clocks: wall time for records and people, monotonic time for deadlines.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// The moment of an input, as the driver read it. Deadlines use `mono_ms` alone, so that a clock that
/// jumps moves no lease and no gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds since the Unix epoch.
    pub wall_ms: i64,
    /// Milliseconds on this process's monotonic clock.
    pub mono_ms: u64,
}

/// A length of time as people write it: `30 s`, `10 min`, `24 h`, `1d`, or a bare `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Milliseconds.
    pub ms: u64,
}

impl Span {
    /// A span of whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self { ms: secs * 1000 }
    }

    /// Reads a span; the error says what a span looks like.
    pub fn parse(text: &str) -> Result<Self, SpanError> {
        let refuse = || SpanError { text: text.to_owned() };
        if text.trim() == "0" {
            return Ok(Self { ms: 0 });
        }
        let span: jiff::Span = text.trim().parse().map_err(|_| refuse())?;
        let options = jiff::SpanRelativeTo::days_are_24_hours();
        let duration = span.to_duration(options).map_err(|_| refuse())?;
        let ms = u64::try_from(duration.as_millis()).map_err(|_| refuse())?;
        Ok(Self { ms })
    }
}

/// A span that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a length of time: write one like `30 s`, `10 min` or `24 h`")]
pub struct SpanError {
    text: String,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ms {
            0 => f.write_str("0"),
            // One day is 24 h, as people say it of a limit; a retention is many.
            ms if ms % 86_400_000 == 0 && ms > 86_400_000 => write!(f, "{} d", ms / 86_400_000),
            ms if ms % 3_600_000 == 0 => write!(f, "{} h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => write!(f, "{} min", ms / 60_000),
            ms if ms % 1000 == 0 => write!(f, "{} s", ms / 1000),
            ms => write!(f, "{ms} ms"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time like `30 s`, `10 min` or `24 h`")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Span, E> {
                Span::parse(&value.to_string()).map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Span, E> {
                Span::parse(&value.to_string()).map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Span, E> {
                Span::parse(value).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them_and_print_back() {
        for (text, ms) in [
            ("0", 0),
            ("30 s", 30_000),
            ("10 min", 600_000),
            ("24 h", 86_400_000),
            ("1d", 86_400_000),
            ("250 ms", 250),
        ] {
            let span = Span::parse(text).expect(text);
            assert_eq!(span.ms, ms, "{text}");
            assert_eq!(Span::parse(&span.to_string()), Ok(span), "{text}");
        }
        for text in ["", "ten", "5", "-3 s", "3 parsecs"] {
            assert!(Span::parse(text).is_err(), "{text:?} must be refused");
        }
    }
}
