//! The index of a suite: fetched by digest, checked, reduced to what matters, kept by the digest that was signed.

use crate::archive::Archive;
use crate::cache::Cache;
use crate::damage::checksum;
use crate::error::ArchiveError;
use crate::local::LocalPackage;
use crate::progress::{Amount, Stage};
use crate::release::{Verified, bad_control};
use crate::transport::Expected;
use mkimage_deb::release::ReleaseFile;
use mkimage_deb::{ControlError, PackageIndex, Release};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// What a text in the cache begins with; the number grows when what is kept of an index changes.
const HEADER: &str = "# mkimage index 2, ";

/// The packages of a suite, made from verified bytes only.
#[derive(Clone, Debug)]
pub struct Index(PackageIndex);

impl Index {
    /// Gives the packages, for the resolver.
    pub fn packages(&self) -> &PackageIndex {
        &self.0
    }

    /// Gives the packages with those of files in place of all that have their names.
    pub fn with_local(&self, local: &[LocalPackage]) -> Result<PackageIndex, ControlError> {
        let stanzas: String = local.iter().map(LocalPackage::stanza).collect();
        self.0.overlaid(&stanzas)
    }
}

/// One way in which an archive offers an index.
struct Offer {
    /// Its path below the suite.
    path: String,
    file: ReleaseFile,
}

impl Archive {
    /// Gets the packages that a suite has for an architecture in the given components.
    ///
    /// What was got before is taken from the cache, as long as it is what the suite's description names.
    pub fn index(
        &self,
        release: &Verified<Release>,
        components: &[&str],
        architecture: &str,
    ) -> Result<Index, ArchiveError> {
        let mut offers = Vec::new();
        for component in components {
            offers.push(offer(release, component, architecture)?);
        }
        let mut text = String::new();
        for offer in &offers {
            let one = match self.cache.stored_index(&offer.file) {
                Ok(stored) => stored,
                Err(_) => self.fetch_index(release, offer)?,
            };
            if text.is_empty() {
                text = one;
            } else {
                text.push_str(&one);
            }
        }
        // Each part was read before it was kept, so this is about the cache.
        let damaged = |error| ArchiveError::Cache {
            doing: "use the indices in",
            path: self.cache.root().to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        };
        PackageIndex::parse(text).map(Index).map_err(damaged)
    }

    /// Downloads, checks, decompresses and keeps one index, and gives its text reduced.
    fn fetch_index(&self, release: &Verified<Release>, offer: &Offer) -> Result<String, ArchiveError> {
        let _alone = self.occupy_cache()?;
        self.progress.began(Stage::Index, Amount { items: 1, bytes: offer.file.size });
        let partial = self.cache.partial(&format!("index-{}", offer.file.sha256));
        let path = self.download_index(release, offer, &partial).inspect_err(|_| {
            let _ = self.cache.remove_partial();
        })?;
        let address = self.mirror.address(&path);
        let text = decompressed(&partial, &offer.path)
            .map_err(|source| ArchiveError::BadIndex { address: address.clone(), source })?;
        let reduced = PackageIndex::reduced(&text).map_err(|error| bad_control(&address, &text, error))?;
        let stored = self.cache.keep_index(&offer.file, &reduced)?;
        self.cache.remove(&partial)?;
        self.progress.finished_item(Stage::Index, &offer.path);
        self.progress.ended(Stage::Index);
        Ok(stored)
    }

    /// Downloads an index, by its digest if the archive can give it so, and tells from which path it came.
    fn download_index(
        &self,
        release: &Verified<Release>,
        offer: &Offer,
        partial: &Path,
    ) -> Result<String, ArchiveError> {
        let suite = format!("dists/{}", release.suite());
        let mut paths = vec![format!("{suite}/{}", offer.path)];
        if release.acquire_by_hash
            && let Some((folder, _)) = offer.path.rsplit_once('/')
        {
            paths.insert(0, format!("{suite}/{folder}/by-hash/SHA256/{}", offer.file.sha256));
        }
        let expected = Expected { size: offer.file.size, sha256: offer.file.sha256 };
        let transport = self.transport(self.cancel.clone());
        for path in paths {
            if transport.download(Stage::Index, &path, expected, partial)? {
                return Ok(path);
            }
        }
        let address = self.mirror.address(&format!("{suite}/{}", offer.path));
        Err(ArchiveError::IndexGone { address })
    }
}

/// Finds the index of a component, in the smallest form that can be read here.
fn offer(release: &Verified<Release>, component: &str, architecture: &str) -> Result<Offer, ArchiveError> {
    let path = format!("{component}/binary-{architecture}/Packages");
    for end in [".xz", ".gz", ""] {
        let path = format!("{path}{end}");
        if let Some(&file) = release.files.get(&path) {
            return Ok(Offer { path, file });
        }
    }
    let (components, architectures) = (release.components.join(", "), release.architectures.join(", "));
    Err(ArchiveError::NoSuchIndex {
        path,
        available: format!("the components {components} for the architectures {architectures}"),
    })
}

/// Gives the first line of a stored index, which tells whether the rest is whole.
fn header(reduced: &str) -> String {
    format!("{HEADER}{} bytes, checksum {:08x}", reduced.len(), checksum(reduced.as_bytes()))
}

fn decompressed(path: &Path, name: &str) -> io::Result<String> {
    let file = File::open(path)?;
    let mut text = String::new();
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("xz") => {
            let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
            let stream = liblzma::stream::MtStreamBuilder::new()
                .threads(threads)
                .memlimit_threading(512 << 20)
                .memlimit_stop(1 << 30)
                .decoder()
                .map_err(io::Error::from)?;
            liblzma::read::XzDecoder::new_stream(file, stream).read_to_string(&mut text)?;
        }
        Some("gz") => {
            flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text)?;
        }
        _ => {
            io::BufReader::new(file).read_to_string(&mut text)?;
        }
    }
    Ok(text)
}

impl Cache {
    fn index_path(&self, file: &ReleaseFile) -> std::path::PathBuf {
        self.root().join(format!("indices/{}", file.sha256))
    }

    /// Reads an index and makes sure that it is whole: the checksum of the rest stands in the first line.
    fn stored_index(&self, file: &ReleaseFile) -> io::Result<String> {
        let text = fs::read_to_string(self.index_path(file))?;
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        if first != header(rest) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is damaged"));
        }
        Ok(text)
    }

    fn keep_index(&self, file: &ReleaseFile, reduced: &str) -> Result<String, ArchiveError> {
        let text = format!("{}\n{reduced}", header(reduced));
        self.place(&self.index_path(file), text.as_bytes())?;
        self.forget_indices();
        Ok(text)
    }

    /// Removes all but the newest indices; what cannot be removed stays.
    fn forget_indices(&self) {
        const KEPT: usize = 4;
        let Ok(entries) = fs::read_dir(self.root().join("indices")) else { return };
        let mut indices: Vec<_> = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        indices.sort();
        let old = indices.len().saturating_sub(KEPT);
        for (_, path) in &indices[..old] {
            let _ = fs::remove_file(path);
        }
    }
}
