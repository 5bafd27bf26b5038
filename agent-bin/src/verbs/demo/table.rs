//! The table of what happened.

use agent_core::model::Execution;
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, TableStyle, presets,
};
use serde_json::Value;

use super::{Row, completed};

const STYLE: TableStyle = presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─'));

/// One row for each interpreter; `executions` are in the same order.
pub(super) fn table(rows: &[Row<'_>], executions: &[Option<Execution>]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    let titles = ["RUNTIME", "INTERPRETER", "VERSION", "ACTION", "OUTCOME", "TIME"];
    table.set_header(titles.map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    for (row, execution) in rows.iter().zip(executions) {
        let interpreter = row.interpreter;
        let action = row.asked.as_ref().map_or("-", |asked| asked.action.as_str());
        let duration = execution.as_ref().and_then(|execution| field(execution, "duration_ms")?.as_u64());
        table.add_row([
            Cell::new(&interpreter.name),
            Cell::new(interpreter.path.display()),
            Cell::new(interpreter.version.as_deref().unwrap_or("-")),
            Cell::new(action),
            outcome(execution.as_ref()),
            Cell::new(duration.map_or_else(String::new, |ms| format!("{ms} ms")))
                .set_alignment(CellAlignment::Right),
        ]);
    }
    table
}

fn outcome(execution: Option<&Execution>) -> Cell {
    match execution {
        Some(execution) if completed(execution) => Cell::new(execution.status).fg(Color::Green),
        Some(execution) => Cell::new(execution.status).fg(Color::Red),
        None => Cell::new("no example"),
    }
}

/// Why each execution that did not complete did not.
pub(super) fn failures(executions: &[Option<Execution>]) -> String {
    let failed = executions.iter().flatten().filter(|execution| !completed(execution));
    failed
        .map(|execution| {
            let error = field(execution, "error").and_then(Value::as_str).unwrap_or("no reason given");
            format!("{}: {}: {error}\n", execution.action_ref, execution.status)
        })
        .collect()
}

fn field<'a>(execution: &'a Execution, name: &str) -> Option<&'a Value> {
    execution.result.as_ref()?.get(name)
}
