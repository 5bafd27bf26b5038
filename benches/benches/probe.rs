//! Fast against full against a `which` walk; how each grows with what is installed and with `PATH`.
//!
//! `cargo bench -p attune-benches --bench probe`; the plots are in `target/criterion/*/report/`.

use std::hint::black_box;
use std::time::Duration;

use attune_benches::serial::{REFERENCE, walk};
use attune_benches::{EIGHT, installed, search_path};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use runtime_probe::{Ask, Options, probe};

/// The modes, on this machine as it is.
fn modes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("modes");
    let fast = Options::fast().ask(Ask::Never);
    group.bench_function("fast/table", |bencher| bencher.iter(|| probe(black_box(&fast))));
    let path = fast.clone().off_path(false);
    group.bench_function("fast/table on PATH", |bencher| bencher.iter(|| probe(black_box(&path))));
    let eight = path.clone().only(EIGHT);
    group.bench_function("fast/eight", |bencher| bencher.iter(|| probe(black_box(&eight))));
    let cache = tempfile::tempdir().expect("a temporary directory");
    let cached = fast.clone().cache(cache.path().join("probe.json"));
    group.bench_function("fast/remembered", |bencher| bencher.iter(|| probe(black_box(&cached))));
    group.sample_size(10).measurement_time(Duration::from_secs(8));
    let full = Options::full().off_path(false);
    group.bench_function("full/table on PATH", |bencher| bencher.iter(|| probe(black_box(&full))));
    group.bench_function("serial/eight", |bencher| bencher.iter(|| walk(black_box(REFERENCE))));
    group.finish();
}

/// Only finding the files: what the `which` crate takes for the names that were found here.
fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookup");
    let names: Vec<String> = installed().into_iter().map(|interpreter| interpreter.found_as).collect();
    group.bench_function("which crate", |bencher| {
        bencher.iter(|| names.iter().filter(|name| which::which(black_box(name)).is_ok()).count());
    });
    group.finish();
}

/// Nothing, eight or all interpreters of this machine on one `PATH`.
fn by_installed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("installed");
    for count in [0, 8, 25] {
        let (_directory, options) = search_path(3, 0, count);
        group.bench_with_input(BenchmarkId::from_parameter(count), &options, |bencher, options| {
            bencher.iter(|| probe(black_box(options)));
        });
    }
    group.finish();
}

/// Few and many directories of two thousand files: read as a whole, and looked up for three runtimes.
fn by_directories(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("directories of 2000");
    group.sample_size(30);
    for directories in [3, 8, 40] {
        let (_directory, all) = search_path(directories, 2000, 8);
        group.bench_with_input(BenchmarkId::new("whole table", directories), &all, |bencher, options| {
            bencher.iter(|| probe(black_box(options)));
        });
        let few = all.clone().only(["python", "node", "ruby"]);
        group.bench_with_input(BenchmarkId::new("three runtimes", directories), &few, |bencher, options| {
            bencher.iter(|| probe(black_box(options)));
        });
    }
    group.finish();
}

/// Each interpreter of this machine alone: found, judged, read.
fn evidence(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("evidence");
    group.sample_size(30);
    for interpreter in installed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let link = directory.path().join(&interpreter.found_as);
        std::os::unix::fs::symlink(&interpreter.path, &link).expect("a link");
        let options = Options::fast().path(directory.path()).off_path(false).ask(Ask::Never);
        group.bench_with_input(
            BenchmarkId::from_parameter(&interpreter.name),
            &options,
            |bencher, options| {
                bencher.iter(|| probe(black_box(options)));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, modes, lookup, by_installed, by_directories, evidence);
criterion_main!(benches);
