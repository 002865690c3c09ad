//! Tables without lines.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

/// What stands between two columns.
const GAP: &str = "  ";

/// Rows of cells, each column as wide as its widest cell.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    widths: Vec<usize>,
}

impl Table {
    /// Adds a row below the others.
    pub fn add_row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        self.widths.resize(self.widths.len().max(cells.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = cell.lines().map(columns).fold(*width, usize::max);
        }
        self.rows.push(cells);
    }

    /// Whether there is nothing below its head.
    pub fn is_empty(&self) -> bool {
        self.rows.len() <= 1
    }

    /// Writes it, without blanks at the ends of lines. A cell of several lines makes its row as high.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = String::new();
        for row in &self.rows {
            let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(0).max(1);
            for place in 0..height {
                line.clear();
                let mut missing = 0;
                for (column, (cell, width)) in row.iter().zip(&self.widths).enumerate() {
                    if column > 0 {
                        missing += GAP.len();
                    }
                    let text = cell.lines().nth(place).unwrap_or_default();
                    if !text.is_empty() {
                        line.extend(std::iter::repeat_n(' ', missing));
                        line.push_str(text);
                        missing = 0;
                    }
                    missing += width - columns(text);
                }
                line.truncate(line.trim_end().len());
                line.push('\n');
                out.write_all(line.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// Columns that a text takes on a terminal, colours not counted.
fn columns(text: &str) -> usize {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.len();
    }
    let mut width = 0;
    let mut rest = text;
    while let Some((before, colour)) = rest.split_once("\x1b[") {
        width += before.width();
        rest = colour.split_once('m').map_or("", |(_, after)| after);
    }
    width + rest.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rows: &[&[&str]]) -> String {
        let mut table = Table::default();
        rows.iter().for_each(|row| table.add_row(row.iter().copied()));
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_they_need() {
        assert_eq!(text(&[&["a", "b", "c"], &["long", "", "x"]]), "a     b  c\nlong     x\n");
        assert_eq!(text(&[&["a", ""], &["", "b"]]), "a\n   b\n");
    }

    #[test]
    fn colours_take_no_columns_and_wide_letters_two() {
        let painted = text(&[&["\u{1b}[2mref\u{1b}[0m", "x"], &["last", "y"]]);
        assert_eq!(painted, "\u{1b}[2mref\u{1b}[0m   x\nlast  y\n");
        assert_eq!(text(&[&["\u{6a21}", "x"], &["abc", "y"]]), "\u{6a21}   x\nabc  y\n");
    }

    #[test]
    fn a_cell_may_have_several_lines() {
        assert_eq!(text(&[&["a", "one\ntwo", "b"]]), "a  one  b\n   two\n");
    }
}
