//! The initramfs: our init, the modules it takes to reach the root, and the file that lists them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use initramfs_config::{Config, Module};
use mkimage_tree::{Complete, Layer, MergePolicy, Provenance, State, Tree};

use crate::layers::path;
use crate::manifest::Manifest;
use crate::programs::Programs;

/// Makes the small tree that becomes the initramfs. `release` is the kernel's, as in /usr/lib/modules.
pub fn run<S: State>(
    manifest: &Manifest,
    programs: &Programs,
    tree: &Tree<S>,
    release: &str,
) -> Result<Tree<Complete>> {
    let modules = Modules::read(tree, release)?;
    let mut layer = Layer::new(Provenance::Generated("initramfs".into()));
    for folder in ["dev", "etc", "modules", "proc", "run", "sys"] {
        layer.directory(path(folder)?, 0o755);
    }
    layer.char_device(path("dev/console")?, 0o600, 5, 1);
    layer.file(path("init")?, 0o755, programs.read("initramfs-init")?);
    let mut config = Config { root_type: Some("ext4".to_owned()), ..Config::default() };
    for file in modules.closure(manifest)? {
        let source = path(&format!("usr/lib/modules/{release}/{file}"))?;
        let name = file.rsplit('/').next().unwrap_or(&file);
        layer.file(path(&format!("modules/{name}"))?, 0o644, tree.content(&source)?.clone());
        config.modules.push(Module { path: format!("/modules/{name}"), parameters: String::new() });
    }
    let text = config
        .to_text()
        .map_err(|error| anyhow::anyhow!("cannot write the initramfs configuration: {error}"))?;
    layer.file(path(initramfs_config::PATH.trim_start_matches('/'))?, 0o644, text.into_bytes());
    Ok(Tree::standalone([&layer], &MergePolicy::new())?)
}

/// What depmod(8) found out about the modules of a kernel.
#[derive(Debug, Default)]
struct Modules {
    /// By name with `_` for `-`: the file, and the files it needs, the most basic one last.
    dependencies: BTreeMap<String, (String, Vec<String>)>,
    /// Names of modules that are part of the kernel itself.
    built_in: BTreeSet<String>,
}

impl Modules {
    fn read<S: State>(tree: &Tree<S>, release: &str) -> Result<Self> {
        let text = |name: &str| -> Result<String> {
            let file = path(&format!("usr/lib/modules/{release}/{name}"))?;
            let bytes = tree.read(&file).with_context(|| format!("cannot read the kernel's {name}"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Self::parse(&text("modules.dep")?, &text("modules.builtin")?))
    }

    /// Reads modules.dep(5) and modules.builtin.
    fn parse(dep: &str, builtin: &str) -> Self {
        let mut modules = Self::default();
        for line in dep.lines() {
            let Some((file, needed)) = line.split_once(':') else { continue };
            let needed = needed.split_whitespace().map(str::to_owned).collect();
            modules.dependencies.insert(module_name(file), (file.to_owned(), needed));
        }
        modules.built_in = builtin.lines().map(module_name).collect();
        modules
    }

    /// The files of the wanted modules and of all they need, in an order in which they can be loaded.
    fn closure(&self, manifest: &Manifest) -> Result<Vec<String>> {
        let mut files: Vec<String> = Vec::new();
        for wanted in &manifest.initramfs.modules {
            let name = wanted.get_ref().replace('-', "_");
            let Some((file, needed)) = self.dependencies.get(&name) else {
                if self.built_in.contains(&name) {
                    continue;
                }
                let message = format!("the kernel has no module `{}`", wanted.get_ref());
                let names: Vec<&String> = self.dependencies.keys().collect();
                let problem = manifest.source.problem(wanted.span(), message);
                bail!(
                    "{}",
                    match crate::manifest::closest(&name, &names) {
                        Some(similar) =>
                            problem.with_help(format!("a module with a similar name exists: `{similar}`")),
                        None => problem,
                    }
                );
            };
            for file in needed.iter().rev().chain([file]) {
                if !files.contains(file) {
                    files.push(file.clone());
                }
            }
        }
        Ok(files)
    }
}

/// The name by which the kernel knows a module file: no folder, no suffix, `_` for `-`.
fn module_name(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split(".ko").next().unwrap_or(name).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn manifest(modules: &str) -> Manifest {
        let text = format!(
            "[image]\nname = \"x\"\n[archive]\ndistribution = \"debian\"\nsuite = \"trixie\"\narchitecture = \"amd64\"\n\
             [packages]\ninclude = []\n[initramfs]\nmodules = [{modules}]\n"
        );
        Manifest::parse(Path::new("x.toml"), text).unwrap()
    }

    fn modules() -> Modules {
        let dep = "kernel/a/virtio-blk.ko.xz:\nkernel/b/ext4.ko: kernel/b/jbd2.ko kernel/b/mbcache.ko kernel/b/crc.ko\n\
                   kernel/b/jbd2.ko: kernel/b/crc.ko\nkernel/b/mbcache.ko:\nkernel/b/crc.ko:\n";
        Modules::parse(dep, "kernel/drivers/nvme/host/nvme.ko\n")
    }

    #[test]
    fn what_a_module_needs_comes_before_it_and_once() {
        let files = modules().closure(&manifest("\"jbd2\", \"ext4\", \"virtio_blk\"")).unwrap();
        let wanted = [
            "kernel/b/crc.ko",
            "kernel/b/jbd2.ko",
            "kernel/b/mbcache.ko",
            "kernel/b/ext4.ko",
            "kernel/a/virtio-blk.ko.xz",
        ];
        assert_eq!(files, wanted);
    }

    #[test]
    fn a_module_built_into_the_kernel_needs_no_file() {
        assert!(modules().closure(&manifest("\"nvme\"")).unwrap().is_empty());
    }

    #[test]
    fn a_module_that_does_not_exist_is_pointed_at() {
        let error = modules().closure(&manifest("\"virtio_blc\"")).unwrap_err().to_string();
        assert!(error.starts_with("x.toml:10:12: error: the kernel has no module `virtio_blc`"), "{error}");
        assert!(error.contains("help: a module with a similar name exists: `virtio_blk`"), "{error}");
    }
}
