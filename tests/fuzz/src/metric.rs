//! The metric parser (P18): a metric is a number that stands on its line as printed; how the log is cut
//! makes no difference; whatever is recorded of it reads back.

use crate::bytes::Bytes;
use crate::lines::stretched;
use windlass_engine::metric::{Reader, read};
use windlass_shared::attempt::{MetricSpec, Reading};
use windlass_shared::bindings::MetricLine;
use windlass_shared::decimal::Decimal;

/// The longest reason: it goes into the ledger.
const REASON_MAX_BYTES: usize = 2000;

/// The first bytes choose line, range and piece length; the rest is the log of a metric `v`.
pub(crate) fn check(data: &[u8]) {
    let mut input = Bytes::new(data);
    let line = input.pick(&[MetricLine::ExactlyOne, MetricLine::First, MetricLine::Last]);
    let has_range = input.byte() % 4 == 3;
    let size = usize::from(input.byte()) + 1;
    let log = stretched(input.rest());
    let number = |text| Decimal::parse(text).expect("a number");
    let range = has_range.then(|| (number("-1"), number("1")));
    let spec = MetricSpec { name: "v".to_owned(), line, range };
    let reading = read(&log, &spec);
    let mut reader = Reader::new(&spec);
    log.chunks(size).for_each(|piece| reader.push(piece));
    assert_eq!(reader.finish(), reading, "pieces make no difference");
    match &reading {
        Reading::Metric { value, line } => stands_there(&log, value, *line, &spec),
        Reading::None { reason } => {
            assert!(reason.len() <= REASON_MAX_BYTES, "a reason of {} bytes", reason.len());
            assert!(!reason.chars().any(char::is_control), "{reason:?}");
        }
    }
    reads_back(&reading);
    arithmetic_reads_back(&numbers(&log));
}

fn stands_there(log: &[u8], value: &Decimal, line: u64, spec: &MetricSpec) {
    let lines: Vec<&[u8]> = log.split(|&byte| byte == b'\n').collect();
    let index = usize::try_from(line - 1).expect("a line of this log");
    let text = str::from_utf8(lines[index]).expect("a metric line is ASCII");
    let rest = text.strip_prefix("v:").expect("it begins with the name");
    assert!(rest.starts_with([' ', '\t']), "{text:?}");
    let rest = rest.strip_suffix('\r').unwrap_or(rest);
    assert_eq!(rest.trim_matches([' ', '\t']), value.text(), "the digits as printed");
    assert!(value.text().bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)));
    assert!(value.to_f64().is_finite());
    if let Some((low, high)) = &spec.range {
        assert!(value >= low && value <= high);
    }
    let named = |line: &&[u8]| line.starts_with(b"v:");
    let (first, last) = (lines.iter().position(named), lines.iter().rposition(named));
    match spec.line {
        MetricLine::First => assert_eq!(first, Some(index)),
        MetricLine::Last => assert_eq!(last, Some(index)),
        MetricLine::ExactlyOne => assert_eq!(first, Some(index), "no line before it was passed over"),
    }
}

/// Whatever the ledger is given it gives back.
fn reads_back<T>(value: &T)
where
    T: serde_json_value::Value,
{
    let text = serde_json::to_string(value).expect("representable");
    let back: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
    assert_eq!(&back, value);
}

/// What [`reads_back`] asks of a value.
mod serde_json_value {
    pub(crate) trait Value:
        serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug
    {
    }
    impl<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug> Value for T {}
}

/// The numbers that stand on metric lines, the first few.
fn numbers(log: &[u8]) -> Vec<Decimal> {
    let texts = log.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b"v: "));
    texts.filter_map(|text| Decimal::parse(str::from_utf8(text).ok()?)).take(4).collect()
}

/// Gains, thresholds and running means are kept beside the metric.
fn arithmetic_reads_back(numbers: &[Decimal]) {
    for a in numbers {
        assert_eq!(Decimal::parse(a.text()).as_ref(), Some(a), "parse after print");
        reads_back(a);
        reads_back(&a.abs());
        for b in numbers {
            let (sum, difference, product) = (a.plus(b), a.minus(b), a.times(b));
            for figure in [&sum, &difference, &product] {
                reads_back(figure);
            }
            assert_eq!(&difference.plus(b), a, "exact");
            assert_eq!(a < b, difference < difference.minus(&difference), "the sign says which is less");
        }
    }
}
