//! What a kubelet makes of a pod's volumes: which files are in them, whose they are, and who may do what.

use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::cluster::Objects;
use super::manifest::{ChangePolicy, Files, Held, PodSecurity, Projection, VolumeSource};
use crate::{Engine, Volume};

/// The mode of files from secrets and `ConfigMap`s where nothing is said.
const FILE_MODE: u32 = 0o644;

/// What `fsGroup` adds to files that can be written to, to those that cannot, and to directories.
const WRITABLE: u32 = 0o660;
const READABLE: u32 = 0o440;
const DIRECTORY: u32 = 0o2110;

/// A volume in memory. It goes with its pod.
#[derive(Debug)]
pub(super) struct InMemory(PathBuf);

impl Drop for InMemory {
    fn drop(&mut self) {
        // The engine's end unmounts it in any case.
        unmount(&self.0, UnmountFlags::DETACH).ok();
    }
}

/// A new claim's volume: a file system of its own, which belongs to root and has what `mkfs` leaves there.
pub(super) fn claim(engine: &Engine, name: &str) -> Volume {
    let volume = Volume::new(engine, name);
    set_mode(volume.path(), 0o755);
    let lost = volume.path().join("lost+found");
    std::fs::create_dir(&lost).expect("an own directory");
    set_mode(&lost, 0o700);
    volume
}

/// Makes a volume, or finds it where it is a claim's.
pub(super) fn make(
    engine: &Engine,
    name: &str,
    source: &VolumeSource,
    security: &PodSecurity,
    objects: &Objects,
) -> (Volume, Option<InMemory>) {
    let directory = || Volume::new(engine, name);
    let mut memory = None;
    let (volume, added) = match source {
        VolumeSource::EmptyDir { medium, size_limit } => {
            let volume = directory();
            match medium.as_str() {
                "" => {}
                "Memory" => memory = Some(in_memory(&volume, size_limit.as_deref())),
                other => panic!("{name}: {other} is no medium"),
            }
            (volume, WRITABLE)
        }
        VolumeSource::PersistentVolumeClaim { claim_name } => (objects.claim(claim_name).clone(), WRITABLE),
        VolumeSource::ConfigMap(files) => {
            let files = chosen(objects.config_map(&files.name), files);
            (written(directory(), FILE_MODE, files), READABLE)
        }
        VolumeSource::Secret { secret_name } => {
            let files = objects.secret(secret_name).clone();
            (written(directory(), FILE_MODE, files), READABLE)
        }
        VolumeSource::Projected { default_mode, sources } => {
            let all = sources.iter().flat_map(|source| match source {
                Projection::Secret(files) => chosen(objects.secret(&files.name), files),
                Projection::ConfigMap(files) => chosen(objects.config_map(&files.name), files),
            });
            (written(directory(), default_mode.unwrap_or(FILE_MODE), all.collect()), READABLE)
        }
    };
    if let Some(group) = security.fs_group {
        let policy = security.fs_group_change_policy.unwrap_or_default();
        if policy == ChangePolicy::Always || !is_of(volume.path(), group, added) {
            give_to(volume.path(), group, added);
        }
    }
    (volume, memory)
}

fn in_memory(volume: &Volume, size: Option<&str>) -> InMemory {
    let size = size.map_or_else(String::new, |size| {
        // `128Mi` is `128m` to the kernel.
        let size = size.strip_suffix('i').expect("a size in powers of two");
        format!("size={},", size.to_lowercase())
    });
    let options = std::ffi::CString::new(format!("{size}mode=0777")).expect("no zero");
    mount("tmpfs", volume.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
        .expect("root may mount");
    InMemory(volume.path().to_owned())
}

/// The files that are asked for.
fn chosen(held: &Held, files: &Files) -> Held {
    match &files.items {
        None => held.clone(),
        Some(items) => items.iter().map(|item| (item.path.clone(), held[&item.key].clone())).collect(),
    }
}

/// As a kubelet writes them, so that all change at once: links to links to the files.
fn written(volume: Volume, mode: u32, files: Held) -> Volume {
    let version = volume.path().join("..2026_01_01");
    std::fs::create_dir(&version).expect("an own directory");
    set_mode(&version, 0o755);
    symlink("..2026_01_01", volume.path().join("..data")).expect("a new name");
    for (name, text) in files {
        assert!(!name.contains('/'), "{name}: directories in such volumes are not known here");
        let file = version.join(&name);
        std::fs::write(&file, text).expect("an own file");
        set_mode(&file, mode);
        symlink(Path::new("..data").join(&name), volume.path().join(&name)).expect("a new name");
    }
    volume
}

/// Whether the top of a volume is such as [`give_to`] makes it.
fn is_of(top: &Path, group: u32, added: u32) -> bool {
    let found = std::fs::metadata(top).expect("a volume");
    let wanted = added | DIRECTORY;
    found.gid() == group && found.mode() & wanted == wanted
}

/// `fsGroup`: all of it belongs to the group, which may do what the owner may.
fn give_to(path: &Path, group: u32, added: u32) {
    let found = std::fs::symlink_metadata(path).expect("what was listed");
    lchown(path, None, Some(group)).expect("root may give away");
    if found.is_symlink() {
        return;
    }
    if found.is_dir() {
        for entry in std::fs::read_dir(path).expect("a directory").flatten() {
            give_to(&entry.path(), group, added);
        }
    }
    let added = if found.is_dir() { added | DIRECTORY } else { added };
    set_mode(path, (found.mode() | added) & 0o7777);
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("root may do it");
}
