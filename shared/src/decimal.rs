//! Metrics: the digits as printed, compared in decimal (P18).

use bigdecimal::{BigDecimal, RoundingMode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

/// The longest metric text that is read. Every binary64 prints in fewer characters than this.
pub const TEXT_MAX_BYTES: usize = 400;

/// Significant digits of a computed mean or deviation: more than any metric is printed with, and few enough
/// to be read.
pub const FIGURE_DIGITS: NonZeroU64 = NonZeroU64::new(12).expect("not zero");
/// The longest text of a figure that was reckoned from metrics. Their digits lie between 10^308 and 10^-723,
/// so that a sum has about 1,030 of them and a product twice as many.
const FIGURE_MAX_BYTES: usize = 4000;

/// A finite decimal number and the text it was printed as. Two are equal when their values are, so
/// `0.70` equals `0.7`, but each keeps its own digits.
#[derive(Clone)]
pub struct Decimal {
    text: String,
    value: BigDecimal,
}

impl Decimal {
    /// Reads the ASCII grammar `[+-] digits [. digits] [e [+-] digits]`. Refused: anything else, text
    /// past [`TEXT_MAX_BYTES`], and magnitudes outside binary64's finite range (`1e999`).
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_MAX_BYTES || !follows_grammar(text.as_bytes()) {
            return None;
        }
        let nearest: f64 = text.parse().ok()?;
        // The exponent is bounded here, before any exact arithmetic could grow with it.
        let tiny = nearest == 0.0
            && text.bytes().take_while(|b| !b"eE".contains(b)).any(|b| (b'1'..=b'9').contains(&b));
        if !nearest.is_finite() || tiny {
            return None;
        }
        let value = if nearest == 0.0 { BigDecimal::from(0) } else { BigDecimal::from_str(text).ok()? };
        Some(Self { text: text.to_owned(), value })
    }

    /// Reads what [`Decimal::from_value`] wrote: the gain between two metrics can lie outside what a metric
    /// may be, and a record that holds it must be read again.
    fn recall(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if text.len() > FIGURE_MAX_BYTES || !plain || !follows_grammar(text.as_bytes()) {
            return None;
        }
        Some(Self { text: text.to_owned(), value: BigDecimal::from_str(text).ok()? })
    }

    /// The digits as they were printed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The exact value.
    pub fn value(&self) -> &BigDecimal {
        &self.value
    }

    /// The nearest binary64, for plots only.
    pub fn to_f64(&self) -> f64 {
        self.text.parse().unwrap_or(f64::NAN)
    }

    /// An exact value in plain notation, trailing zeros dropped.
    pub fn from_value(value: BigDecimal) -> Self {
        let value = value.normalized();
        Self { text: value.to_plain_string(), value }
    }

    /// `self - other`, exactly.
    pub fn minus(&self, other: &Self) -> Self {
        Self::from_value(&self.value - &other.value)
    }

    /// `self + other`, exactly.
    pub fn plus(&self, other: &Self) -> Self {
        Self::from_value(&self.value + &other.value)
    }

    /// `self × other`, exactly.
    pub fn times(&self, other: &Self) -> Self {
        Self::from_value(&self.value * &other.value)
    }

    /// The mean, exactly where it ends within [`FIGURE_DIGITS`] significant digits, else rounded to them (half
    /// to even); none of nothing.
    pub fn mean(values: &[Self]) -> Option<Self> {
        Some(Self::from_value(rounded(&exact_mean(values)?)))
    }

    /// The sample standard deviation (divided by n - 1), rounded to [`FIGURE_DIGITS`] significant digits, half
    /// to even; none of fewer than two.
    pub fn deviation(values: &[Self]) -> Option<Self> {
        let mean = exact_mean(values)?;
        let freedom = u64::try_from(values.len()).ok()?.checked_sub(1).filter(|freedom| *freedom > 0)?;
        let squares: BigDecimal = values.iter().map(|one| (&one.value - &mean).square()).sum();
        let root = (squares / BigDecimal::from(freedom)).sqrt()?;
        Some(Self::from_value(rounded(&root)))
    }

    /// The magnitude.
    pub fn abs(&self) -> Self {
        Self::from_value(self.value.abs())
    }
}

/// To 100 significant digits, where it does not end before.
fn exact_mean(values: &[Decimal]) -> Option<BigDecimal> {
    let count = u64::try_from(values.len()).ok().filter(|count| *count > 0)?;
    let sum: BigDecimal = values.iter().map(|one| one.value.clone()).sum();
    Some(sum / BigDecimal::from(count))
}

fn rounded(value: &BigDecimal) -> BigDecimal {
    value.with_precision_round(FIGURE_DIGITS, RoundingMode::HalfEven)
}

fn follows_grammar(bytes: &[u8]) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let sign = |bytes: &[u8]| usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let mut rest = &bytes[sign(bytes)..];
    let whole = digits(rest);
    rest = &rest[whole..];
    let mut fraction = 0;
    if rest.first() == Some(&b'.') {
        fraction = digits(&rest[1..]);
        rest = &rest[1 + fraction..];
    }
    if whole + fraction == 0 {
        return false;
    }
    if matches!(rest.first(), Some(b'e' | b'E')) {
        rest = &rest[1..];
        rest = &rest[sign(rest)..];
        let exponent = digits(rest);
        // Six digits of exponent are already far outside binary64.
        return exponent > 0 && exponent <= 6 && exponent == rest.len();
    }
    rest.is_empty()
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl Eq for Decimal {}
impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Decimal;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a finite decimal number")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Decimal, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Decimal, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Decimal, E> {
                // Shortest digits that read back as the same number: what the file's author wrote.
                self.visit_str(&value.to_string())
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Decimal, E> {
                Decimal::parse(value)
                    .or_else(|| Decimal::recall(value))
                    .ok_or_else(|| E::custom(format!("{value:?} is not a finite decimal number")))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p18_the_grammar_is_strict_ascii_and_finite() {
        for text in ["0.91", "-3", "+.5", "5.", "1e-3", "1E+10", "0e5", "123456789.000"] {
            assert_eq!(Decimal::parse(text).expect(text).text(), text);
        }
        for text in [
            "", ".", "nan", "inf", "1e999", "1e-999", "0,91", "1_000", "0x1p3", "١", "1 2", "--1", "1e",
            "1e+", "1.2.3",
        ] {
            assert!(Decimal::parse(text).is_none(), "{text:?} must be refused");
        }
    }

    #[test]
    fn a_figure_reckoned_from_any_two_metrics_is_read_again() {
        let check = |figure: &Decimal| {
            let text = serde_json::to_string(figure).expect("representable");
            assert_eq!(serde_json::from_str::<Decimal>(&text).expect("it reads back"), *figure);
        };
        let least = format!("-0.{}e-322", "1".repeat(390));
        let metrics = ["1e300", "1e-300", "1.7e308", "-1.7e308", "5e-324", &least];
        for a in metrics.map(|text| Decimal::parse(text).expect("a metric")) {
            for b in metrics.map(|text| Decimal::parse(text).expect("a metric")) {
                [a.minus(&b), a.plus(&b), a.times(&b)].iter().for_each(check);
            }
        }
        for text in ["\"1e999\"", "\"nan\"", "\"1_000\"", "\"+\"", "\"\""] {
            assert!(serde_json::from_str::<Decimal>(text).is_err(), "{text} is no figure");
        }
        let endless = format!("\"{}\"", "9".repeat(FIGURE_MAX_BYTES + 1));
        assert!(serde_json::from_str::<Decimal>(&endless).is_err());
    }

    #[test]
    fn p18_comparison_is_decimal_and_digits_are_kept() {
        let a = Decimal::parse("0.70").expect("a");
        let b = Decimal::parse("0.7").expect("b");
        assert_eq!(a, b);
        assert_eq!((a.text(), b.text()), ("0.70", "0.7"));
        let third = Decimal::parse("0.30000000000000004").expect("c");
        assert!(third > Decimal::parse("0.3").expect("d"));
        assert_eq!(
            Decimal::parse("0.9712").expect("e").minus(&Decimal::parse("0.9701").expect("f")).text(),
            "0.0011"
        );
    }

    #[test]
    fn p27_mean_and_deviation_are_decimal_and_rounded_to_a_stated_number_of_digits() {
        let check = |values: &[&str], mean: Option<&str>, deviation: Option<&str>| {
            let values: Vec<Decimal> =
                values.iter().map(|text| Decimal::parse(text).expect("a number")).collect();
            let text = |value: Option<Decimal>| value.map(|value| value.text().to_owned());
            assert_eq!(text(Decimal::mean(&values)).as_deref(), mean, "{values:?}");
            assert_eq!(text(Decimal::deviation(&values)).as_deref(), deviation, "{values:?}");
        };
        check(&[], None, None);
        check(&["0.5"], Some("0.5"), None);
        check(&["0.5", "0.5", "0.5"], Some("0.5"), Some("0"));
        check(&["0.51", "0.53"], Some("0.52"), Some("0.0141421356237"));
        check(&["1", "2", "3", "4"], Some("2.5"), Some("1.29099444874"));
        check(&["0", "0", "1"], Some("0.333333333333"), Some("0.57735026919"));
        check(&["-2", "2"], Some("0"), Some("2.82842712475"));
        // Binary64 cannot tell these apart; decimals can.
        check(
            &["0.10000000000000001", "0.10000000000000003"],
            Some("0.1"),
            Some("0.0000000000000000141421356237"),
        );
    }
}
