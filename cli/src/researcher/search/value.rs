//! One setting in a file: found, read, written in its place; and numbers as people write them.

use super::space::{Domain, Scale, Setting};
use std::ops::Range;

/// Digits that count of a float: what is finer than a thousandth of itself is no other setting.
const DIGITS: i32 = 4;

/// Where a setting's value stands in the text of its file, or why nobody can say.
pub fn find(setting: &Setting, text: &str) -> Result<Range<usize>, String> {
    let Some(pattern) = &setting.pattern else { return by_key(&setting.key, text) };
    let mut found = pattern.captures_iter(text).filter_map(|captures| captures.get(1));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.range()),
        (None, _) => Err("its pattern matches nowhere".to_owned()),
        (Some(_), Some(_)) => Err("its pattern matches at more than one place".to_owned()),
    }
}

/// The scalar behind a YAML key, on the key's own line and without its quotes.
fn by_key(key: &str, text: &str) -> Result<Range<usize>, String> {
    let number = crate::yaml::line_of_key(text, key).ok_or("there is no such key")?;
    let start: usize = text.split_inclusive('\n').take(number as usize - 1).map(str::len).sum();
    let line = text[start..].lines().next().unwrap_or_default();
    let colon = line.find(':').ok_or("its line has no colon")? + 1;
    let value = line[colon..].split(" #").next().unwrap_or_default();
    let trimmed = value.trim();
    let begin = start + colon + (value.len() - value.trim_start().len());
    if trimmed.is_empty() || trimmed.starts_with(['{', '[', '|', '>', '&', '*', '#']) {
        return Err("there is no plain value on its line".to_owned());
    }
    let inner = ['"', '\''].iter().find_map(|quote| trimmed.strip_prefix(*quote)?.strip_suffix(*quote));
    Ok(match inner {
        Some(inner) => begin + 1..begin + 1 + inner.len(),
        None => begin..begin + trimmed.len(),
    })
}

/// Where a value lies between the least (0) and the greatest (1); none for what is not of the domain.
pub fn unit(domain: &Domain, text: &str) -> Option<f64> {
    match domain {
        Domain::Float { min, max, scale } => {
            let value = text.parse::<f64>().ok().filter(|value| (*min..=*max).contains(value))?;
            Some(fraction(value, *min, *max, *scale))
        }
        Domain::Int { min, max, scale } => {
            let value = text.parse::<i64>().ok().filter(|value| (*min..=*max).contains(value))?;
            Some(fraction(value as f64, *min as f64, *max as f64, *scale))
        }
        Domain::Choice(values) => {
            let index = values.iter().position(|value| value == text)?;
            Some((index as f64 + 0.5) / values.len() as f64)
        }
    }
}

/// The value at a place between the least and the greatest, as it is written.
pub fn at(domain: &Domain, unit: f64) -> String {
    let unit = unit.clamp(0.0, 1.0);
    match domain {
        Domain::Float { min, max, scale } => decimal(value(unit, *min, *max, *scale), *min, *max),
        Domain::Int { min, max, scale } => {
            let value = value(unit, *min as f64, *max as f64, *scale).round() as i64;
            value.clamp(*min, *max).to_string()
        }
        Domain::Choice(values) => {
            let index = (unit * values.len() as f64) as usize;
            values[index.min(values.len() - 1)].clone()
        }
    }
}

fn fraction(value: f64, min: f64, max: f64, scale: Scale) -> f64 {
    match scale {
        Scale::Linear => (value - min) / (max - min),
        Scale::Log => (value / min).ln() / (max / min).ln(),
    }
}

fn value(unit: f64, min: f64, max: f64, scale: Scale) -> f64 {
    match scale {
        Scale::Linear => min + unit * (max - min),
        Scale::Log => min * (max / min).powf(unit),
    }
}

/// A float with few digits, never in powers of ten (some readers of YAML take `1e-3` for a word), always with a
/// point (some take what has none for a whole number), and within its range.
fn decimal(value: f64, min: f64, max: f64) -> String {
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let places = (DIGITS - 1 - magnitude).clamp(1, 300) as usize;
    let text = format!("{value:.places$}");
    let trimmed = text.trim_end_matches('0');
    let text = if trimmed.ends_with('.') { format!("{trimmed}0") } else { trimmed.to_owned() };
    match text.parse::<f64>() {
        // A range finer than so few digits is written with all of them.
        Ok(read) if read < min || read > max => with_point(value.clamp(min, max)),
        _ => text,
    }
}

fn with_point(value: f64) -> String {
    let text = format!("{value}");
    if text.contains('.') { text } else { format!("{text}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::path::TreePath;

    fn setting(key: &str, pattern: Option<&str>) -> Setting {
        let pattern =
            pattern.map(|text| regex::RegexBuilder::new(text).multi_line(true).build().expect(text));
        let file = TreePath::parse("config.yaml").expect("a path");
        let domain = Domain::Choice(vec!["a".to_owned(), "b".to_owned()]);
        Setting { key: key.to_owned(), file, pattern, domain, anchors: Vec::new(), place: Default::default() }
    }

    const TEXT: &str =
        "# rate: 7\nrate: 0.02  # why\nmodel:\n  width: 12\n  kind: \"mlp\"\n  parts: [1]\nlr = 3\nlr = 4\n";

    #[test]
    fn a_setting_is_found_by_its_key_or_by_its_pattern_and_replaced_in_its_place() {
        let found = |key: &str, pattern| find(&setting(key, pattern), TEXT).map(|range| &TEXT[range]);
        assert_eq!(found("rate", None), Ok("0.02"));
        assert_eq!(found("model.width", None), Ok("12"));
        assert_eq!(found("model.kind", None), Ok("mlp"));
        assert_eq!(found("x", Some("^  width: ([0-9]+)$")), Ok("12"));
        for (key, pattern, want) in [
            ("model", None, "no plain value"),
            ("model.parts", None, "no plain value"),
            ("depth", None, "no such key"),
            ("x", Some("^lr = ([0-9]+)$"), "more than one place"),
            ("x", Some("^depth = ([0-9]+)$"), "matches nowhere"),
        ] {
            let problem = found(key, pattern).expect_err(want);
            assert!(problem.contains(want), "{key}: {problem}");
        }
    }

    #[test]
    fn a_place_between_the_ends_and_the_value_there_are_the_same_thing() {
        let log = Domain::Float { min: 0.0001, max: 10.0, scale: Scale::Log };
        let linear = Domain::Float { min: -2.0, max: 2.0, scale: Scale::Linear };
        let int = Domain::Int { min: 4, max: 1024, scale: Scale::Log };
        let choice = Domain::Choice(["a", "b", "c"].map(str::to_owned).to_vec());
        for (domain, place, want) in [
            (&log, 0.0, "0.0001"),
            (&log, 1.0, "10.0"),
            (&log, 0.4, "0.01"),
            (&log, 0.5, "0.03162"),
            (&linear, 0.5, "0.0"),
            (&linear, 0.25, "-1.0"),
            (&int, 0.5, "64"),
            (&int, 7.0, "1024"),
            (&choice, 0.5, "b"),
            (&choice, 1.0, "c"),
        ] {
            assert_eq!(at(domain, place), want);
            let back = unit(domain, want).expect(want);
            assert_eq!(at(domain, back), want, "and back from {back}");
        }
        for text in ["11", "x", "", "NaN", "inf"] {
            assert_eq!(unit(&log, text), None, "{text}");
        }
        assert_eq!(unit(&choice, "d"), None);
        let tight = Domain::Float { min: 0.123_456_7, max: 0.123_456_8, scale: Scale::Linear };
        assert_eq!(at(&tight, 0.0), "0.1234567", "rounding never leaves the range");
    }
}
