//! The decision (P25, P26): mechanical, in decimal, with the sum written out.

use windlass_shared::bindings::{Direction, Simplicity};
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::lever::Kind;
use windlass_shared::record::Arithmetic;

/// What a measured iteration is held against.
#[derive(Clone, Debug)]
pub struct Held<'a> {
    /// The best metric ever kept; none for the baseline.
    pub record: Option<&'a Decimal>,
    /// The baseline's metric, for the default of `min_gain`.
    pub baseline: Option<&'a Decimal>,
    /// Which way is better.
    pub direction: Direction,
    /// The simplicity criterion.
    pub simplicity: &'a Simplicity,
}

/// A measured iteration.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// Its metric.
    pub metric: &'a Decimal,
    /// Net lines of editable files against its parent.
    pub net_lines: i64,
    /// Its lever's kind; none for the baseline.
    pub kind: Option<Kind>,
}

/// What was decided, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Keep or discard.
    pub status: Status,
    /// The finer reason.
    pub reason: &'static str,
    /// The sum.
    pub arithmetic: Arithmetic,
}

/// The default of `min_gain`: 0.001; where the baseline's size is outside 0.1 to 10, 0.001 × its size.
pub fn default_min_gain(baseline: Option<&Decimal>) -> Decimal {
    let thousandth = Decimal::parse("0.001").expect("a literal");
    let Some(size) = baseline.map(Decimal::abs) else { return thousandth };
    let low = Decimal::parse("0.1").expect("a literal");
    let high = Decimal::parse("10").expect("a literal");
    if size < low || size > high { size.times(&thousandth) } else { thousandth }
}

/// Decides a measured iteration.
pub fn decide(case: &Case<'_>, held: &Held<'_>) -> Decided {
    let Some(record) = held.record else {
        return finish(case, None, Status::Keep, "baseline");
    };
    let gain = match held.direction {
        Direction::Maximize => case.metric.minus(record),
        Direction::Minimize => record.minus(case.metric),
    };
    let zero = Decimal::from_value(0.into());
    let within_tolerance = gain.abs() <= held.simplicity.tolerance || gain == zero;
    let min_gain = held.simplicity.min_gain.clone().unwrap_or_else(|| default_min_gain(held.baseline));
    let (status, reason) = if gain > zero {
        if case.net_lines >= held.simplicity.lines && gain <= min_gain {
            (Status::Discard, "not worth its lines")
        } else {
            (Status::Keep, "better")
        }
    } else if case.net_lines < 0 && within_tolerance {
        (Status::Keep, "simpler")
    } else if case.kind == Some(Kind::Instrumentation) && within_tolerance {
        (Status::Keep, "instrumentation")
    } else if gain == zero {
        (Status::Discard, "equal")
    } else {
        (Status::Discard, "worse")
    };
    finish(case, Some((record, gain)), status, reason)
}

fn finish(
    case: &Case<'_>,
    against: Option<(&Decimal, Decimal)>,
    status: Status,
    reason: &'static str,
) -> Decided {
    let verdict = status.as_str();
    let lines = case.net_lines;
    let sentence = match &against {
        None => format!("{} is the baseline: {verdict}", case.metric),
        Some((record, gain)) => {
            let zero = Decimal::from_value(0.into());
            // The relation is between the numbers as printed; whether that is better is the reason's to say.
            let (relation, by) = match case.metric.cmp(record) {
                std::cmp::Ordering::Greater => (">", format!(" by {}", gain.abs())),
                std::cmp::Ordering::Less => ("<", format!(" by {}", gain.abs())),
                std::cmp::Ordering::Equal => ("=", String::new()),
            };
            let tail =
                if *gain > zero && status == Status::Keep { String::new() } else { format!(" ({reason})") };
            let noun = if lines.abs() == 1 { "line" } else { "lines" };
            format!("{} {relation} {record}{by}, {lines:+} {noun}: {verdict}{tail}", case.metric)
        }
    };
    let arithmetic = Arithmetic {
        metric: Some(case.metric.clone()),
        record: against.as_ref().map(|(record, _)| (*record).clone()),
        gain: against.map(|(_, gain)| gain),
        net_lines: lines,
        noise: None,
        sentence,
    };
    Decided { status, reason, arithmetic }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).expect(text)
    }

    /// `metric` against `record`; the baseline is 0.5 unless said otherwise.
    fn check(
        direction: Direction,
        metric: &str,
        record: &str,
        net_lines: i64,
        kind: Kind,
        want: (Status, &str),
    ) {
        check_with(&Simplicity::default(), direction, metric, record, net_lines, kind, want);
    }

    fn check_with(
        simplicity: &Simplicity,
        direction: Direction,
        metric: &str,
        record: &str,
        net_lines: i64,
        kind: Kind,
        want: (Status, &str),
    ) {
        let (metric, record, baseline) = (number(metric), number(record), number("0.5"));
        let held = Held { record: Some(&record), baseline: Some(&baseline), direction, simplicity };
        let case = Case { metric: &metric, net_lines, kind: Some(kind) };
        let decided = decide(&case, &held);
        assert_eq!((decided.status, decided.reason), want, "{metric} against {record}, {net_lines:+} lines");
    }

    #[test]
    fn p25_strictly_better_is_kept_equal_or_worse_is_not() {
        use Direction::{Maximize, Minimize};
        check(Maximize, "0.91", "0.90", 3, Kind::Change, (Status::Keep, "better"));
        check(Maximize, "0.90", "0.90", 3, Kind::Change, (Status::Discard, "equal"));
        check(Maximize, "0.900", "0.90", 0, Kind::Change, (Status::Discard, "equal"));
        check(Maximize, "0.89", "0.90", 3, Kind::Change, (Status::Discard, "worse"));
        check(Minimize, "0.89", "0.90", 3, Kind::Change, (Status::Keep, "better"));
        check(Minimize, "0.91", "0.90", 3, Kind::Change, (Status::Discard, "worse"));
        check(Minimize, "0.90", "0.90", 3, Kind::Change, (Status::Discard, "equal"));
        // Decimal, not binary: the two differ by less than a binary64 can tell.
        check(Maximize, "0.90000000000000000001", "0.9", 0, Kind::Change, (Status::Keep, "better"));
    }

    #[test]
    fn p26_simplicity_weighs_lines_against_gain() {
        use Direction::Maximize;
        check(Maximize, "0.90", "0.90", -1, Kind::Simplification, (Status::Keep, "simpler"));
        check(Maximize, "0.90", "0.90", -1, Kind::Change, (Status::Keep, "simpler"));
        check(Maximize, "0.901", "0.900", 20, Kind::Change, (Status::Discard, "not worth its lines"));
        check(Maximize, "0.901", "0.900", 19, Kind::Change, (Status::Keep, "better"));
        check(Maximize, "0.9011", "0.900", 20, Kind::Change, (Status::Keep, "better"));
        let tolerant = Simplicity { tolerance: number("0.005"), ..Simplicity::default() };
        check_with(&tolerant, Maximize, "0.896", "0.900", -4, Kind::Change, (Status::Keep, "simpler"));
        check_with(&tolerant, Maximize, "0.894", "0.900", -4, Kind::Change, (Status::Discard, "worse"));
        check_with(
            &tolerant,
            Maximize,
            "0.896",
            "0.900",
            4,
            Kind::Instrumentation,
            (Status::Keep, "instrumentation"),
        );
        check_with(&tolerant, Maximize, "0.896", "0.900", 4, Kind::Change, (Status::Discard, "worse"));
    }

    #[test]
    fn p26_the_default_gain_scales_with_a_baseline_outside_a_tenth_to_ten() {
        for (baseline, want) in
            [("0.5", "0.001"), ("0.1", "0.001"), ("10", "0.001"), ("0.05", "0.00005"), ("2000", "2")]
        {
            assert_eq!(default_min_gain(Some(&number(baseline))), number(want), "{baseline}");
        }
        assert_eq!(default_min_gain(None), number("0.001"));
    }

    #[test]
    fn the_sum_is_written_out() {
        let (metric, record) = (number("0.9712"), number("0.9701"));
        let simplicity = Simplicity::default();
        let held = Held {
            record: Some(&record),
            baseline: None,
            direction: Direction::Maximize,
            simplicity: &simplicity,
        };
        let decided = decide(&Case { metric: &metric, net_lines: 3, kind: Some(Kind::Change) }, &held);
        assert_eq!(decided.arithmetic.sentence, "0.9712 > 0.9701 by 0.0011, +3 lines: keep");
        let decided =
            decide(&Case { metric: &record, net_lines: 0, kind: None }, &Held { record: None, ..held });
        assert_eq!(decided.arithmetic.sentence, "0.9701 is the baseline: keep");
    }
}
