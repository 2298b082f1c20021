//! `progress.svg`: the chart drawn by hand, readable on light and dark, the same bytes for the same
//! ledger.

use super::chart::{Chart, Point, better};
use super::text::cut;
use std::fmt::Write;
use windlass_shared::conclusion::Status;

const HEIGHT: f64 = 440.0;
const LEFT: f64 = 72.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 340.0;
/// Crashes stand on a line of their own below the plot.
const CRASH_LINE: f64 = 366.0;
/// The width of one character of a label, at its size; labels are laid out before any font is known.
const LABEL_CHAR: f64 = 5.8;
const LABEL_HEIGHT: f64 = 13.0;
const LABEL_CHARS_MAX: usize = 34;
/// What all iterations together may take: a page's width, however many they are.
const PLOT_WIDTH: f64 = 800.0;
/// The widest that one iteration is drawn.
const STEP_MAX: f64 = 90.0;

const STYLE: &str = "\
svg{background:#ffffff}text{font:11px system-ui,sans-serif;fill:#24292f}.title{font-size:15px;font-weight:600}\
.faint{fill:#57606a}.grid{stroke:#d0d7de}.axis{stroke:#57606a}.best{fill:none;stroke:#1a7f37;stroke-width:2}\
.keep{fill:#1a7f37}.discard{fill:#bf8700}.crash{stroke:#cf222e;stroke-width:2}.lead{stroke:#8c959f}\
@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.faint{fill:#9da7b3}\
.grid{stroke:#30363d}.axis{stroke:#8b949e}.best{stroke:#3fb950}.keep{fill:#3fb950}.discard{fill:#d29922}\
.crash{stroke:#f85149}.lead{stroke:#6e7681}}";

/// A rectangle that is taken.
#[derive(Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Area {
    fn overlaps(&self, other: &Self) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}

/// The whole file.
pub fn render(chart: &Chart) -> String {
    let frame = Frame::of(chart);
    let mut svg = String::new();
    let width = frame.width;
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {HEIGHT:.0}\" \
         width=\"{width:.0}\" height=\"{HEIGHT:.0}\" role=\"img\">"
    );
    let _ = writeln!(svg, "<title>{}</title>\n<style>{STYLE}</style>", escape(&heading(chart)));
    let _ = writeln!(svg, "<text class=\"title\" x=\"{LEFT}\" y=\"26\">{}</text>", escape(&heading(chart)));
    let _ = writeln!(svg, "<text class=\"faint\" x=\"{LEFT}\" y=\"44\">{}</text>", escape(&subtitle(chart)));
    axes(&mut svg, chart, &frame);
    staircase(&mut svg, chart, &frame);
    // What was kept is drawn last, over what stands close to it.
    let is_kept = |point: &Point| point.status == Status::Keep;
    for kept in [false, true] {
        for (index, point) in chart.points.iter().enumerate().filter(|(_, point)| is_kept(point) == kept) {
            dot(&mut svg, point, frame.x(index), frame.y(point), frame.size(point.status));
        }
    }
    labels(&mut svg, chart, &frame);
    legend(&mut svg);
    svg.push_str("</svg>\n");
    svg
}

struct Frame {
    width: f64,
    step: f64,
    scale: super::chart::Scale,
}

impl Frame {
    fn of(chart: &Chart) -> Self {
        let n = chart.points.len().max(1) as f64;
        let step = (PLOT_WIDTH / n).min(STEP_MAX);
        Self { width: LEFT + (step * n).max(560.0) + 40.0, step, scale: chart.scale.clone() }
    }

    /// How large a mark is: where they stand closer than their size, what was let go gives way.
    fn size(&self, status: Status) -> f64 {
        let (full, least) = match status {
            Status::Keep => (5.0, 3.0),
            Status::Discard => (4.0, 1.5),
            Status::Crash => (4.0, 1.5),
        };
        (self.step * 0.45).clamp(least, full)
    }

    fn x(&self, index: usize) -> f64 {
        LEFT + self.step * (index as f64 + 0.5)
    }

    fn value(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * self.scale.at(value)
    }

    fn y(&self, point: &Point) -> f64 {
        point.value.map_or(CRASH_LINE, |value| self.value(value))
    }
}

fn heading(chart: &Chart) -> String {
    format!("{}: {} by iteration", chart.title, chart.metric)
}

fn subtitle(chart: &Chart) -> String {
    let best = chart
        .points
        .iter()
        .rev()
        .filter(|point| point.status == Status::Keep)
        .find(|point| point.value.is_some() && point.value == point.best);
    match best {
        Some(best) => format!(
            "{}; best {} in iteration {}, {}",
            better(chart.direction),
            best.text,
            best.iteration,
            cut(&best.title, 60)
        ),
        None => better(chart.direction).to_owned(),
    }
}

fn axes(svg: &mut String, chart: &Chart, frame: &Frame) {
    let right = frame.width - 20.0;
    for tick in &chart.scale.ticks {
        let y = frame.value(*tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\"/>"
        );
        let _ = writeln!(
            svg,
            "<text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            chart.scale.label(*tick)
        );
    }
    let _ = writeln!(svg, "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{TOP}\" x2=\"{LEFT}\" y2=\"{BOTTOM}\"/>");
    let _ = writeln!(
        svg,
        "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{BOTTOM}\" x2=\"{right:.1}\" y2=\"{BOTTOM}\"/>"
    );
    if chart.points.iter().any(|point| point.value.is_none()) {
        let _ = writeln!(
            svg,
            "<text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">crash</text>",
            LEFT - 8.0,
            CRASH_LINE + 4.0
        );
    }
    // Round numbers, as close as they can be read.
    let every = [1, 2, 5, 10, 20, 50, 100, 200, 500].into_iter().find(|n| f64::from(*n) * frame.step >= 26.0);
    let every = every.unwrap_or(1000);
    let is_numbered = |point: &Point| point.iteration.is_multiple_of(every);
    for (index, point) in chart.points.iter().enumerate().filter(|(_, point)| is_numbered(point)) {
        let _ = writeln!(
            svg,
            "<text class=\"faint\" x=\"{:.1}\" y=\"392\" text-anchor=\"middle\">{}</text>",
            frame.x(index),
            point.iteration
        );
    }
}

fn staircase(svg: &mut String, chart: &Chart, frame: &Frame) {
    let mut path = String::new();
    for (index, point) in chart.points.iter().enumerate() {
        let Some(best) = point.best else { continue };
        let (x, y) = (frame.x(index), frame.value(best));
        let _ = if path.is_empty() { write!(path, "M{x:.1} {y:.1}") } else { write!(path, "H{x:.1}V{y:.1}") };
    }
    if !path.is_empty() {
        let _ = write!(path, "H{:.1}", frame.width - 20.0);
        let _ = writeln!(svg, "<path class=\"best\" d=\"{path}\"/>");
    }
}

fn dot(svg: &mut String, point: &Point, x: f64, y: f64, size: f64) {
    let what =
        format!("iteration {}: {} ({}), {}", point.iteration, point.text, point.status.as_str(), point.title);
    let what = escape(&what);
    let _ = match point.status {
        Status::Crash => writeln!(
            svg,
            "<path class=\"crash\" d=\"M{:.1} {:.1}l{d} {d}m0 -{d}l-{d} {d}\"><title>{what}</title></path>",
            x - size,
            y - size,
            d = 2.0 * size
        ),
        status => writeln!(
            svg,
            "<circle class=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{}\"><title>{what}</title></circle>",
            status.as_str(),
            size
        ),
    };
    if point.off_scale {
        let side = if y < (TOP + BOTTOM) / 2.0 { -10.0 } else { 18.0 };
        let text = escape(&cut(&point.text, 12));
        let y = y + side;
        let _ = writeln!(
            svg,
            "<text class=\"faint\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{text}</text>"
        );
    }
}

/// Names in one picture: more of them are noise, and each is in its dot's own title.
const LABELS_MAX: usize = 24;

/// Kept levers by name, each at the first place near its dot that is free of dots and other labels. Where
/// there is no room for all, the largest steps have theirs.
fn labels(svg: &mut String, chart: &Chart, frame: &Frame) {
    let mut taken: Vec<Area> = chart
        .points
        .iter()
        .enumerate()
        .map(|(index, point)| {
            let (x, y) = (frame.x(index), frame.y(point));
            let size = frame.size(point.status) + 1.0;
            Area { x: x - size, y: y - size, width: 2.0 * size, height: 2.0 * size }
        })
        .collect();
    taken.extend(steps(chart, frame));
    let mut place = Places { taken, labels: Vec::new(), leads: Vec::new(), right: frame.width - 8.0 };
    for (index, point) in by_step(chart).into_iter().take(LABELS_MAX) {
        let text = cut(&point.title, LABEL_CHARS_MAX);
        let width = text.chars().count() as f64 * LABEL_CHAR;
        let Some((area, lead)) = place.find(frame.x(index), frame.y(point), width) else { continue };
        if let Some(Lead { x, y, end, edge }) = lead {
            let _ = writeln!(
                svg,
                "<line class=\"lead\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{end:.1}\" y2=\"{edge:.1}\"/>"
            );
        }
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", area.x, area.y + 10.0, escape(&text));
    }
}

/// The kept iterations with their index, the largest step first; the first and the last before all.
fn by_step(chart: &Chart) -> Vec<(usize, &Point)> {
    let is_kept = |point: &Point| point.status == Status::Keep && point.value.is_some();
    let kept: Vec<(usize, &Point)> =
        chart.points.iter().enumerate().filter(|(_, point)| is_kept(point)).collect();
    let step = |nth: usize| match (nth, kept[nth].1.value) {
        (nth, Some(value)) if nth > 0 && nth + 1 < kept.len() => {
            (value - kept[nth - 1].1.value.unwrap_or(value)).abs()
        }
        _ => f64::INFINITY,
    };
    let mut order: Vec<usize> = (0..kept.len()).collect();
    order.sort_by(|a, b| step(*b).total_cmp(&step(*a)).then(a.cmp(b)));
    order.into_iter().map(|nth| kept[nth]).collect()
}

/// The staircase as areas that no label may cross.
fn steps(chart: &Chart, frame: &Frame) -> Vec<Area> {
    let mut areas = Vec::new();
    for (index, pair) in chart.points.windows(2).enumerate() {
        let (Some(from), Some(to)) = (pair[0].best, pair[1].best) else { continue };
        let (x, end, y, next) = (frame.x(index), frame.x(index + 1), frame.value(from), frame.value(to));
        areas.push(Area { x, y: y - 2.0, width: end - x, height: 4.0 });
        areas.push(Area { x: end - 2.0, y: y.min(next), width: 4.0, height: (y - next).abs() });
    }
    areas
}

/// A line from a dot to its label.
#[derive(Clone, Copy)]
struct Lead {
    x: f64,
    y: f64,
    end: f64,
    edge: f64,
}

impl Lead {
    /// To a label that does not stand right beside its dot.
    fn to(area: &Area, x: f64, y: f64) -> Option<Self> {
        let middle = area.y + LABEL_HEIGHT / 2.0;
        let is_far = (middle - y).abs() > LABEL_HEIGHT * 1.5;
        let end = x.clamp(area.x, area.x + area.width);
        let edge = if middle < y { area.y + LABEL_HEIGHT } else { area.y };
        is_far.then_some(Self { x, y, end, edge })
    }

    /// Points along the line, close enough that no label lies between two of them.
    fn crosses(&self, area: &Area) -> bool {
        (1..20).any(|n| {
            let part = f64::from(n) / 20.0;
            let (x, y) = (self.x + (self.end - self.x) * part, self.y + (self.edge - self.y) * part);
            area.overlaps(&Area { x: x - 1.0, y: y - 5.0, width: 2.0, height: 10.0 })
        })
    }
}

/// What stands where already.
struct Places {
    /// Dots and the staircase.
    taken: Vec<Area>,
    labels: Vec<Area>,
    leads: Vec<Lead>,
    right: f64,
}

impl Places {
    /// The first place near a dot that is free; it is taken from then on.
    fn find(&mut self, x: f64, y: f64, width: f64) -> Option<(Area, Option<Lead>)> {
        let tries = (0..24).flat_map(|n| [-1.0, 1.0].map(|side| (side, f64::from(n))));
        let found = tries.into_iter().find_map(|(side, n)| {
            let top = y - LABEL_HEIGHT / 2.0 + side * (LABEL_HEIGHT + 1.0 + n * 7.0);
            let is_inside = top >= TOP - 14.0 && top + LABEL_HEIGHT <= BOTTOM;
            // Beside the dot to the right, before it, and to the left.
            let starts = [x + 8.0, x - width / 2.0, x - width - 8.0].into_iter().filter(|_| is_inside);
            starts.into_iter().find_map(|start| {
                let start = start.clamp(LEFT + 4.0, (self.right - width).max(LEFT + 4.0));
                let area = Area { x: start, y: top, width, height: LABEL_HEIGHT };
                let lead = Lead::to(&area, x, y);
                self.is_free(&area, lead.as_ref()).then_some((area, lead))
            })
        })?;
        self.labels.push(found.0);
        self.leads.extend(found.1);
        Some(found)
    }

    fn is_free(&self, area: &Area, lead: Option<&Lead>) -> bool {
        let mut others = self.taken.iter().chain(&self.labels);
        !others.any(|other| other.overlaps(area))
            && !self.leads.iter().any(|other| other.crosses(area))
            && !lead.is_some_and(|lead| self.labels.iter().any(|label| lead.crosses(label)))
    }
}

fn legend(svg: &mut String) {
    let y = HEIGHT - 20.0;
    let _ = writeln!(
        svg,
        "<circle class=\"keep\" cx=\"{0}\" cy=\"{1}\" r=\"5\"/><text x=\"{2}\" y=\"{3}\">keep</text>\
         <circle class=\"discard\" cx=\"{4}\" cy=\"{1}\" r=\"4\"/><text x=\"{5}\" y=\"{3}\">discard</text>\
         <path class=\"crash\" d=\"M{6} {7}l8 8m0 -8l-8 8\"/><text x=\"{8}\" y=\"{3}\">crash</text>\
         <path class=\"best\" d=\"M{9} {1}h20\"/><text x=\"{10}\" y=\"{3}\">best so far</text>",
        LEFT + 6.0,
        y,
        LEFT + 16.0,
        y + 4.0,
        LEFT + 66.0,
        LEFT + 76.0,
        LEFT + 132.0,
        y - 4.0,
        LEFT + 146.0,
        LEFT + 192.0,
        LEFT + 218.0
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::chart::Scale;
    use windlass_shared::bindings::Direction;

    #[test]
    fn p31_dots_staircase_and_labels() {
        insta::assert_snapshot!(render(&Chart::of(&crate::history::test_story())));
    }

    #[test]
    fn labels_never_overlap_and_text_is_escaped() {
        let points: Vec<Point> = (1..=30)
            .map(|n| {
                let value = 0.5 + f64::from(n) * 0.001;
                Point {
                    iteration: n,
                    status: Status::Keep,
                    value: Some(value),
                    text: value.to_string(),
                    title: format!("<lever> & \"number\" {n}"),
                    best: Some(value),
                    off_scale: false,
                }
            })
            .collect();
        let scale = Scale::of(points.iter().filter_map(|p| p.value));
        let chart =
            Chart { title: "many".into(), metric: "m".into(), direction: Direction::Maximize, points, scale };
        let svg = render(&chart);
        assert!(!svg.contains("<lever>"));
        let places: Vec<(f64, f64)> = svg
            .lines()
            .filter(|line| line.starts_with("<text x=") && line.contains("number"))
            .filter_map(|line| {
                let figure = |name: &str| line.split(name).nth(1)?.split('"').next()?.parse().ok();
                Some((figure(" x=\"")?, figure(" y=\"")?))
            })
            .collect();
        assert!(places.len() > 5, "{}", places.len());
        for (i, a) in places.iter().enumerate() {
            for b in &places[i + 1..] {
                assert!((a.1 - b.1).abs() >= 13.0 || (a.0 - b.0).abs() > 60.0, "{a:?} {b:?}");
            }
        }
    }
}
