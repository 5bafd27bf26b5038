//! The `runtime-probe` command.
#![expect(clippy::print_stdout, reason = "printing is what a command is for")]
fn main() {
    let mode = if std::env::args().nth(1).as_deref() == Some("full") {
        runtime_probe::Options::full()
    } else {
        runtime_probe::Options::fast()
    };
    let report = runtime_probe::probe(&mode).expect("probe");
    print!("{}", report.table());
}
