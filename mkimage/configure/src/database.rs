//! The package database as dpkg keeps it in `/var/lib/dpkg`: what makes dpkg at home in the image.
//!
//! All packages enter it as installed before the first script runs, since scripts ask dpkg about each other.
//! Formats: `deb(5)`, `deb-triggers(5)`, dpkg's own behaviour for the order of fields.

use crate::Options;
use crate::error::Error;
use crate::package::{Conffile, Fate, Package};
use crate::root::Root;
use crate::triggers::Interests;
use md5::{Digest as _, Md5};

/// Where the database is, below the root.
const DIRECTORY: &str = "/var/lib/dpkg";

/// The fields of a stanza in the order in which dpkg writes them; others follow as the package has them.
const FIELD_ORDER: &[&str] = &[
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
    "Description",
];

/// Members of the control part that the database has in another form.
const NOT_KEPT: &[&str] = &["control"];

/// The sums by which dpkg(1) `--verify` knows files.
const MD5SUMS: &str = "md5sums";

/// Members of the control part that are programs.
const PROGRAMS: &[&str] = &["preinst", "postinst", "prerm", "postrm", "config"];

/// Writes the database of a freshly installed system.
pub(crate) fn create(root: &Root, packages: &[Package<'_>], options: &Options) -> Result<(), Error> {
    for name in ["info", "alternatives", "parts", "triggers", "updates"] {
        root.make_directory(place(name).as_bytes())?;
    }
    let mut by_name: Vec<&Package<'_>> = packages.iter().collect();
    by_name.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    let mut status = Vec::new();
    for package in &by_name {
        status.extend(stanza(package)?);
        status.push(b'\n');
        write_info(root, package)?;
    }
    let architecture = format!("{}\n", options.architecture);
    let files: [(&str, &[u8]); 7] = [
        ("status", &status),
        ("available", b""),
        ("diversions", b""),
        ("statoverride", b""),
        ("arch", architecture.as_bytes()),
        ("arch-native", architecture.as_bytes()),
        ("info/format", b"1\n"),
    ];
    for (name, content) in files {
        write(root, name, content)?;
    }
    for (name, content) in Interests::declared_by(&by_name).files() {
        write(root, &format!("triggers/{name}"), &content)?;
    }
    write(root, "triggers/Unincorp", b"")
}

/// Writes a package's part of `info/`.
fn write_info(root: &Root, package: &Package<'_>) -> Result<(), Error> {
    let file = |member: &str| place(&format!("info/{}.{member}", package.qualified_name()));
    for (member, content) in &package.control.members {
        if !NOT_KEPT.contains(&member.as_str()) {
            root.write(file(member).as_bytes(), content, member_mode(member))?;
        }
    }
    if !package.control.members.contains_key(MD5SUMS) {
        root.write(file(MD5SUMS).as_bytes(), &md5sums(root, package)?, member_mode(MD5SUMS))?;
    }
    let mut list = Vec::new();
    for path in &package.control.files {
        list.extend_from_slice(&path.listed_path());
        list.push(b'\n');
    }
    root.write(file("list").as_bytes(), &list, 0o644)
}

/// Gives the sums of a package's files, as dpkg makes them for a package without: of regular files, not conffiles.
fn md5sums(root: &Root, package: &Package<'_>) -> Result<Vec<u8>, Error> {
    let mut sums = Vec::new();
    for file in &package.control.files {
        let path = file.listed_path();
        let place = root.find(&path)?;
        let is_regular = place.and_then(|place| place.metadata()).is_some_and(|metadata| metadata.is_file());
        if !is_regular || package.control.is_conffile(&file.path) {
            continue;
        }
        if let Some(content) = root.read(&path)? {
            let relative = path.strip_prefix(b"/").unwrap_or(&path);
            sums.extend_from_slice(format!("{:x}  ", Md5::digest(&content)).as_bytes());
            sums.extend_from_slice(relative);
            sums.push(b'\n');
        }
    }
    Ok(sums)
}

/// Where dpkg has the control part of a package whose files are not unpacked yet, below its own directory.
const INCOMING: &str = "tmp.ci";

/// Sees to it that a script is where dpkg would run it from, and gives that path as seen inside the tree.
///
/// A `preinst` runs before the package is in the database, and tools like debconf find its templates beside it.
pub(crate) fn prepare_script(root: &Root, package: &Package<'_>, script: &str) -> Result<String, Error> {
    if script != "preinst" {
        return Ok(place(&format!("info/{}.{script}", package.qualified_name())));
    }
    let incoming = place(INCOMING);
    root.make_directory(incoming.as_bytes())?;
    for (member, content) in &package.control.members {
        root.write(format!("{incoming}/{member}").as_bytes(), content, member_mode(member))?;
    }
    Ok(format!("{incoming}/{script}"))
}

/// Takes away what [`prepare_script`] made for a script.
pub(crate) fn clear_away_script(root: &Root, script: &str) -> Result<(), Error> {
    if script != "preinst" {
        return Ok(());
    }
    let incoming = root.find(place(INCOMING).as_bytes())?;
    incoming.map_or(Ok(()), |incoming| incoming.remove())
}

fn member_mode(member: &str) -> u32 {
    if PROGRAMS.contains(&member) { 0o755 } else { 0o644 }
}

/// Writes a package's stanza of `status`.
fn stanza(package: &Package<'_>) -> Result<Vec<u8>, Error> {
    let conffiles = conffiles_field(package)?;
    let mut text = Vec::new();
    let mut field = |name: &str, value: &[u8]| {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        if !value.starts_with(b"\n") {
            text.push(b' ');
        }
        text.extend_from_slice(value);
        text.push(b'\n');
    };
    for name in FIELD_ORDER {
        match (*name, package.fields.get(name)) {
            ("Status", _) => field(name, b"install ok installed"),
            ("Conffiles", _) if !conffiles.is_empty() => field(name, &conffiles),
            ("Conffiles", _) | (_, None) => {}
            (_, Some(value)) => field(name, value.as_bytes()),
        }
    }
    for (name, value) in package.fields.iter() {
        if !FIELD_ORDER.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            field(name, value.as_bytes());
        }
    }
    Ok(text)
}

/// Gives the field with the digest of each configuration file as its package ships it; dpkg keeps a line for those
/// to be removed, too.
fn conffiles_field(package: &Package<'_>) -> Result<Vec<u8>, Error> {
    let mut value = Vec::new();
    for Conffile { path, fate, shipped } in package.conffiles() {
        if fate == Fate::RemoveOnUpgrade {
            value.extend([b"\n ", path.as_slice(), b" newconffile remove-on-upgrade"].concat());
            continue;
        }
        // Where something else than a plain file is shipped, dpkg has no digest either.
        let Some(content) = shipped else { continue };
        value.extend_from_slice(b"\n ");
        value.extend_from_slice(&path);
        value.push(b' ');
        for byte in Md5::digest(content) {
            value.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
    }
    Ok(value)
}

/// Reads a file of the database, which may be missing.
pub(crate) fn read(root: &Root, name: &str) -> Result<Vec<u8>, Error> {
    Ok(root.read(place(name).as_bytes())?.unwrap_or_default())
}

/// Writes a file of the database.
pub(crate) fn write(root: &Root, name: &str, content: &[u8]) -> Result<(), Error> {
    root.write(place(name).as_bytes(), content, 0o644)
}

/// Gives the path in the tree of a file of the database.
fn place(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}
