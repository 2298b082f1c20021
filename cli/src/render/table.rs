//! Tables that fit the terminal: no borders, a header, long text wrapped or cut in one column.

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table as Comfy, Width, presets,
};

/// A table that is being filled.
#[derive(Debug)]
pub struct Table {
    comfy: Comfy,
    columns: usize,
}

impl Table {
    /// With these headings, for a terminal of this width.
    pub fn new(headings: &[&str], width: u16) -> Self {
        let mut comfy = Comfy::new();
        comfy.load_style(presets::NOTHING).force_no_tty();
        comfy.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        comfy.set_header(headings.iter().map(|heading| Cell::new(heading.to_uppercase())));
        Self { comfy, columns: headings.len() }
    }

    /// Adds a row; each cell is neutralised.
    pub fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        self.comfy.add_row(cells.iter().map(|cell| Cell::new(super::text::neutral(cell.as_ref()))));
    }

    /// Figures stand to the right.
    pub fn right(mut self, column: usize) -> Self {
        if let Some(column) = self.comfy.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self
    }

    /// Every column but these keeps its content whole; these share what is left of the width.
    pub fn flexible(mut self, flexible: &[usize]) -> Self {
        for index in 0..self.columns {
            if let Some(column) = self.comfy.column_mut(index) {
                let constraint = if flexible.contains(&index) {
                    ColumnConstraint::LowerBoundary(Width::Fixed(8))
                } else {
                    ColumnConstraint::ContentWidth
                };
                column.set_constraint(constraint);
            }
        }
        self
    }

    /// The lines, each ended, none with trailing blanks, the first without its margin.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for line in self.comfy.lines() {
            let line = line.strip_prefix(' ').unwrap_or(&line);
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_its_width_and_keeps_what_must_stay_whole() {
        let mut table = Table::new(&["iter", "metric", "description"], 40).flexible(&[2]).right(1);
        table.row(&["1", "0.9", "baseline"]);
        table.row(&["2", "0.9123", "a long description that cannot stand on one line\x1b[2J of forty"]);
        let text = table.render();
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(!text.contains('\x1b'));
        insta::assert_snapshot!(text);
    }
}
