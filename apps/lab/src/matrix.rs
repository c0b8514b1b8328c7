//! Who reaches whom, as a table for people: rows send, columns answer.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::probe::{Answer, KINDS, Kind};

/// One direction between two, by one kind of probe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Who sends.
    pub from: String,
    /// Who answers.
    pub to: String,
    /// By what.
    pub kind: Kind,
}

/// The answers of a round of probes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrix {
    cells: BTreeMap<Cell, Answer>,
    rows: Vec<String>,
    columns: Vec<String>,
}

impl Matrix {
    /// An empty table whose first columns are these; rows, and other columns, stand in the order in which they come.
    pub fn with_order(names: &[String]) -> Self {
        Self {
            cells: BTreeMap::new(),
            rows: Vec::new(),
            columns: names.to_vec(),
        }
    }

    /// Notes one answer. Rows and columns keep the order in which they come.
    pub fn set(&mut self, cell: Cell, answer: Answer) {
        for (name, names) in [(&cell.from, &mut self.rows), (&cell.to, &mut self.columns)] {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        self.cells.insert(cell, answer);
    }

    /// One answer; `None` when nobody asked.
    pub fn get(&self, cell: &Cell) -> Option<Answer> {
        self.cells.get(cell).copied()
    }

    /// All cells and answers.
    pub fn cells(&self) -> impl Iterator<Item = (&Cell, Answer)> {
        self.cells.iter().map(|(cell, answer)| (cell, *answer))
    }

    /// The cells in which two rounds differ; the first word is this one's.
    pub fn differences(&self, other: &Self) -> Vec<(Cell, Option<Answer>, Option<Answer>)> {
        let mut cells: Vec<&Cell> = self.cells.keys().chain(other.cells.keys()).collect();
        cells.sort();
        cells.dedup();
        cells
            .into_iter()
            .filter(|cell| self.get(cell) != other.get(cell))
            .map(|cell| (cell.clone(), self.get(cell), other.get(cell)))
            .collect()
    }

    fn text(&self, from: &str, to: &str) -> String {
        if from == to {
            return "-".to_owned();
        }
        KINDS
            .into_iter()
            .filter_map(|kind| {
                let answer = self.get(&Cell {
                    from: from.to_owned(),
                    to: to.to_owned(),
                    kind,
                })?;
                Some(match answer {
                    Answer::Reached => kind.letter(),
                    Answer::Silent => '.',
                })
            })
            .collect()
    }

    /// The lines of the table.
    fn lines(&self) -> Vec<String> {
        let first = self.rows.iter().map(String::len).max().unwrap_or(0);
        let headings: Vec<&str> = self.columns.iter().map(|name| short(name)).collect();
        let widths: Vec<usize> = headings
            .iter()
            .map(|name| name.len().max(KINDS.len()))
            .collect();
        let mut lines = Vec::new();
        let mut header = " ".repeat(first);
        for (name, width) in headings.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(header, " {name:width$}");
        }
        lines.push(header);
        for from in &self.rows {
            let mut line = format!("{from:first$}");
            for (to, width) in self.columns.iter().zip(&widths) {
                let _ = write!(line, " {:width$}", self.text(from, to));
            }
            lines.push(line.trim_end().to_owned());
        }
        lines
    }

    /// Two rounds side by side, under their titles.
    pub fn beside(&self, title: &str, other: &Self, other_title: &str) -> String {
        let (left, right) = (self.lines(), other.lines());
        let width = left
            .iter()
            .map(String::len)
            .max()
            .unwrap_or(0)
            .max(title.len());
        let mut text = format!("  {title:width$}    |  {other_title}\n");
        for number in 0..left.len().max(right.len()) {
            let one = left.get(number).map_or("", String::as_str);
            let two = right.get(number).map_or("", String::as_str);
            let _ = writeln!(text, "  {one:width$}    |  {}", two.trim_end());
        }
        text
    }
}

/// A name without its namespace, which the rows show.
fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            writeln!(f, "  {}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(from: &str, to: &str, kind: Kind) -> Cell {
        Cell {
            from: from.to_owned(),
            to: to.to_owned(),
            kind,
        }
    }

    fn small() -> Matrix {
        let mut matrix = Matrix::default();
        for kind in KINDS {
            matrix.set(cell("shop/web", "shop/db", kind), Answer::Reached);
            matrix.set(cell("shop/db", "shop/web", kind), Answer::Silent);
        }
        matrix.set(cell("shop/db", "shop/web", Kind::Icmp), Answer::Reached);
        matrix
    }

    #[test]
    fn a_row_is_a_sender() {
        let text = small().to_string();
        assert_eq!(
            text,
            "           db   web\n  shop/web TUSI -\n  shop/db  -    ...I\n"
        );
    }

    #[test]
    fn differences_name_cells() {
        let mut other = small();
        other.set(cell("shop/web", "shop/db", Kind::Udp), Answer::Silent);
        let differences = small().differences(&other);
        assert_eq!(
            differences,
            [(
                cell("shop/web", "shop/db", Kind::Udp),
                Some(Answer::Reached),
                Some(Answer::Silent)
            )]
        );
        assert!(small().differences(&small()).is_empty());
    }

    #[test]
    fn two_rounds_stand_side_by_side() {
        let text = small().beside("packets", &small(), "explain");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.contains('|')), "{text}");
    }
}
