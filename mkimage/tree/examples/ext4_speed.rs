//! Compares the time of our ext4 writer with that of `mke2fs -d` on the same tree.
//!
//! `cargo run --release -p mkimage-tree --example ext4_speed -- ARCHIVE.tar... WORK-DIRECTORY`

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mkimage_tree::{
    Blob, Ext4Options, Ext4Size, Layer, Materialise, MergePolicy, Provenance, Tree, materialise, write_ext4,
};

const ROUNDS: usize = 5;
const EPOCH: i64 = 1_700_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((work, archives)) = arguments.split_last() else {
        return Err("usage: ext4_speed ARCHIVE.tar... WORK-DIRECTORY".into());
    };
    let work = Path::new(work);
    std::fs::create_dir_all(work)?;
    let mut out = io::stdout();

    let start = Instant::now();
    let mut layers = Vec::with_capacity(archives.len());
    for archive in archives {
        layers.push(Layer::from_tar(&Blob::open(archive)?, &Provenance::package(archive.as_str(), "1"))?);
    }
    writeln!(out, "tar headers read    {:8.3} s", start.elapsed().as_secs_f64())?;
    let start = Instant::now();
    let tree = Tree::standalone(&layers, &MergePolicy::new())?;
    writeln!(out, "merged              {:8.3} s", start.elapsed().as_secs_f64())?;
    writeln!(out, "entries {}, {} MB", tree.len(), tree.total_size() / 1_000_000)?;

    let root = tempfile::tempdir_in(work)?;
    let laid_out = root.path().join("root");
    let start = Instant::now();
    materialise(&tree, &laid_out, &Materialise::default())?;
    writeln!(out, "laid out            {:8.3} s", start.elapsed().as_secs_f64())?;

    let ours = work.join("ours.ext4");
    let options = Ext4Options::new(Ext4Size::WithFree(64 << 20), [7; 16], EPOCH);
    let mut size = 0;
    let ours_time = best(|| {
        size = write_ext4(&tree, &ours, &options)?.size;
        Ok(())
    })?;
    writeln!(out, "write_ext4          {:8.3} s, {} MB", ours_time.as_secs_f64(), size / 1_000_000)?;

    let theirs = work.join("theirs.ext4");
    let theirs_time = best(|| mke2fs(&laid_out, &theirs, size))?;
    let ratio = theirs_time.as_secs_f64() / ours_time.as_secs_f64();
    writeln!(out, "mke2fs -d           {:8.3} s, {ratio:.1} times ours", theirs_time.as_secs_f64())?;
    Ok(())
}

fn mke2fs(root: &Path, image: &Path, size: u64) -> Result<(), Box<dyn Error>> {
    let _ = std::fs::remove_file(image);
    let status = Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-E", "lazy_itable_init=1,nodiscard", "-d"])
        .arg(root)
        .arg(image)
        .arg(format!("{}k", size / 1024))
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("mke2fs: {status}").into()) }
}

/// Returns the shortest of some rounds, as the machine may be busy with other things.
fn best(mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}
