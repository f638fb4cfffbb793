//! Packages unpacked into the cache: decompressed once, then only read.

use crate::cache::{Cache, UnpackedPaths};
use crate::damage::{Sound, Summing, checksum};
use crate::error::ArchiveError;
use mkimage_deb::{Deb, DebError, Sha256, container};
use mkimage_resolve::{Chosen, Role};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A package that is ready to be laid into an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The name.
    pub name: String,
    /// The version, as the lock has it.
    pub version: String,
    /// The architecture; `all` for a package that fits every one.
    pub architecture: String,
    /// What the package is for.
    pub role: Role,
    /// The digest of the `.deb` it was unpacked from.
    pub sha256: Sha256,
    /// The control members by name: `control`, `md5sums`, `conffiles`, `postinst` and so on.
    pub control: BTreeMap<String, Vec<u8>>,
    /// The files, as a tar archive without compression, in the cache.
    pub data: PathBuf,
    /// The size of that tar archive in bytes.
    pub data_size: u64,
}

/// The data and the control archive of a package, as they were when last looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Record {
    data: Sound,
    control: Sound,
}

impl Cache {
    /// Says whether a package is unpacked and its files still are what they were.
    pub(crate) fn is_unpacked(&self, digest: &Sha256) -> bool {
        self.intact(digest).is_some()
    }

    /// Says whether the `.deb` of a package is there, and has its digest: it may have been fetched long ago.
    pub(crate) fn has_package(&self, chosen: &Chosen) -> bool {
        let path = self.package(&chosen.sha256);
        fs::metadata(&path).is_ok_and(|metadata| metadata.len() == chosen.size)
            && fs::read(&path).is_ok_and(|bytes| Sha256::of(&bytes) == chosen.sha256)
    }

    /// Unpacks a `.deb` whose digest was checked, and removes it.
    ///
    /// A `.deb` that turns out to be damaged is removed too, so that the next run fetches it again.
    pub(crate) fn unpack(&self, chosen: &Chosen) -> Result<(), ArchiveError> {
        let package = self.package(&chosen.sha256);
        let result = self.unpack_from(&package, chosen);
        if matches!(result, Ok(()) | Err(ArchiveError::BadPackage { .. })) {
            self.remove(&package)?;
        }
        result
    }

    fn unpack_from(&self, package: &Path, chosen: &Chosen) -> Result<(), ArchiveError> {
        let digest = &chosen.sha256;
        let (data, control) =
            (self.partial(&format!("{digest}.tar")), self.partial(&format!("{digest}.control")));
        let bad = |error| match error {
            DebError::Write(source) => ArchiveError::Cache { doing: "write", path: data.clone(), source },
            source => ArchiveError::BadPackage { name: chosen.name.clone(), source },
        };
        let file = File::open(package).map_err(cannot("open", package))?;
        let deb = Deb::open(BufReader::with_capacity(128 << 10, file)).map_err(bad)?;
        deb.control_members().map_err(bad)?;
        fs::write(&control, deb.control_tar()).map_err(cannot("write", &control))?;
        let control_sum = checksum(deb.control_tar());
        let mut out = Summing::new(File::create(&data).map_err(cannot("create", &data))?);
        deb.copy_data_tar(&mut out).map_err(bad)?;
        out.flush().map_err(cannot("write", &data))?;
        let paths = self.unpacked(digest);
        self.finish(&data, &paths.data)?;
        self.finish(&control, &paths.control)?;
        let sound =
            |path: &Path, sum| Sound::of(path, sum, SystemTime::now()).map_err(cannot("look at", path));
        let (data, control) = (sound(&paths.data, out.sum())?, sound(&paths.control, control_sum)?);
        self.record(digest, Record { data, control })
    }

    fn record(&self, digest: &Sha256, record: Record) -> Result<(), ArchiveError> {
        let Record { data, control } = record;
        self.place(&self.unpacked(digest).complete, format!("data {data}\ncontrol {control}\n").as_bytes())
    }

    /// Gives what was unpacked of a package.
    pub(crate) fn read_unpacked(&self, chosen: &Chosen) -> Result<Unpacked, ArchiveError> {
        let paths = self.unpacked(&chosen.sha256);
        let read = |path: &Path| {
            fs::read(path).map_err(|source| ArchiveError::Cache {
                doing: "read",
                path: path.to_owned(),
                source,
            })
        };
        let control = container::control_members(&read(&paths.control)?)
            .map_err(|source| ArchiveError::BadPackage { name: chosen.name.clone(), source })?;
        let data_size = fs::metadata(&paths.data).map_err(cannot("look at", &paths.data))?.len();
        Ok(Unpacked {
            name: chosen.name.clone(),
            version: chosen.version.to_string(),
            architecture: chosen.architecture.clone(),
            role: chosen.role,
            sha256: chosen.sha256,
            control,
            data: paths.data,
            data_size,
        })
    }

    /// Gives what a package's archives are, if both are there and whole.
    ///
    /// Where their contents had to be read to know that, what is to be seen of them now is recorded, so that they need
    /// not be read the next time; while another run writes, that is left for later.
    fn intact(&self, digest: &Sha256) -> Option<Record> {
        let UnpackedPaths { data, control, complete } = self.unpacked(digest);
        let record = fs::read_to_string(complete).ok()?;
        let mut lines = record.lines();
        let recorded = Record {
            data: lines.next()?.strip_prefix("data ")?.parse().ok()?,
            control: lines.next()?.strip_prefix("control ")?.parse().ok()?,
        };
        let now = Record {
            data: recorded.data.checked(&data, SystemTime::now())?,
            control: recorded.control.checked(&control, SystemTime::now())?,
        };
        if now != recorded
            && let Ok(Some(_alone)) = self.try_occupy()
        {
            // It only saves time.
            let _ = self.record(digest, now);
        }
        Some(now)
    }
}

/// Makes an error of the system's that says what was being done to which file.
fn cannot(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> ArchiveError {
    move |source| ArchiveError::Cache { doing, path: path.to_owned(), source }
}
