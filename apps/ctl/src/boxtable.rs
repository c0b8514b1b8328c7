//! Tables with frames, as upstream's `ipam` commands draw them.

/// On which side a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Draws a table. Headings stand left in any case.
pub(crate) fn draw(headings: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain([headings[column].0.chars().count()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let rule: String = widths
        .iter()
        .map(|width| format!("+{}", "-".repeat(width + 2)))
        .collect();
    let rule = format!("{rule}+\n");
    let line = |cells: Vec<(&str, Align)>| {
        let mut out = String::new();
        for ((cell, align), width) in cells.into_iter().zip(&widths) {
            let padding = " ".repeat(width - cell.chars().count());
            out.push_str(&match align {
                Align::Left => format!("| {cell}{padding} "),
                Align::Right => format!("| {padding}{cell} "),
            });
        }
        out + "|\n"
    };
    let mut out = rule.clone();
    out.push_str(&line(
        headings
            .iter()
            .map(|(text, _)| (*text, Align::Left))
            .collect(),
    ));
    out.push_str(&rule);
    for row in rows {
        let aligns = headings.iter().map(|(_, align)| *align);
        out.push_str(&line(row.iter().map(String::as_str).zip(aligns).collect()));
    }
    // Also if there are no rows, as upstream's library does.
    out.push_str(&rule);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected text was drawn by the library that upstream uses.
    #[test]
    fn draws_as_upstream_does() {
        let headings = [("GROUPING", Align::Left), ("IPS TOTAL", Align::Right)];
        let rows = [vec!["IP Pool".to_owned(), "65536".to_owned()]];
        let expected = "\
+----------+-----------+
| GROUPING | IPS TOTAL |
+----------+-----------+
| IP Pool  |     65536 |
+----------+-----------+
";
        assert_eq!(draw(&headings, &rows), expected);
        let empty = "+------+\n| NAME |\n+------+\n+------+\n";
        assert_eq!(draw(&[("NAME", Align::Left)], &[]), empty);
    }
}
