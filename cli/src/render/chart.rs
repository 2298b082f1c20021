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

/// The widest label of a tick; a metric of 10^300 has one too.
const LABEL_MAX_CHARS: usize = 12;
/// What lies further out is drawn at this edge: the span of a scale must be a number.
const EDGE: f64 = 1e300;

impl Scale {
    /// A scale that holds all of these, about five ticks long.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = values
            .filter(|value| value.is_finite())
            .map(|value| value.clamp(-EDGE, EDGE))
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

    /// A tick as text.
    pub fn label(&self, tick: f64) -> String {
        let plain = format!("{tick:.*}", self.digits);
        if plain.len() <= LABEL_MAX_CHARS { plain } else { format!("{tick:.2e}") }
    }

    /// Where a value lies, from 0 at the bottom to 1 at the top; what is off the scale lies at its edge.
    pub fn at(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// Rows of the plot, without the one for crashes.
const ROWS: usize = 14;
/// The widest that one iteration is drawn.
const STEP_MAX: usize = 6;

/// The chart as text, `width` columns wide. Where there are more iterations than columns, a column stands
/// for several of them, so that the whole staircase is seen.
pub fn render(chart: &Chart, width: u16) -> String {
    let margin = tick_width(&chart.scale) + 2;
    let room = usize::from(width).saturating_sub(margin + 1).max(8);
    let n = chart.points.len().max(1);
    let step = (room / n).clamp(1, STEP_MAX);
    let each = n.div_ceil(room);
    let columns: Vec<&[Point]> = chart.points.chunks(each).collect();
    let grid = grid(chart, &columns, step);
    let mut text =
        format!("{} by iteration ({})\n", super::text::neutral(&chart.metric), better(chart.direction));
    for (row, cells) in grid.iter().enumerate() {
        let tick = chart.scale.ticks.iter().find(|tick| row < ROWS && row_of(chart, **tick) == row);
        let label = tick.map_or(String::new(), |tick| chart.scale.label(*tick));
        let axis = if tick.is_some() { '┤' } else { '│' };
        let line: String = cells.iter().collect();
        text.push_str(format!("{label:>w$} {axis}{line}", w = margin - 2).trim_end());
        text.push('\n');
    }
    text.push_str(&numbers(&columns, step, margin));
    text.push_str("● keep  ○ discard  × crash  ─ best");
    text.push_str(if chart.points.iter().any(|point| point.off_scale) { "  ◌ off the scale" } else { "" });
    text.push_str(&if each > 1 { format!("\na column is {each} iterations\n") } else { "\n".to_owned() });
    text
}

fn row_of(chart: &Chart, value: f64) -> usize {
    (((1.0 - chart.scale.at(value)) * (ROWS - 1) as f64).round() as usize).min(ROWS - 1)
}

/// The staircase first, then what was let go, then what was kept: the later stands over the earlier.
fn grid(chart: &Chart, columns: &[&[Point]], step: usize) -> Vec<Vec<char>> {
    let mut grid = vec![vec![' '; columns.len() * step]; ROWS + 1];
    for (index, points) in columns.iter().enumerate() {
        let (start, middle) = (index * step, index * step + step / 2);
        if let Some(best) = points.last().and_then(|point| point.best) {
            for cell in &mut grid[row_of(chart, best)][start..start + step] {
                *cell = '─';
            }
        }
        let is_kept = |point: &&Point| point.status == Status::Keep;
        let let_go = points.iter().filter(|point| !is_kept(point));
        for point in let_go.chain(points.iter().filter(is_kept)) {
            let (row, mark) = match point.value {
                Some(value) if point.off_scale => (row_of(chart, value), '◌'),
                Some(value) => (row_of(chart, value), mark(point.status)),
                None => (ROWS, mark(Status::Crash)),
            };
            grid[row][middle] = mark;
        }
    }
    grid
}

fn numbers(columns: &[&[Point]], step: usize, margin: usize) -> String {
    let mut line = vec![' '; margin + columns.len() * step];
    let mut free_from = 0;
    for (index, points) in columns.iter().enumerate() {
        let label = points.first().map_or(String::new(), |point| point.iteration.to_string());
        let start = margin + index * step + step / 2;
        // A number that would stand over the edge is left out.
        if start >= free_from && start + label.len() <= line.len().max(margin + STEP_MAX) {
            line.resize(line.len().max(start + label.len()), ' ');
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
    scale.ticks.iter().map(|tick| scale.label(*tick).len()).max().unwrap_or(1)
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
#[path = "chart_tests.rs"]
pub mod tests;
