//! Every kind of image, as every kind of user, with and without anything that can be written to.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use comfy_table::{Table, presets};
use container_tests::{Engine, Root};

use crate::cells::{self, Case, Cell};
use crate::roots::KINDS;
use crate::site::Site;

/// Root, somebody, nobody in particular, and a user whom the platform makes up.
const USERS: &[&str] = &["0", "1000", "65532", "1000680000:0"];

/// Read-only, and with `/tmp`.
const ALLOWED: &[(bool, bool)] = &[(false, false), (false, true), (true, false), (true, true)];

/// More at once would only wait for the processors.
const LANES: usize = 2;

#[test]
fn every_image_gets_a_worker() {
    let Some(engine) = Engine::shared() else { return };
    let cases = (0..KINDS.len()).flat_map(|kind| {
        USERS.iter().flat_map(move |user| {
            ALLOWED.iter().map(move |(read_only, tmp)| Case { kind, user, read_only: *read_only, tmp: *tmp })
        })
    });
    let left: Mutex<VecDeque<(usize, Case)>> = Mutex::new(cases.enumerate().collect());
    let roots: Vec<Root> = KINDS.iter().map(|kind| (kind.make)(engine)).collect();
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            let (left, roots, seen) = (&left, &roots, &seen);
            scope.spawn(move || {
                let new_site = || Site::new(engine, &format!("matrix{lane}"));
                let mut site = new_site();
                let next = || left.lock().unwrap().pop_front();
                while let Some((number, case)) = next() {
                    let (kind, root) = (&KINDS[case.kind], &roots[case.kind]);
                    let cell = || cells::run(engine, &site, kind, root, case, &format!("cell{number}"));
                    let cell = catch_unwind(AssertUnwindSafe(cell)).map_err(|panic| told(&*panic));
                    if cell.is_err() {
                        // Its worker may be thought to live, and be given what is meant for the next one.
                        site = new_site();
                    }
                    seen.lock().unwrap().push((case, cell));
                }
            });
        }
    });
    report(&seen.into_inner().unwrap());
}

type Seen = (Case, Result<Cell, String>);

/// Prints the table, and fails where a cell did.
#[expect(clippy::print_stdout, reason = "the table is what this test is for")]
fn report(seen: &[Seen]) {
    println!("{}\n\n{}", table(seen), figures(seen));
    let failed: Vec<String> = seen
        .iter()
        .filter_map(|(case, cell)| {
            Some(format!("{} {case:?}: {}", KINDS[case.kind].name, cell.as_ref().err()?))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} cells failed:\n{}", failed.len(), seen.len(), failed.join("\n\n"));
}

/// A row for each image and user; in the cells, how many actions were completed.
fn table(seen: &[Seen]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["IMAGE", "USER", "WRITABLE", "WRITABLE, /tmp", "READ-ONLY", "READ-ONLY, /tmp"]);
    for (kind, named) in KINDS.iter().enumerate() {
        for user in USERS {
            let cells = ALLOWED.iter().map(|(read_only, tmp)| {
                let case = Case { kind, user, read_only: *read_only, tmp: *tmp };
                match seen.iter().find(|(of, _)| *of == case) {
                    Some((_, Ok(cell))) => format!("{} ran", cell.actions),
                    Some((_, Err(_))) => "FAILED".to_owned(),
                    None => "not tried".to_owned(),
                }
            });
            table.add_row([named.name.to_owned(), (*user).to_owned()].into_iter().chain(cells));
        }
    }
    table
}

/// What it took, over all cells: least and median.
fn figures(seen: &[Seen]) -> String {
    let of = |what: fn(&Cell) -> Duration| {
        let mut times: Vec<_> = seen.iter().filter_map(|(_, cell)| cell.as_ref().ok().map(what)).collect();
        times.sort_unstable();
        let ms = |at: usize| times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
        format!("{:.0} ms at least, {:.0} ms median", ms(0), ms(times.len() / 2))
    };
    format!(
        "{} cells.\nInstall: {}.\nStart of the container to active row: {}.\n`podman run` to active row: {}.",
        seen.len(),
        of(|cell| cell.install),
        of(|cell| cell.start),
        of(|cell| cell.run)
    )
}

/// What a panic said.
fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
