//! The report as a table for people.

use std::fmt;

use crate::report::Report;

/// A report to be printed. Columns are as wide as they must be; nothing depends on a terminal.
#[derive(Debug)]
pub struct Table<'r>(&'r Report);

impl Report {
    /// This report as a table for people.
    pub fn table(&self) -> Table<'_> {
        Table(self)
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let mut rows = vec![["RUNTIME", "VERSION", "PATH", "HOW WE KNOW", "NOTES"].map(str::to_owned)];
        for interpreter in &report.runtimes {
            rows.push([
                interpreter.name.clone(),
                interpreter.version.clone().unwrap_or_else(|| "-".into()),
                interpreter.path.display().to_string(),
                format!("{} ({})", interpreter.evidence.kind.as_str(), interpreter.confidence.as_str()),
                notes(interpreter),
            ]);
        }
        lines(f, &rows)?;
        for rejected in &report.rejected {
            writeln!(f, "not usable: {} ({}): {}", rejected.path.display(), rejected.name, rejected.reason)?;
        }
        for warning in &report.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        let took = format!("{}.{:03} ms", report.elapsed_us / 1000, report.elapsed_us % 1000);
        let how = match (report.cached, report.spawned) {
            (true, _) => format!("remembered, and checked in {took}"),
            (false, 0) => format!("{} mode took {took} and started nothing", report.mode.as_str()),
            (false, count) => format!("{} mode took {took} and {count} processes", report.mode.as_str()),
        };
        writeln!(f, "{} interpreters, {} not usable; {how}", report.runtimes.len(), report.rejected.len())
    }
}

fn notes(interpreter: &crate::Interpreter) -> String {
    let mut notes = vec![interpreter.implementation.clone()];
    notes.extend(interpreter.libc.map(|libc| libc.as_str().to_owned()));
    notes.extend(interpreter.environment.as_ref().map(|environment| environment.kind.as_str().to_owned()));
    notes.extend(interpreter.via.as_ref().map(|via| format!("via {via}")));
    if !interpreter.on_path {
        notes.push("not on PATH".to_owned());
    }
    notes.join(", ")
}

/// Writes rows with their columns aligned.
pub(crate) fn lines<const N: usize>(f: &mut fmt::Formatter<'_>, rows: &[[String; N]]) -> fmt::Result {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}
