//! What a plot shows, before it is drawn: points, the running best, a scale with round ticks.

use crate::history::Story;
use windlass_shared::bindings::Direction;
use windlass_shared::conclusion::Status;

/// A campaign as a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Campaign's name.
    pub title: String,
    /// The metric, and which way is better.
    pub metric: String,
    /// See `metric`.
    pub direction: Direction,
    /// In the order of decision.
    pub points: Vec<Point>,
    /// The vertical scale.
    pub scale: Scale,
}

/// One decided iteration.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its number.
    pub iteration: u32,
    /// Keep, discard or crash.
    pub status: Status,
    /// None for a crash.
    pub value: Option<f64>,
    /// As printed.
    pub text: String,
    /// Lever's title.
    pub title: String,
    /// The best kept value from here on, if anything was kept yet.
    pub best: Option<f64>,
    /// So much worse than all that was kept that it stands at the edge.
    pub off_scale: bool,
}

/// A range with its ticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// The lowest value shown.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// Round values between.
    pub ticks: Vec<f64>,
    /// Digits after the point that tell the ticks apart.
    pub digits: usize,
}

impl Chart {
    /// The chart of a story.
    pub fn of(story: &Story) -> Self {
        let direction = story.bindings.metric_direction;
        let mut best: Option<f64> = None;
        let mut points = Vec::new();
        for (iteration, decision) in story.rows() {
            let metric = decision.arithmetic.metric.as_ref().filter(|_| decision.status != Status::Crash);
            let value = metric.map(|metric| metric.to_f64());
            if let (Status::Keep, Some(value)) = (decision.status, value) {
                best = Some(match (best, direction) {
                    (None, _) => value,
                    (Some(best), Direction::Maximize) => best.max(value),
                    (Some(best), Direction::Minimize) => best.min(value),
                });
            }
            points.push(Point {
                iteration: iteration.number.0,
                status: decision.status,
                value,
                text: metric.map_or("no metric".to_owned(), |metric| metric.text().to_owned()),
                title: super::text::neutral(&iteration.title),
                best,
                off_scale: false,
            });
        }
        let scale = mark_outliers(&mut points, direction);
        Self { title: story.name.clone(), metric: story.bindings.metric.clone(), direction, points, scale }
    }
}

/// One hopeless lever must not press the staircase flat: what is worse than everything kept, by more than
/// the kept ones span, is left off the scale.
fn mark_outliers(points: &mut [Point], direction: Direction) -> Scale {
    let kept = || points.iter().filter(|point| point.status == Status::Keep).filter_map(|point| point.value);
    let low = kept().fold(f64::INFINITY, f64::min);
    let high = kept().fold(f64::NEG_INFINITY, f64::max);
    let span = high - low;
    if span > 0.0 {
        for point in points.iter_mut() {
            point.off_scale = point.value.is_some_and(|value| match direction {
                Direction::Maximize => value < low - span,
                Direction::Minimize => value > high + span,
            });
        }
    }
    Scale::of(points.iter().filter(|point| !point.off_scale).filter_map(|point| point.value))
}

impl Scale {
    /// A scale that holds all of these, about five ticks long.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low <= f64::EPSILON * high.abs().max(1.0) {
            let around = (high.abs() * 0.05).max(1e-9);
            (low, high) = (low - around, high + around);
        }
        let rough = (high - low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|n| n * power).into_iter().find(|n| *n >= rough);
        let step = step.unwrap_or(rough);
        let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
        let digits = (0..12).find(|digits| {
            let scaled = step * 10f64.powi(*digits);
            (scaled - scaled.round()).abs() < 1e-6
        });
        let ticks: Vec<f64> = (first..=last).map(|n| n as f64 * step).collect();
        Self {
            low: first as f64 * step,
            high: last as f64 * step,
            ticks,
            digits: digits.unwrap_or(12) as usize,
        }
    }

    /// Where a value lies, from 0 at the bottom to 1 at the top; what is off the scale lies at its edge.
    pub fn at(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// The chart as text, `width` columns wide.
pub fn render(chart: &Chart, width: u16) -> String {
    const ROWS: usize = 14;
    let margin = tick_width(&chart.scale) + 2;
    let room = (width as usize).saturating_sub(margin + 1).max(8);
    let n = chart.points.len().max(1);
    let step = (room / n).clamp(1, 6);
    // Older iterations leave a chart that is too narrow for all of them.
    let shown = &chart.points[chart.points.len().saturating_sub(room / step)..];
    let mut grid = vec![vec![' '; shown.len() * step]; ROWS + 1];
    let row_of = |value: f64| ((1.0 - chart.scale.at(value)) * (ROWS - 1) as f64).round() as usize;
    for (index, point) in shown.iter().enumerate() {
        let start = index * step;
        if let Some(best) = point.best {
            for cell in &mut grid[row_of(best).min(ROWS - 1)][start..start + step] {
                *cell = '─';
            }
        }
        let (row, mark) = match (point.value, point.status) {
            (Some(value), Status::Keep) => (row_of(value).min(ROWS - 1), '●'),
            (Some(value), _) if point.off_scale => (row_of(value).min(ROWS - 1), '◌'),
            (Some(value), _) => (row_of(value).min(ROWS - 1), '○'),
            (None, _) => (ROWS, '×'),
        };
        grid[row][start + step / 2] = mark;
    }
    let mut text = format!("{} by iteration ({})\n", chart.metric, better(chart.direction));
    for (row, cells) in grid.iter().enumerate() {
        let tick = chart.scale.ticks.iter().find(|tick| row_of(**tick) == row && row < ROWS);
        let label = tick.map_or(String::new(), |tick| format!("{tick:.*}", chart.scale.digits));
        let axis = if tick.is_some() { '┤' } else { '│' };
        let line: String = cells.iter().collect();
        text.push_str(format!("{label:>w$} {axis}{line}", w = margin - 2).trim_end());
        text.push('\n');
    }
    text.push_str(&numbers(shown, step, margin));
    text.push_str("● keep  ○ discard  × crash  ─ best");
    text.push_str(if shown.iter().any(|point| point.off_scale) { "  ◌ off the scale\n" } else { "\n" });
    text
}

fn numbers(shown: &[Point], step: usize, margin: usize) -> String {
    let mut line = vec![' '; margin + shown.len() * step + 4];
    let mut free_from = 0;
    for (index, point) in shown.iter().enumerate() {
        let label = point.iteration.to_string();
        let start = margin + index * step + step / 2;
        if start >= free_from {
            for (offset, c) in label.chars().enumerate() {
                line[start + offset] = c;
            }
            free_from = start + label.len() + 1;
        }
    }
    let text: String = line.into_iter().collect();
    format!("{}\n", text.trim_end())
}

fn tick_width(scale: &Scale) -> usize {
    scale.ticks.iter().map(|tick| format!("{tick:.*}", scale.digits).len()).max().unwrap_or(1)
}

/// The mark of a decided iteration.
pub fn mark(status: Status) -> char {
    match status {
        Status::Keep => '●',
        Status::Discard => '○',
        Status::Crash => '×',
    }
}

/// Which way is better, in words.
pub fn better(direction: Direction) -> &'static str {
    match direction {
        Direction::Maximize => "higher is better",
        Direction::Minimize => "lower is better",
    }
}

#[cfg(test)]
mod tests {
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
}
