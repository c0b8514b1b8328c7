//! Go's `text/tabwriter` as calicoctl sets it up: cells at least 5 wide, 3 blanks between, none left out.

const MIN_WIDTH: usize = 5;
const PADDING: usize = 3;

/// Aligns text whose cells end in tabs. A column is a run of lines that all have that cell.
pub(crate) fn align(text: &str) -> String {
    let (body, ends_in_break) = match text.strip_suffix('\n') {
        Some(body) => (body, true),
        None => (text, false),
    };
    if body.is_empty() {
        return text.to_owned();
    }
    let lines: Vec<Vec<&str>> = body
        .split('\n')
        .map(|line| line.split('\t').collect())
        .collect();
    let mut widths = vec![Vec::new(); lines.len()];
    measure(&lines, 0, &mut widths);
    let mut out = String::with_capacity(text.len() * 2);
    for (number, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if number > 0 {
            out.push('\n');
        }
        for (index, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            // The text after the last tab belongs to no column.
            if let Some(width) = widths.get(index) {
                let used = cell.chars().count();
                out.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
            }
        }
    }
    if ends_in_break {
        out.push('\n');
    }
    out
}

/// Finds the width of column `column` in every block of neighbouring lines that have it, then of the columns within.
fn measure(lines: &[Vec<&str>], column: usize, widths: &mut [Vec<usize>]) {
    let mut start = 0;
    while start < lines.len() {
        if lines[start].len() <= column + 1 {
            start += 1;
            continue;
        }
        let run = lines[start..]
            .iter()
            .take_while(|cells| cells.len() > column + 1)
            .count();
        let end = start + run;
        let widest = lines[start..end]
            .iter()
            .map(|cells| cells[column].chars().count())
            .max();
        let width = (widest.unwrap_or_default() + PADDING).max(MIN_WIDTH);
        for line in &mut widths[start..end] {
            line.push(width);
        }
        measure(&lines[start..end], column + 1, &mut widths[start..end]);
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected text was written by Go.
    #[test]
    fn aligns_as_go_does() {
        let text = "NAME\tTIER\tORDER\t\nallow-web\tdefault\t100\t\nx\t\té\t\n";
        let expected = "NAME        TIER      ORDER   \nallow-web   default   100     \nx                     é       \n";
        assert_eq!(align(text), expected);
        assert_eq!(align("NAME\t\n"), "NAME   \n");
        assert_eq!(align(""), "");
    }
}
