//! Charts of made-up campaigns, from one iteration to five hundred.

use super::*;

#[test]
fn ticks_are_round_and_hold_all_values() {
    let check = |values: &[f64], want: &[f64], digits: usize| {
        let scale = Scale::of(values.iter().copied());
        assert_eq!(scale.digits, digits, "{scale:?}");
        assert_eq!(scale.ticks.len(), want.len(), "{scale:?}");
        assert!(scale.ticks.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-9), "{scale:?}");
    };
    check(&[0.81, 0.95], &[0.8, 0.85, 0.9, 0.95], 2);
    check(&[3.0, 41.0], &[0.0, 10.0, 20.0, 30.0, 40.0, 50.0], 0);
    check(&[], &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 1);
    assert!(Scale::of([0.5, 0.5].into_iter()).low < 0.5);
}

#[test]
fn metrics_as_far_apart_as_numbers_go_have_a_scale() {
    let extremes = [0.0, 5e-324, 1e-300, 0.5, 1e300, f64::MAX, -f64::MAX, -1e-9];
    for (a, b) in extremes.iter().flat_map(|a| extremes.iter().map(move |b| (*a, *b))) {
        let scale = Scale::of([a, b].into_iter());
        assert!(scale.low < scale.high && scale.high.is_finite(), "{a} {b}: {scale:?}");
        assert!((1..=20).contains(&scale.ticks.len()), "{a} {b}: {scale:?}");
        assert!(scale.ticks.iter().all(|tick| scale.label(*tick).len() <= 14), "{a} {b}: {scale:?}");
        assert!([a, b].iter().all(|value| (0.0..=1.0).contains(&scale.at(*value))), "{a} {b}");
    }
}

#[test]
fn one_hopeless_lever_does_not_press_the_staircase_flat() {
    let point = |value: f64, status| Point {
        iteration: 1,
        status,
        value: Some(value),
        text: String::new(),
        title: String::new(),
        best: None,
        off_scale: false,
    };
    let mut points = [
        point(0.8, Status::Keep),
        point(0.9, Status::Keep),
        point(0.75, Status::Discard),
        point(0.07, Status::Discard),
    ];
    let scale = mark_outliers(&mut points, Direction::Maximize);
    assert_eq!(points.each_ref().map(|point| point.off_scale), [false, false, false, true]);
    assert!(scale.low > 0.7, "{scale:?}");
    assert_eq!(scale.at(0.07), 0.0);
}

#[test]
fn p31_the_running_best_is_a_staircase_in_text() {
    insta::assert_snapshot!(render(&Chart::of(&crate::history::test_story()), 60));
}

/// A campaign that gets better ever more slowly: every seventh iteration crashes, every fifth is kept.
pub fn campaign(iterations: u32, direction: Direction) -> Chart {
    let mut points = Vec::new();
    let mut best: Option<f64> = None;
    for n in 1..=iterations {
        let distance = 0.4 / f64::from(n).sqrt();
        let worse = if n % 5 == 1 { 0.0 } else { 0.02 + f64::from(n * 7 % 13) * 0.004 };
        let value = match direction {
            Direction::Maximize => 1.0 - distance - worse,
            Direction::Minimize => 2.0 + distance + worse,
        };
        let status = match n {
            n if n % 5 == 1 => Status::Keep,
            n if n % 7 == 0 => Status::Crash,
            _ => Status::Discard,
        };
        if status == Status::Keep {
            best = Some(value);
        }
        points.push(Point {
            iteration: n,
            status,
            value: (status != Status::Crash).then_some(value),
            text: format!("{value:.4}"),
            title: format!("lever number {n} of this campaign"),
            best,
            off_scale: false,
        });
    }
    let scale = mark_outliers(&mut points, direction);
    Chart { title: "made-up".to_owned(), metric: "score".to_owned(), direction, points, scale }
}

#[test]
fn a_plot_fits_its_width_from_one_iteration_to_five_hundred() {
    use super::super::text::visible_width;
    let mut shown = Vec::new();
    for (iterations, direction) in [
        (1, Direction::Maximize),
        (2, Direction::Minimize),
        (40, Direction::Minimize),
        (500, Direction::Maximize),
    ] {
        let chart = campaign(iterations, direction);
        for width in [60, 80, 120] {
            let text = render(&chart, width);
            let wide = text.lines().find(|line| visible_width(line) > usize::from(width));
            assert_eq!(wide, None, "{iterations} at {width}");
            let kept = text.matches('●').count() - 1;
            assert!(kept > 0, "what was kept is seen: {iterations} at {width}");
            shown.push(format!("{iterations} at {width}: {text}"));
        }
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_campaign_of_crashes_alone_has_a_plot() {
    let mut chart = campaign(3, Direction::Maximize);
    for point in &mut chart.points {
        (point.status, point.value, point.best) = (Status::Crash, None, None);
    }
    chart.scale = mark_outliers(&mut chart.points, Direction::Maximize);
    assert_eq!(render(&chart, 60).matches('×').count(), 4, "three and the legend's");
}
