//! One run, side by side: fast mode, full mode, and `which` plus `--version` one after the other.
//!
//! Criterion's steady state hides what a process pays once, so fresh processes are timed here, from exec
//! to exit, and, for root, with an empty page cache. `--svg FILE` draws the result.
//!
//! `cargo build --release -p runtime-probe && cargo run --release -p attune-benches --bin probe-oneshot`

#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use attune_benches::serial::{OTHERS, REFERENCE, walk};
use attune_benches::{EIGHT, chart};
use runtime_probe::{Ask, Options, probe};

/// What a system without version managers has.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The fastest, the median, and the mean, in microseconds.
#[derive(Clone, Copy)]
struct Times {
    least: f64,
    median: f64,
    mean: f64,
}

fn time(rounds: usize, mut act: impl FnMut()) -> Times {
    let mut taken: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            act();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    taken.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand rounds")]
    let mean = taken.iter().sum::<f64>() / taken.len() as f64;
    Times { least: taken[0], median: taken[taken.len() / 2], mean }
}

fn main() {
    let mut rows: Vec<(String, Times)> = Vec::new();
    let mut show = |label: &str, times: Times| {
        let Times { least, median, mean } = times;
        println!("{label:46} min {least:10.1}  median {median:10.1}  mean {mean:10.1} µs");
        rows.push((label.to_owned(), times));
        times
    };
    let all = Options::fast().ask(Ask::Never);
    let report = probe(&all).expect("this machine can be probed");
    println!(
        "{} interpreters, {} rejected, {} processes\n",
        report.runtimes.len(),
        report.rejected.len(),
        report.spawned
    );

    let (eight, table) = in_process(&mut show);
    let full = Options::full().off_path(false);
    let full_mode = show("full, every interpreter on PATH", time(15, || read(&full)));
    let serial_eight =
        show("which + --version, the reference's 8", time(10, || assert!(walk(REFERENCE).1 > 0)));
    let everything: Vec<_> = REFERENCE.iter().chain(OTHERS).copied().collect();
    let (found, processes) = walk(&everything);
    let serial = show(
        &format!("which + --version, {found} found, {processes} processes"),
        time(5, || assert!(walk(&everything).1 > 0)),
    );

    fresh_processes(&mut show);

    println!();
    for (label, slow, fast) in [
        ("which + --version : fast, the reference's 8", serial_eight, eight),
        ("which + --version : fast, whole table", serial, table),
        ("which + --version : full", serial, full_mode),
    ] {
        println!(
            "{label:46} {:6.0} × by minimum, {:6.0} × by median",
            slow.least / fast.least,
            slow.median / fast.median
        );
    }
    if let Some(file) = svg() {
        let bars: Vec<(String, f64)> =
            rows.iter().map(|(label, times)| (label.clone(), times.median)).collect();
        std::fs::write(&file, chart::bars("Finding interpreters, median, logarithmic", &bars))
            .expect("the chart");
        println!("\ndrawn: {}", file.display());
    }
}

fn read(options: &Options) {
    std::hint::black_box(probe(options).expect("this machine can be probed"));
}

/// Times fast mode in this process; the reference's eight runtimes and the whole table are what is compared.
fn in_process(show: &mut impl FnMut(&str, Times) -> Times) -> (Times, Times) {
    let mut fast = |label: &str, options: Options| {
        let options = options.ask(Ask::Never);
        show(label, time(2000, || read(&options)))
    };
    let eight = || Options::fast().only(EIGHT);
    let on_path = fast("fast, the reference's 8, in process", eight().off_path(false));
    fast("fast, the reference's 8, the usual PATH", eight().off_path(false).path(USUAL_PATH));
    fast("fast, the reference's 8, and beside PATH", eight());
    fast("fast, whole table, PATH only, in process", Options::fast().off_path(false));
    (on_path, fast("fast, whole table, in process", Options::fast()))
}

/// Times the `runtime-probe` command from exec to exit.
fn fresh_processes(show: &mut impl FnMut(&str, Times) -> Times) {
    if let Some(command) = command() {
        let fresh = |arguments: &[&str]| {
            let status = Command::new(&command).args(arguments).stdout(Stdio::null()).status();
            assert!(status.is_ok_and(|status| status.success()), "{} runs", command.display());
        };
        let base = ["--never-ask", "--json"];
        show("fresh process, --version (nothing probed)", time(300, || fresh(&["--version"])));
        show(
            "fresh process, the reference's 8",
            time(300, || {
                fresh(
                    &[&base[..], &["--only-path", "--only", "shell,python,node,ruby,go,java,r,perl"]]
                        .concat(),
                );
            }),
        );
        show("fresh process, whole table", time(300, || fresh(&base)));
        if rustix::process::geteuid().is_root() && drop_caches() {
            show(
                "fresh process, whole table, page cache dropped",
                time(5, || {
                    drop_caches();
                    fresh(&base);
                }),
            );
        }
    } else {
        println!("(no runtime-probe beside this program: build it to time fresh processes)");
    }
}

/// The `runtime-probe` command built beside this one, or the one that is named by `--command`.
fn command() -> Option<PathBuf> {
    let named = argument("--command");
    named
        .or_else(|| Some(std::env::current_exe().ok()?.with_file_name("runtime-probe")))
        .filter(|path| path.exists())
}

fn svg() -> Option<PathBuf> {
    argument("--svg")
}

fn argument(name: &str) -> Option<PathBuf> {
    std::env::args_os().skip_while(|argument| argument != name).nth(1).map(PathBuf::from)
}

fn drop_caches() -> bool {
    rustix::fs::sync();
    std::fs::write(Path::new("/proc/sys/vm/drop_caches"), "3").is_ok()
}
