//! What is done for the cache after a build: what was used is noted, and what nobody has used for long goes away.
//!
//! When the list of contents of an image was last modified is when the image was last used. Guests that run hold that
//! file locked. An image that keeps what a guest has written is somebody's work, and never goes away.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use mkimage_archive::Cache;
use mkimage_deb::Sha256;

use crate::build::{CONTENTS, Image};
use crate::ui;
use crate::world::World;

/// How long something is kept that nobody uses.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Notes that an image and its packages are used, and removes from the cache what was not used for long. Only room
/// is at stake, so nothing of it can fail.
pub fn run(world: &World, used: &Image, now: SystemTime) {
    let Ok(cache) = Cache::open(&world.cache) else { return };
    let digests: Vec<Sha256> =
        used.contents.packages.iter().filter_map(|package| package.sha256.parse().ok()).collect();
    cache.mark_used(&digests, now);
    let images = world.cache.join("images");
    if used.folder().starts_with(&images) {
        let _ = note_use(used.folder(), now);
    }
    let Some(limit) = now.checked_sub(KEPT_FOR) else { return };
    let removed = cache.remove_unused(limit) + remove_images(&images, limit);
    if removed > 0 {
        let days = KEPT_FOR.as_secs() / (24 * 60 * 60);
        world.ui.say(format_args!(
            "Removed {} from the cache that nothing has used for {days} days",
            ui::bytes(removed)
        ));
    }
}

/// Notes that an image is used; it stays in the cache for as long as what this gives is there.
pub fn hold(image: &Image) -> Result<File> {
    let list = File::open(image.folder().join(CONTENTS))?;
    list.lock_shared()?;
    Ok(list)
}

fn note_use(folder: &Path, now: SystemTime) -> std::io::Result<()> {
    File::options().write(true).open(folder.join(CONTENTS))?.set_modified(now)
}

/// Removes the images of a folder that were not used since `limit`, and gives how many bytes that were.
fn remove_images(images: &Path, limit: SystemTime) -> u64 {
    let folders = fs::read_dir(images).into_iter().flatten().flatten();
    folders.map(|folder| remove_image(&folder.path(), limit).unwrap_or_default()).sum()
}

fn remove_image(folder: &Path, limit: SystemTime) -> std::io::Result<u64> {
    let list = File::open(folder.join(CONTENTS));
    // Locked until it is gone.
    if list.as_ref().is_ok_and(|list| list.try_lock().is_err() || keeps_writes(list)) {
        return Ok(0);
    }
    let mut size = 0;
    for file in fs::read_dir(folder)? {
        let file = file?.metadata()?;
        if file.modified()? >= limit {
            return Ok(0);
        }
        // Root file systems have holes.
        size += file.blocks() * 512;
    }
    fs::remove_dir_all(folder)?;
    Ok(size)
}

/// Whether a list of contents says that a guest has written to its image, whichever version of mkimage wrote it.
fn keeps_writes(list: &File) -> bool {
    let list: Option<serde_json::Value> = serde_json::from_reader(list).ok();
    list.is_some_and(|list| list.get("kept").and_then(serde_json::Value::as_bool) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tests::lay_image;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn images_leave_the_cache_unless_they_are_used_or_run_or_keep_what_a_guest_wrote() {
        let images = tempfile::tempdir().unwrap();
        let folder = |name: &str| images.path().join(name);
        let [_old, used, running, _] =
            ["old", "used", "running", "kept"].map(|name| lay_image(&folder(name), name == "kept"));
        fs::create_dir(folder("unfinished")).unwrap();
        fs::write(folder("unfinished").join("vmlinuz"), "part").unwrap();
        let now = SystemTime::now();
        assert_eq!(remove_images(images.path(), now - DAY), 0);

        note_use(used.folder(), now + 3 * DAY).unwrap();
        let held = hold(&running).unwrap();
        remove_images(images.path(), now + 2 * DAY);
        let left = || {
            let names = fs::read_dir(images.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(left(), ["kept", "running", "used"]);
        assert!(Image::open(used.folder()).is_some());

        drop(held);
        remove_images(images.path(), now + 2 * DAY);
        assert_eq!(left(), ["kept", "used"]);
        remove_images(images.path(), now + 4 * DAY);
        assert_eq!(left(), ["kept"]);
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_images() {
        assert_eq!(remove_images(Path::new("/nonexistent/images"), SystemTime::now()), 0);
    }
}
