//! The metric line, its malformed relatives, and how a log is cut.

use super::*;
use proptest::prelude::*;

fn spec(line: MetricLine) -> MetricSpec {
    MetricSpec { name: "val_acc".to_owned(), line, range: None }
}

#[track_caller]
fn check(log: &str, line: MetricLine, want: Result<(&str, u64), &str>) {
    match (read(log.as_bytes(), &spec(line)), want) {
        (Reading::Metric { value, line }, Ok(want)) => assert_eq!((value.text(), line), want, "{log:?}"),
        (Reading::None { reason }, Err(want)) => {
            assert!(reason.contains(want), "{log:?}: {reason:?} does not say {want:?}");
        }
        (got, want) => panic!("{log:?} gave {got:?}, not {want:?}"),
    }
}

use MetricLine::{ExactlyOne, First, Last};

#[test]
fn p18_the_metric_line_is_name_colon_blanks_and_one_number() {
    for (log, want) in [
        ("val_acc: 0.91\n", ("0.91", 1)),
        ("start\n\nval_acc:\t \t0.910  \t\r\nend\n", ("0.910", 3)),
        ("val_acc: -1.5e-3\r\n", ("-1.5e-3", 1)),
        ("epoch 3\nval_acc: 7", ("7", 2)),
        (" val_acc: 1\nxval_acc: 2\nval_acc 3\nval_acc_top5: 4\nval_acc: 5\n", ("5", 5)),
    ] {
        check(log, ExactlyOne, Ok(want));
    }
}

#[test]
fn p18_a_log_without_the_line_says_so() {
    check("", ExactlyOne, Err("no line `val_acc: <number>` in 0 lines"));
    check("a\nb\nVal_acc: 1\nc", Last, Err("no line `val_acc: <number>` in 4 lines"));
}

#[test]
fn p18_a_malformed_value_is_no_metric_and_is_named() {
    for value in
        [" nan", " inf", " 1e999", " 0,91", " 1_000", " ٠.٩", " 0.9 0.8", " 0.9%", "0.9", "", " ", " 1\r\r"]
    {
        let log = format!("one\nval_acc:{value}\nval_acc: 0.5\n");
        let named = format!("line 2 is `val_acc:{}`", value.trim_end());
        check(&log, ExactlyOne, Err(&named));
        check(&log, First, Err(&named));
        check(&log, Last, Ok(("0.5", 3)));
        let reversed = format!("val_acc: 0.5\nval_acc:{value}\n");
        check(&reversed, First, Ok(("0.5", 1)));
        check(&reversed, Last, Err(&named));
    }
}

#[test]
fn p18_equal_values_are_one_metric_and_keep_the_first_digits() {
    check("val_acc: 0.70\nval_acc: 0.7\nval_acc: 7e-1\n", ExactlyOne, Ok(("0.70", 1)));
    check("val_acc: 0.70\nval_acc: 0.7\n", Last, Ok(("0.7", 2)));
}

#[test]
fn p18_differing_values_name_metric_line() {
    let log = "val_acc: 0.1\nval_acc: 0.10000000000000000001\nval_acc: 0.3\n";
    check(log, ExactlyOne, Err("line 1 says 0.1, line 2 says 0.10000000000000000001; `metric_line`"));
    check(log, First, Ok(("0.1", 1)));
    check(log, Last, Ok(("0.3", 3)));
}

#[test]
fn p18_a_value_out_of_metric_range_is_no_metric() {
    let number = |text: &str| Decimal::parse(text).expect(text);
    let spec = MetricSpec { range: Some((number("0"), number("1"))), ..spec(ExactlyOne) };
    for (text, inside) in [("0", true), ("1.000", true), ("1.0000000000000000001", false), ("-1e-300", false)]
    {
        let reading = read(format!("val_acc: {text}\n").as_bytes(), &spec);
        assert_eq!(reading.value().is_some(), inside, "{text}");
        if let Reading::None { reason } = reading {
            assert!(reason.contains("metric_range"), "{reason}");
        }
    }
}

#[test]
fn p18_a_line_past_4_kib_is_no_metric_line() {
    let padded = |blanks: usize| format!("val_acc:{}0.5\n", " ".repeat(blanks));
    check(&padded(4085), ExactlyOne, Ok(("0.5", 1)));
    check(&padded(4086), ExactlyOne, Err("line 1 is"));
    check(&format!("val_acc: 0.5{}", "0".repeat(1 << 20)), ExactlyOne, Err("line 1 is"));
    check(&format!("{}val_acc: 0.5\nval_acc: 0.6", "x".repeat(4096)), ExactlyOne, Ok(("0.6", 2)));
}

#[test]
fn p18_a_hundred_megabytes_without_a_newline_are_one_line_in_bounded_memory() {
    let mut reader = Reader::new(&spec(ExactlyOne));
    let piece = vec![b'x'; 1 << 20];
    (0..100).for_each(|_| reader.push(&piece));
    reader.push(b"val_acc: 0.4\nval_acc: 0.");
    reader.push(b"5\n");
    match reader.finish() {
        Reading::Metric { value, line } => assert_eq!((value.text(), line), ("0.5", 2)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn p18_invalid_utf8_is_no_number_and_harms_no_other_line() {
    let reading = read(b"\xff\xfe\nval_acc: 0.5\n\xc3", &spec(ExactlyOne));
    assert!(matches!(&reading, Reading::Metric { line: 2, .. }), "{reading:?}");
    for log in [&b"val_acc: \xff0.5\n"[..], b"val_acc: 0.5\xc3\n", b"val_acc:\xc2\xa00.5\n"] {
        let reading = read(log, &spec(ExactlyOne));
        assert!(matches!(&reading, Reading::None { reason } if reason.contains("line 1 is")), "{reading:?}");
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"val_acc: 0.5\n".to_vec()),
        Just(b"val_acc: 0.50\r\n".to_vec()),
        Just(b"val_acc: 0.6 \n".to_vec()),
        Just(b"val_acc: nan\n".to_vec()),
        Just(b"val_acc".to_vec()),
        Just(b": \t".to_vec()),
        Just(b"\n".to_vec()),
        Just(vec![b' '; 4090]),
        proptest::collection::vec(any::<u8>(), 0..8),
    ]
}

proptest! {
    #[test]
    fn p18_how_a_log_is_cut_makes_no_difference(
        log in proptest::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat()),
        size in 1..50_usize,
        line in prop_oneof![Just(ExactlyOne), Just(First), Just(Last)],
    ) {
        let mut reader = Reader::new(&spec(line));
        log.chunks(size).for_each(|chunk| reader.push(chunk));
        prop_assert_eq!(reader.finish(), read(&log, &spec(line)));
    }
}
