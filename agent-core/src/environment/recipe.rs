//! The recipe of an environment as one checksum: whatever changes what would be installed changes it.

use std::collections::HashMap;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ring::digest::{Context, SHA256};

use super::spec::EnvironmentSpec;

/// A manifest or lock file larger than this is not one.
const LARGEST: u64 = 64 << 20;

/// How many files a manifest may lead to.
const MOST_INCLUDED: usize = 64;

/// A file that changed so recently may change again without showing it: clocks of file systems have ticks.
const RACY: Duration = Duration::from_secs(2);

/// What files held when they were last looked at. While a file looks the same, it is not read again.
#[derive(Debug, Default)]
pub(super) struct Contents {
    seen: Mutex<HashMap<PathBuf, Seen>>,
}

#[derive(Debug, Clone)]
struct Seen {
    stamp: Stamp,
    digest: Vec<u8>,
    /// What the file names as further requirements.
    includes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

/// SHA-256 in hexadecimal digits over the commands, the interpreter, the manifest and everything that it leads to.
///
/// # Errors
/// Where a file cannot be read, with its path.
pub(super) fn checksum(spec: &EnvironmentSpec, contents: &Contents) -> Result<String, (PathBuf, io::Error)> {
    let mut context = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        // The length keeps neighbours apart.
        context.update(&(bytes.len() as u64).to_le_bytes());
        context.update(bytes);
    };
    part(spec.environment.env_type.as_bytes());
    part(spec.interpreter.path.as_os_str().as_encoded_bytes());
    let install = spec.dependencies.as_ref().map(|dependencies| dependencies.install_command.as_slice());
    for command in [Some(spec.environment.create_command.as_slice()), install].into_iter().flatten() {
        part(&command.len().to_le_bytes());
        for word in command {
            part(word.as_bytes());
        }
    }
    let mut files: Vec<PathBuf> = spec.manifest().into_iter().collect();
    files.extend(spec.lock_files().iter().map(|name| spec.pack_dir.join(name)));
    let follows = spec.environment.env_type == "virtualenv";
    let mut next = 0;
    while let Some(file) = files.get(next).cloned() {
        next += 1;
        let Some(seen) = contents.of(&file).map_err(|error| (file.clone(), error))? else { continue };
        part(file.file_name().unwrap_or_default().as_encoded_bytes());
        part(&seen.digest);
        if follows {
            let directory = file.parent().unwrap_or(&spec.pack_dir);
            for include in seen.includes.iter().map(|name| directory.join(name)) {
                if !files.contains(&include) && files.len() < MOST_INCLUDED {
                    files.push(include);
                }
            }
        }
    }
    Ok(hex(context.finish().as_ref()))
}

impl Contents {
    /// `None` for a file that is not there.
    fn of(&self, path: &Path) -> io::Result<Option<Seen>> {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let stamp = Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        };
        let known = self.lock().get(path).filter(|seen| seen.stamp == stamp).cloned();
        if known.is_some() {
            return Ok(known);
        }
        if !metadata.is_file() || metadata.size() > LARGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a manifest"));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
        let digest = ring::digest::digest(&SHA256, &bytes).as_ref().to_vec();
        let seen = Seen { stamp, digest, includes: includes(&String::from_utf8_lossy(&bytes)) };
        let settled = |moment: io::Result<SystemTime>| {
            moment.ok().and_then(|moment| moment.elapsed().ok()).is_some_and(|age| age > RACY)
        };
        if settled(metadata.modified()) {
            self.lock().insert(path.to_owned(), seen.clone());
        }
        Ok(Some(seen))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `-r FILE` and `-c FILE` of a requirements file name, in each of their spellings.
fn includes(text: &str) -> Vec<String> {
    const OPTIONS: &[&str] = &["--requirement", "--constraint", "-r", "-c"];
    text.lines()
        .filter_map(|line| {
            let line = line.trim();
            let rest = OPTIONS.iter().find_map(|option| line.strip_prefix(option))?;
            let name = rest.trim_start_matches(['=', ' ', '\t']).split(" #").next()?.trim();
            let local = !name.is_empty() && !name.contains("://");
            local.then(|| name.to_owned())
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::spec::tests::spec;
    use super::*;

    #[test]
    fn whatever_changes_the_result_changes_the_checksum() {
        let pack = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(pack.path().join(name), text).unwrap();
        let contents = Contents::default();
        let mut spec = spec(pack.path());
        let mut seen = vec![checksum(&spec, &contents).unwrap()];
        let mut changes = |spec: &EnvironmentSpec, what: &str| {
            let now = checksum(spec, &contents).unwrap();
            assert!(!seen.contains(&now), "{what}");
            assert_eq!(now, checksum(spec, &contents).unwrap(), "{what}");
            seen.push(now);
        };
        write("requirements.txt", "sax\n");
        changes(&spec, "as long, at the same moment");
        write("requirements.txt", "six\n-r more.txt\n--constraint=limits.txt # why\n");
        changes(&spec, "files that are not there yet");
        write("more.txt", "attrs\n");
        changes(&spec, "an included file");
        write("limits.txt", "attrs<20\n");
        changes(&spec, "a constraint");
        spec.interpreter.path = PathBuf::from("/opt/python/bin/python3");
        changes(&spec, "another interpreter");
        spec.environment.create_command.push("--copies".to_owned());
        changes(&spec, "another command");
        spec.environment.env_type = "node_modules".to_owned();
        changes(&spec, "another kind");
        write("package-lock.json", "{}");
        changes(&spec, "a lock file");
    }

    #[test]
    fn includes_are_found_in_each_spelling() {
        let text = "-r a.txt\n --requirement b.txt\n--requirement=c.txt\n-rd.txt\n-c e.txt # why\n-r https://x/f.txt\nrequests\n";
        assert_eq!(includes(text), ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]);
    }
}
