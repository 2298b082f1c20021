//! Tables that fit the terminal: no borders, a header, text wrapped between words. Where the width does
//! not hold all columns the least important are left out; what is still too long is cut, and marked so.

use super::style::FAINT;
use super::text::{cut, neutral, visible_width, wrap};
use anstyle::Style;

/// Blanks between two columns.
const GAP: usize = 2;
/// The narrowest that a column which wraps gets before another one is left out.
const WRAP_MIN: usize = 18;
/// A word up to this long is kept whole rather than a less important column.
const WORD_MAX: usize = 28;
/// The narrowest that any column gets: a character and the mark of the cut.
const FLOOR: usize = 4;

/// One column: its heading, and how it behaves where there is little room.
#[derive(Clone, Debug)]
pub struct Column {
    heading: String,
    wraps: bool,
    is_right: bool,
    rank: u8,
    hides: bool,
}

impl Column {
    /// A column that stays, on one line.
    pub fn new(heading: &str) -> Self {
        let heading = neutral(heading).to_uppercase();
        Self { heading, wraps: false, is_right: false, rank: 0, hides: false }
    }

    /// Its text may stand on several lines.
    pub fn wraps(mut self) -> Self {
        self.wraps = true;
        self
    }

    /// Figures stand to the right.
    pub fn right(mut self) -> Self {
        self.is_right = true;
        self
    }

    /// It may be left out; the highest rank goes first.
    pub fn rank(mut self, rank: u8) -> Self {
        self.rank = rank;
        self
    }

    /// It is left out when it is empty in every row.
    pub fn hides(mut self) -> Self {
        self.hides = true;
        self
    }
}

/// One cell, neutralised.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// With a colour that means something.
    pub fn styled(text: &str, style: Style) -> Self {
        Self { text: neutral(text).trim().to_owned(), style }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::styled(text, Style::new())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

/// A table that is being filled.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    width: usize,
}

impl Table {
    /// For a terminal of this width.
    pub fn new(width: u16, columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new(), width: usize::from(width) }
    }

    /// Adds a row: a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines, each ended, none with trailing blanks.
    pub fn render(&self) -> String {
        let shown = self.layout();
        let mut text = String::new();
        let headings = shown.iter().map(|(index, columns)| {
            (
                vec![cut(&self.columns[*index].heading, *columns)],
                FAINT,
                self.columns[*index].is_right,
                *columns,
            )
        });
        push_row(&mut text, headings.collect());
        for row in &self.rows {
            let cells = shown.iter().map(|(index, columns)| {
                let column = &self.columns[*index];
                let empty = Cell::from("");
                let cell = row.get(*index).unwrap_or(&empty);
                let lines = match column.wraps {
                    true => wrap(&cell.text, *columns, *columns),
                    false => vec![cut(&cell.text, *columns)],
                };
                (lines, cell.style, column.is_right, *columns)
            });
            push_row(&mut text, cells.collect());
        }
        text
    }

    /// The columns that are shown, by index, with the width of each.
    fn layout(&self) -> Vec<(usize, usize)> {
        let natural: Vec<usize> = (0..self.columns.len()).map(|index| self.natural(index)).collect();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        shown.retain(|index| !(self.columns[*index].hides && self.is_empty(*index)));
        loop {
            let gaps = GAP * shown.len().saturating_sub(1);
            let room = self.width.saturating_sub(gaps);
            let needed: usize = shown.iter().map(|index| self.least(*index, &natural)).sum();
            let last = shown.iter().copied().filter(|index| self.columns[*index].rank > 0);
            match last.max_by_key(|index| self.columns[*index].rank) {
                Some(least_important) if needed > room => shown.retain(|index| *index != least_important),
                _ => return self.share(&shown, &natural, room),
            }
        }
    }

    fn is_empty(&self, index: usize) -> bool {
        self.rows.iter().all(|row| row.get(index).is_none_or(|cell| cell.text.is_empty()))
    }

    /// What a column takes on one line.
    fn natural(&self, index: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| visible_width(&cell.text));
        cells.chain([visible_width(&self.columns[index].heading)]).max().unwrap_or(0)
    }

    /// What a column must have so that others need not go for it.
    fn least(&self, index: usize, natural: &[usize]) -> usize {
        if !self.columns[index].wraps {
            return natural[index];
        }
        let cells = self.rows.iter().filter_map(|row| row.get(index));
        let words = cells.flat_map(|cell| cell.text.split(' ')).map(visible_width);
        let longest = words.max().unwrap_or(0).min(WORD_MAX);
        natural[index].min(longest.max(WRAP_MIN))
    }

    /// Every column gets its least, and those that wrap share the rest: a short one takes what it needs,
    /// the long ones the same each. Where even the least does not fit, the widest give way.
    fn share(&self, shown: &[usize], natural: &[usize], room: usize) -> Vec<(usize, usize)> {
        let mut widths: Vec<(usize, usize)> =
            shown.iter().map(|index| (*index, self.least(*index, natural))).collect();
        // Bounded: each turn takes a column away or adds one, and no width grows past its content.
        while widths.iter().map(|(_, columns)| columns).sum::<usize>() > room {
            match widths.iter_mut().max_by_key(|(_, columns)| *columns) {
                Some((_, columns)) if *columns > FLOOR => *columns -= 1,
                _ => return widths,
            }
        }
        loop {
            let spare = room - widths.iter().map(|(_, columns)| columns).sum::<usize>();
            let wanting = widths.iter_mut().filter(|(index, columns)| *columns < natural[*index]);
            match wanting.min_by_key(|(_, columns)| *columns) {
                Some((_, columns)) if spare > 0 => *columns += 1,
                _ => return widths,
            }
        }
    }
}

/// One row, which takes as many lines as its longest cell.
fn push_row(text: &mut String, cells: Vec<(Vec<String>, Style, bool, usize)>) {
    let height = cells.iter().map(|(lines, ..)| lines.len()).max().unwrap_or(0);
    for nth in 0..height {
        let mut line = String::new();
        // Blanks are owed, not written, so that none trails.
        let mut owed = 0;
        for (lines, style, is_right, columns) in &cells {
            let part = lines.get(nth).map_or("", String::as_str);
            let pad = columns.saturating_sub(visible_width(part));
            if part.is_empty() {
                owed += columns + GAP;
                continue;
            }
            let (before, after) = if *is_right { (pad, 0) } else { (0, pad) };
            line.push_str(&" ".repeat(owed + before));
            line.push_str(&format!("{style}{part}{style:#}"));
            owed = after + GAP;
        }
        text.push_str(&line);
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(width: u16) -> String {
        let mut table = Table::new(
            width,
            [
                Column::new("iter").right(),
                Column::new("metric").right(),
                Column::new("description").wraps(),
                Column::new("kind").rank(2),
                Column::new("created").rank(1),
                Column::new("passes").hides(),
            ],
        );
        let row = |cells: [&str; 6]| cells.map(Cell::from);
        table.row(row(["1", "0.9", "baseline", "change", "2 d ago", ""]));
        let long = "a long description that cannot stand on one line\x1b[2J of forty";
        table.row(row(["2", "0.9123", long, "simplification", "just now", ""]));
        anstream::adapter::strip_str(&table.render()).to_string()
    }

    #[test]
    fn a_table_fits_any_width_and_leaves_out_what_matters_least() {
        for width in 20..120 {
            let text = sample(width);
            assert!(text.lines().all(|line| visible_width(line) <= usize::from(width)), "{width}\n{text}");
            assert!(!text.contains('\x1b') && !text.contains("PASSES"), "{text}");
            assert!(text.lines().all(|line| line == line.trim_end()), "{width}\n{text}");
        }
        insta::assert_snapshot!([80, 60, 40, 30].map(sample).join("\n"));
    }

    #[test]
    fn a_column_that_wraps_breaks_between_words() {
        let words = "a long description that cannot stand on one line[2J of forty";
        for width in 40..90 {
            let text = sample(width);
            for word in text.split_whitespace().filter(|word| word.len() > 8 && word.ends_with("tion")) {
                assert!(words.contains(word) || word == "simplification", "{word} at {width}\n{text}");
            }
        }
    }

    #[test]
    fn a_word_too_long_for_its_column_is_cut_and_marked() {
        let mut table = Table::new(24, [Column::new("n"), Column::new("path").wraps()]);
        table.row(["1", "see /a/path/that/is/far/too/long.py now"].map(Cell::from));
        let plain = anstream::adapter::strip_str(&table.render()).to_string();
        assert_eq!(plain, "N  PATH\n1  see\n   /a/path/that/is/far/…\n   now\n");
    }
}
