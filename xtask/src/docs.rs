//! `cargo xtask docs`: pages, and parts of pages, that are written from the code and from the chart's values.

mod chart;
mod programs;
mod reference;
mod values;

use crate::step::{self, Failure, Result};
use programs::Programs;

/// A page that is written, whole or in part.
struct Page {
    path: &'static str,
    /// What it is to be, from what it is now.
    text: fn(&Programs, now: &str) -> Result<String>,
}

const PAGES: [Page; 3] = [
    Page { path: "docs/reference.md", text: |programs, _| reference::page(programs) },
    Page { path: "charts/attune/README.md", text: |_, _| chart::readme() },
    Page { path: "docs/QUICKREF-kubernetes-agent-workers.md", text: chart::quickref },
];

/// Writes the pages.
pub(crate) fn write() -> Result {
    for_each(|page, now, text| {
        if now == text {
            return Ok(());
        }
        let path = step::workspace().join(page.path);
        std::fs::write(&path, text)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
    })
}

/// Fails where a page is not what the code says now.
pub(crate) fn check() -> Result {
    for_each(|page, now, text| {
        if now == text {
            return Ok(());
        }
        let same = now.lines().zip(text.lines()).take_while(|(now, text)| now == text).count();
        Err(Failure::new(format!(
            "{} is not what the code says, from line {} on: `cargo xtask docs` writes it again",
            page.path,
            same + 1
        )))
    })
}

fn for_each(with: impl Fn(&Page, &str, &str) -> Result) -> Result {
    let programs = Programs::build()?;
    for page in PAGES {
        // A page that cannot be read differs from its first line on.
        let now = std::fs::read_to_string(step::workspace().join(page.path)).unwrap_or_default();
        with(&page, &now, &(page.text)(&programs, &now)?)?;
    }
    Ok(())
}
