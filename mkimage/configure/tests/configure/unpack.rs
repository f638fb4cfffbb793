//! Unpacks archives into a directory, as the stage before this one does, without its checks.

use mkimage_configure::{Owner, PackageControl, PackageFile};
use mkimage_deb::Deb;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// The links of a merged `/usr`, which archives expect.
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib64"];

/// Makes a root to unpack into.
pub(crate) fn make_root(root: &Path) {
    for name in MERGED {
        fs::create_dir_all(root.join("usr").join(name)).expect("make directory");
        symlink(format!("usr/{name}"), root.join(name)).expect("make link");
    }
}

/// Unpacks all archives of a directory; gives what the stage must know of them.
pub(crate) fn unpack_all(debs: &Path, root: &Path) -> Vec<PackageControl> {
    make_root(root);
    let mut paths: Vec<_> =
        fs::read_dir(debs).expect("list").map(|entry| entry.expect("list").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "deb"));
    paths.sort();
    paths.iter().map(|path| unpack(path, root)).collect()
}

fn unpack(path: &Path, root: &Path) -> PackageControl {
    let deb = Deb::open(File::open(path).expect("open")).expect("archive");
    let mut control =
        PackageControl { members: deb.control_members().expect("control"), ..PackageControl::default() };
    let mut data = Vec::new();
    deb.copy_data_tar(&mut data).expect("data");
    let mut archive = tar::Archive::new(data.as_slice());
    let mut directories = Vec::new();
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("entry");
        let path = entry.path_bytes().into_owned();
        let header = entry.header();
        let owner = Owner { uid: header.uid().expect("uid") as u32, gid: header.gid().expect("gid") as u32 };
        let mode = header.mode().expect("mode");
        let time = UNIX_EPOCH + Duration::from_secs(header.mtime().expect("time"));
        control.files.push(PackageFile { path: path.clone(), owner, mode });
        let place = root.join(std::ffi::OsStr::from_bytes(&path));
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            directories.push((place.clone(), time));
            if !place.is_dir() && fs::symlink_metadata(&place).is_err() {
                fs::create_dir_all(&place).expect("make directory");
                fs::set_permissions(&place, Permissions::from_mode(mode & 0o1777 | 0o700)).expect("mode");
            }
        } else if kind.is_symlink() {
            if fs::symlink_metadata(&place).is_err() {
                let target = entry.link_name_bytes().expect("target").into_owned();
                symlink(std::ffi::OsStr::from_bytes(&target), &place).expect("link");
            }
        } else if kind.is_hard_link() {
            let target = entry.link_name_bytes().expect("target").into_owned();
            fs::hard_link(root.join(std::ffi::OsStr::from_bytes(&target)), &place).expect("link");
        } else if kind.is_file() {
            let mut file = File::create(&place).expect("create");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("read");
            file.write_all(&content).expect("write");
            if control.is_conffile(&path) {
                control.conffiles.insert(path, content);
            }
            file.set_permissions(Permissions::from_mode(mode & 0o777 | 0o600)).expect("mode");
            file.set_modified(time).expect("time");
        } else {
            panic!("{path:?} is of an unexpected kind");
        }
    }
    for (directory, time) in directories.iter().rev() {
        File::open(directory).and_then(|handle| handle.set_modified(*time)).expect("time");
    }
    control
}
