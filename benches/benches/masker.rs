//! Covering fifty secrets in all their forms: how fast, beside a copy of the same bytes and beside an automaton that only
//! looks for the same patterns.
//!
//! `cargo bench -p attune-benches --bench masker`; criterion prints bytes a second, so the ratio to `copy` is that of two
//! lines of one run.

use std::hint::black_box;
use std::sync::Arc;

use agent_core::secrets::{MaskedStream, Masker, Patterns};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const SECRETS: usize = 50;
const BYTES: usize = 8 << 20;
/// What the agent reads at once.
const READ: usize = 64 << 10;

/// The same numbers each time, and as good as random.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One of `values`.
    fn one_of<'v, T>(&mut self, values: &'v [T]) -> &'v T {
        let index = self.next() % values.len() as u64;
        &values[usize::try_from(index).expect("less than a length")]
    }

    fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(*self.one_of(alphabet))).collect()
    }
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const LINES: [&str; 4] = [
    "2026-01-02T03:04:05.123456Z  INFO connection{peer=10.0.3.17:43210}: request served path=/api/v1/executions status=200 ms=",
    "Collecting requests==2.32.3 (from -r requirements.txt (line 3)) Downloading requests-2.32.3-py3-none-any.whl (64 kB) ",
    "npm warn deprecated inflight@1.0.6: This module is not supported, and leaks memory. Do not use it. ",
    "{\"level\":\"debug\",\"message\":\"the quick brown fox jumps over the lazy dog\",\"request_id\":\"7f9c2ba4e88f827d\",\"n\":",
];

/// Passwords of 12 to 40 characters, as generators make them.
fn secrets(numbers: &mut Numbers) -> Vec<String> {
    let alphabet = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789-_.!+/=&%";
    (0..SECRETS).map(|number| numbers.text(alphabet, 12 + number * 28 / SECRETS)).collect()
}

fn log(numbers: &mut Numbers, secret_every: Option<(usize, &[String])>) -> Vec<u8> {
    let mut text = String::with_capacity(BYTES + 256);
    let mut next_secret = secret_every.map_or(usize::MAX, |(every, _)| every);
    while text.len() < BYTES {
        text.push_str(numbers.one_of::<&str>(&LINES));
        if text.len() >= next_secret
            && let Some((every, secrets)) = secret_every
        {
            text.push_str(numbers.one_of::<String>(secrets));
            next_secret += every;
        }
        text.push_str(&numbers.next().to_string());
        text.push('\n');
    }
    text.into_bytes()
}

fn throughput(criterion: &mut Criterion) {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let secrets = secrets(&mut numbers);
    let mut patterns = Patterns::default();
    for secret in &secrets {
        patterns.add(secret).expect("none is a common word");
    }
    // Eight bytes, the shortest there may be, leave the fewest places to skip.
    patterns.add("8-b1te.s").expect("long enough");
    let automaton = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        .build(patterns.iter())
        .expect("few patterns");
    let masker = Arc::new(patterns.masker().expect("patterns"));
    for (name, text) in [
        ("log", log(&mut numbers, None)),
        ("log with a secret every KiB", log(&mut numbers, Some((1 << 10, &secrets)))),
        ("base64", numbers.text(BASE64, BYTES).into_bytes()),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(20);
        let mut copy = vec![0; text.len()];
        group.bench_function("copy", |bencher| {
            bencher.iter(|| {
                copy.copy_from_slice(black_box(&text));
                black_box(copy.last().copied())
            });
        });
        group.bench_function("stream", |bencher| bencher.iter(|| stream(&masker, black_box(&text))));
        group.bench_function("automaton, looking only", |bencher| {
            bencher.iter(|| automaton.find_iter(black_box(text.as_slice())).count());
        });
        group.finish();
    }
}

/// As the agent does it: read by read. Returns how much may be seen.
fn stream(masker: &Arc<Masker>, text: &[u8]) -> usize {
    let mut stream = MaskedStream::new(Arc::clone(masker));
    let seen: usize = text.chunks(READ).map(|read| black_box(stream.push(read)).len()).sum();
    seen + stream.finish().len()
}

/// What an execution with as many secrets pays before it starts.
fn preparation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("preparation");
    for count in [1, 10, SECRETS] {
        let secrets = secrets(&mut Numbers(0x9E37_79B9_7F4A_7C15));
        group.bench_function(format!("of {count} secrets"), |bencher| {
            bencher.iter_batched(
                Patterns::default,
                |mut patterns| {
                    for secret in &secrets[..count] {
                        patterns.add(secret).ok();
                    }
                    patterns.masker()
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, throughput, preparation);
criterion_main!(benches);
