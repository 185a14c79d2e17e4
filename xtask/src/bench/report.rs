//! The results as tables: plain columns or Markdown, from the same rows.

use super::contender::{Contender, MOUNTS};
use super::measure::{Memory, Subject, Table};
use super::statistics::spread;

/// What the ratios are taken against, where it took part.
const YARDSTICKS: &[&str] = &["crun", "limit", "by-path"];

pub fn print(table: &Table, contenders: &[Contender], markdown: bool) {
    let (title, rows) = match table {
        Table::Times { subject, columns } => {
            let unit = match subject {
                Subject::Mounts => 1e-6,
                _ => 1e-3,
            };
            (heading(*subject, columns), times(contenders, columns, unit))
        }
        Table::Memory(memory) => (heading(Subject::Memory, &[]), memories(contenders, memory)),
    };
    let mark = if markdown { "**" } else { "" };
    println!("\n{mark}{title}{mark}\n");
    for line in lines(&rows, markdown) {
        println!("{line}");
    }
}

fn heading(subject: Subject, columns: &[Vec<f64>]) -> String {
    let rounds = columns.first().map_or(0, Vec::len);
    match subject {
        Subject::Run => format!("run of /bin/true, milliseconds, {rounds} rounds"),
        Subject::Lifecycle => format!("create + start + delete, milliseconds, {rounds} rounds"),
        Subject::Exec => {
            format!("exec of /bin/true in a running container, milliseconds, {rounds} rounds")
        }
        Subject::Mounts => format!(
            "each bind mount of run, microseconds (slope over {MOUNTS:?} of them), {rounds} rounds"
        ),
        Subject::Memory => "first process of a created container, kilobytes".to_owned(),
    }
}

/// A header and a row for each contender.
fn times(contenders: &[Contender], columns: &[Vec<f64>], unit: f64) -> Vec<Vec<String>> {
    let yardsticks: Vec<(&str, &[f64])> = YARDSTICKS
        .iter()
        .filter_map(|name| {
            Some((
                *name,
                columns[contenders.iter().position(|one| one.name == *name)?].as_slice(),
            ))
        })
        .collect();
    let mut header: Vec<String> = ["", "median", "min", "p10", "p90"]
        .map(str::to_owned)
        .into();
    header.extend(
        yardsticks
            .iter()
            .map(|(name, _)| format!("/ {name} (p10-p90)")),
    );
    let mut rows = vec![header];
    for (contender, column) in contenders.iter().zip(columns) {
        let found = spread(column.iter().copied());
        let mut row = vec![label(contender)];
        row.extend(
            [found.median, found.least, found.p10, found.p90]
                .map(|seconds| format!("{:.2}", seconds / unit)),
        );
        row.extend(
            yardsticks
                .iter()
                .map(|(_, yardstick)| ratio(column, yardstick)),
        );
        rows.push(row);
    }
    rows
}

/// The ratio of each round, so that what slows down a whole round cancels out.
fn ratio(column: &[f64], yardstick: &[f64]) -> String {
    let found = spread(column.iter().zip(yardstick).map(|(one, other)| one / other));
    format!("{:.2} ({:.2}-{:.2})", found.median, found.p10, found.p90)
}

fn memories(contenders: &[Contender], memory: &[Memory]) -> Vec<Vec<String>> {
    let mut rows = vec![
        ["", "peak resident", "proportional"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (contender, memory) in contenders.iter().zip(memory) {
        let kilobytes = |bytes: u64| (bytes / 1024).to_string();
        rows.push(vec![
            label(contender),
            kilobytes(memory.peak),
            kilobytes(memory.proportional),
        ]);
    }
    rows
}

fn label(contender: &Contender) -> String {
    format!("{} {}", contender.name, contender.version)
        .trim_end()
        .to_owned()
}

/// The first column to the left, numbers to the right.
fn lines(rows: &[Vec<String>], markdown: bool) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    let pad = |(column, cell): (usize, &String)| match column {
        0 => format!("{cell:<0$}", width(0)),
        _ => format!("{cell:>0$}", width(column)),
    };
    let mut lines = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().enumerate().map(pad).collect();
        match markdown {
            true => lines.push(format!("| {} |", cells.join(" | "))),
            false => lines.push(cells.join("  ")),
        }
        if markdown && index == 0 {
            let rule = |column| if column == 0 { "---|" } else { "---:|" };
            lines.push("|".to_owned() + &(0..count).map(rule).collect::<String>());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_markdown_has_a_rule() {
        let rows: Vec<Vec<String>> = [["", "median"], ["crun", "20.10"], ["limit", "4.1"]]
            .map(|row| row.map(str::to_owned).to_vec())
            .into();
        assert_eq!(
            lines(&rows, false),
            ["       median", "crun    20.10", "limit     4.1"]
        );
        assert_eq!(lines(&rows, true)[1], "|---|---:|");
    }

    #[test]
    fn ratios_are_of_rounds_not_of_medians() {
        assert_eq!(
            ratio(&[1.0, 20.0, 3.0], &[2.0, 40.0, 6.0]),
            "0.50 (0.50-0.50)"
        );
    }
}
