//! One package as its archive has it: the members of its control part and the list of its files.

use crate::fields::Fields;
use crate::{Error, Owner};
use std::collections::BTreeMap;

/// What the stage must know of one package.
#[derive(Clone, Debug, Default)]
pub struct PackageControl {
    /// The members of the control part by name (`control`, `md5sums`, `postinst`, …), without `./` before it.
    pub members: BTreeMap<String, Vec<u8>>,
    /// The files of the package in the order of its archive.
    pub files: Vec<PackageFile>,
    /// What the package ships at the paths that its member `conffiles` names, spelt as [`PackageFile::path`] is;
    /// what is in the tree there may be the image's own.
    pub conffiles: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Files that lie in the tree by another name until the package's `preinst` has diverted those of other packages
    /// in their places: the paths, spelt as [`PackageFile::path`] is, and those names.
    pub waiting: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// One path of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// The path as the archive spells it: `./usr/bin/env`, `usr/bin/env` and `/usr/bin/env` are the same.
    pub path: Vec<u8>,
    /// The owner in the archive.
    pub owner: Owner,
    /// The permission bits in the archive, with the set-id and sticky bits.
    pub mode: u32,
}

/// A package with what its control stanza says, ready to be worked on.
pub(crate) struct Package<'a> {
    pub(crate) control: &'a PackageControl,
    pub(crate) fields: Fields,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) architecture: String,
    pub(crate) multi_arch_same: bool,
    pub(crate) essential: bool,
}

impl<'a> Package<'a> {
    /// Reads the control stanza.
    pub(crate) fn read(control: &'a PackageControl) -> Result<Self, Error> {
        let text = control.members.get("control").ok_or_else(|| Error::Control {
            package: "unnamed".to_owned(),
            problem: "the control part has no member `control`".to_owned(),
        })?;
        let fields = Fields::parse(&String::from_utf8_lossy(text));
        let name = fields.get("Package").unwrap_or("unnamed").to_owned();
        let required = |field: &str| match fields.get(field) {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(Error::Control { package: name.clone(), problem: format!("no field `{field}`") }),
        };
        required("Package")?;
        Ok(Self {
            control,
            version: required("Version")?,
            architecture: required("Architecture")?,
            multi_arch_same: fields.get("Multi-Arch") == Some("same"),
            essential: fields.get("Essential") == Some("yes"),
            name,
            fields,
        })
    }

    /// Gives the name as dpkg spells it in its database: with the architecture if several may be installed.
    pub(crate) fn qualified_name(&self) -> String {
        if self.multi_arch_same { format!("{}:{}", self.name, self.architecture) } else { self.name.clone() }
    }

    /// Gives a member of the control part.
    pub(crate) fn member(&self, name: &str) -> Option<&'a [u8]> {
        self.control.members.get(name).map(Vec::as_slice)
    }

    /// Gives the configuration files that the package declares.
    pub(crate) fn conffiles(&self) -> Vec<Conffile<'a>> {
        let shipped: BTreeMap<Vec<u8>, &[u8]> = self
            .control
            .conffiles
            .iter()
            .map(|(path, content)| (absolute_path(path), content.as_slice()))
            .collect();
        let declared = declared_conffiles(self.control).map(|(path, fate)| {
            let path = absolute_path(path);
            Conffile { fate, shipped: shipped.get(&path).copied(), path }
        });
        declared.collect()
    }
}

/// A configuration file that a package declares.
pub(crate) struct Conffile<'a> {
    pub(crate) path: Vec<u8>,
    pub(crate) fate: Fate,
    /// What the package ships there, if it is a plain file.
    pub(crate) shipped: Option<&'a [u8]>,
}

impl PackageControl {
    /// Whether the member `conffiles` names a path, in whatever spelling.
    pub fn is_conffile(&self, path: &[u8]) -> bool {
        let path = absolute_path(path);
        declared_conffiles(self).any(|(declared, fate)| fate == Fate::Keep && absolute_path(declared) == path)
    }
}

/// Gives the configuration files that a package declares.
fn declared_conffiles(control: &PackageControl) -> impl Iterator<Item = (&[u8], Fate)> {
    let text = control.members.get("conffiles").map(Vec::as_slice).unwrap_or_default();
    let declared = text.split(|byte| *byte == b'\n').map(|line| {
        match line.trim_ascii().strip_prefix(b"remove-on-upgrade ") {
            Some(path) => (path.trim_ascii(), Fate::RemoveOnUpgrade),
            None => (line.trim_ascii(), Fate::Keep),
        }
    });
    declared.filter(|(path, _)| path.starts_with(b"/"))
}

/// What a package wants of a configuration file; see deb-conffiles(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is the package's.
    Keep,
    /// An older version had it.
    RemoveOnUpgrade,
}

impl PackageFile {
    /// Gives the path in dpkg's spelling: absolute, no slash at the end, `/.` for the root itself.
    pub(crate) fn listed_path(&self) -> Vec<u8> {
        let path = absolute_path(&self.path);
        if path == b"/" { b"/.".to_vec() } else { path }
    }
}

/// Brings a path into the form that dpkg's lists have.
pub(crate) fn absolute_path(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let mut absolute = Vec::with_capacity(path.len() + 1);
    for part in parts {
        absolute.push(b'/');
        absolute.extend_from_slice(part);
    }
    if absolute.is_empty() { b"/".to_vec() } else { absolute }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_archives_become_the_paths_of_dpkg_lists() {
        let spellings: [(&[u8], &[u8]); 5] = [
            (b"./", b"/."),
            (b"./usr/bin/", b"/usr/bin"),
            (b"usr/bin", b"/usr/bin"),
            (b"/usr//bin", b"/usr/bin"),
            (b".", b"/."),
        ];
        for (path, listed) in spellings {
            let file = PackageFile { path: path.to_vec(), owner: Owner::default(), mode: 0o755 };
            assert_eq!(file.listed_path(), listed);
        }
    }

    #[test]
    fn a_control_part_without_a_version_is_refused_by_name() {
        let mut control = PackageControl::default();
        control.members.insert("control".to_owned(), b"Package: lamp\nArchitecture: all\n".to_vec());
        let error = Package::read(&control).err().expect("refused");
        assert_eq!(error.to_string(), "cannot read the control data of `lamp`: no field `Version`");
    }
}
