//! The running machine's answers, or those of a root directory below which nothing runs.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use crate::{Accounts, ErrorCode, Host, HostError, Kind, Metadata, Opened, Stage, User};

/// The most bytes a file may have that is read to load services.
const MAX_FILE: u64 = 4 << 20;

/// How many symbolic links are followed for one path, as Linux does.
const MAX_LINKS: u32 = 40;

/// Answers from real files.
///
/// With a root, every path and every symbolic link is taken inside it, also an absolute one, as `chroot`
/// would.
#[derive(Debug, Default)]
pub struct SystemHost {
    root: Option<PathBuf>,
    accounts: RefCell<Option<KnownAccounts>>,
}

/// The user database as it was when its files looked like this.
#[derive(Debug)]
struct KnownAccounts {
    stamps: [Option<Stamp>; 2],
    accounts: Accounts,
}

/// What tells one version of a file from another: inode, modification time, size.
type Stamp = (u64, i64, i64, u64);

const PASSWD: &[u8] = b"/etc/passwd";
const GROUP: &[u8] = b"/etc/group";

impl SystemHost {
    /// Answers for the running machine.
    pub fn new() -> SystemHost {
        SystemHost::default()
    }

    /// Answers for what is below `root`.
    pub fn below(root: impl Into<PathBuf>) -> SystemHost {
        SystemHost { root: Some(root.into()), accounts: RefCell::default() }
    }

    /// Finds the file that a path leads to: its real place and its path inside the root.
    fn resolve(&self, path: &[u8]) -> io::Result<Place> {
        match &self.root {
            None => follow_last(PathBuf::from(OsStr::from_bytes(path))),
            Some(root) => follow_below(root, Path::new(OsStr::from_bytes(path))),
        }
    }

    /// Opens the regular file that a path leads to, without waiting for anything; gives its real directory too.
    fn open(&self, path: &[u8]) -> Result<(File, Vec<u8>), HostError> {
        // Most descriptions are no symbolic links, and then the path alone tells the directory.
        let plain = Path::new(OsStr::from_bytes(path));
        if self.root.is_none() {
            match open_unlinked(plain) {
                Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {}
                opened => return Ok((opened.map_err(open_error)?, directory_of(plain))),
            }
        }
        let place = self.resolve(path).map_err(open_error)?;
        refuse_irregular(&place.data)?;
        let file = open_unlinked(&place.real).map_err(open_error)?;
        Ok((file, directory_of(&place.inside)))
    }

    fn stamp(&self, path: &[u8]) -> Option<Stamp> {
        let data = self.resolve(path).ok()?.data;
        Some((data.ino(), data.mtime(), data.mtime_nsec(), data.size()))
    }

    /// Asks the user database, which is read again only when its files have changed.
    fn with_accounts<T>(&self, ask: impl FnOnce(&Accounts) -> T) -> Result<T, HostError> {
        let stamps = [self.stamp(PASSWD), self.stamp(GROUP)];
        let mut known = self.accounts.borrow_mut();
        if let Some(known) = known.as_ref().filter(|known| known.stamps == stamps) {
            return Ok(ask(&known.accounts));
        }
        let accounts = Accounts::parse(&self.read_if_any(PASSWD)?, &self.read_if_any(GROUP)?);
        let answer = ask(&accounts);
        *known = Some(KnownAccounts { stamps, accounts });
        Ok(answer)
    }

    fn read_if_any(&self, path: &[u8]) -> Result<Vec<u8>, HostError> {
        match self.read(path) {
            Ok(opened) => Ok(opened.text),
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl Host for SystemHost {
    fn read(&self, path: &[u8]) -> Result<Opened, HostError> {
        let (file, directory) = self.open(path)?;
        let data = file.metadata().map_err(read_error)?;
        refuse_irregular(&data)?;
        let text = read_bounded(file, data.len())?;
        let modified = (data.mtime(), u32::try_from(data.mtime_nsec()).unwrap_or_default());
        Ok(Opened { text, directory, modified })
    }

    fn entries(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, HostError> {
        let place = self.resolve(path).map_err(open_error)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(place.real).map_err(open_error)? {
            names.push(entry.map_err(read_error)?.file_name().into_vec());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn metadata(&self, path: &[u8]) -> Result<Metadata, HostError> {
        let data = match &self.root {
            None => fs::metadata(Path::new(OsStr::from_bytes(path))).map_err(open_error)?,
            Some(_) => self.resolve(path).map_err(open_error)?.data,
        };
        let kind = match data.file_type() {
            kind if kind.is_file() => Kind::Regular,
            kind if kind.is_dir() => Kind::Directory,
            _ => Kind::Other,
        };
        Ok(Metadata { kind, mode: data.mode() & 0o7777 })
    }

    fn user(&self, name: &[u8]) -> Result<Option<User>, HostError> {
        self.with_accounts(|accounts| accounts.user(name).cloned())
    }

    fn user_by_id(&self, uid: u32) -> Result<Option<User>, HostError> {
        self.with_accounts(|accounts| accounts.user_by_id(uid).cloned())
    }

    fn group(&self, name: &[u8]) -> Result<Option<u32>, HostError> {
        self.with_accounts(|accounts| accounts.group(name))
    }

    fn groups_of(&self, user: &[u8]) -> Result<Vec<u32>, HostError> {
        self.with_accounts(|accounts| accounts.groups_of(user))
    }
}

/// Where a path leads.
struct Place {
    /// The path to give to the system.
    real: PathBuf,
    /// The same path as it is called inside the root.
    inside: PathBuf,
    /// What is there; not a symbolic link.
    data: fs::Metadata,
}

/// Gives the directory of a path.
fn directory_of(path: &Path) -> Vec<u8> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory.as_os_str().as_bytes().to_vec(),
        _ => b".".to_vec(),
    }
}

/// Opens a file that is no symbolic link; nothing is waited for, whatever it is.
fn open_unlinked(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Follows the symbolic links that the last component of a path is; the system follows those before it.
fn follow_last(mut path: PathBuf) -> io::Result<Place> {
    for _ in 0..=MAX_LINKS {
        let data = fs::symlink_metadata(&path)?;
        if !data.file_type().is_symlink() {
            return Ok(Place { real: path.clone(), inside: path, data });
        }
        let target = fs::read_link(&path)?;
        path.pop();
        path.push(target);
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// Follows all symbolic links of a path inside a root, so that none leads out of it.
fn follow_below(root: &Path, path: &Path) -> io::Result<Place> {
    let mut inside = PathBuf::from("/");
    let mut left: Vec<PathBuf> = components(path);
    let mut links = 0;
    while let Some(component) = left.pop() {
        if component.as_os_str() == ".." {
            inside.pop();
            continue;
        }
        let candidate = inside.join(&component);
        let real = below(root, &candidate);
        let kind = fs::symlink_metadata(&real)?.file_type();
        if kind.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(io::Error::from_raw_os_error(libc::ELOOP));
            }
            let target = fs::read_link(&real)?;
            if target.is_absolute() {
                inside = PathBuf::from("/");
            }
            left.extend(components(&target));
        } else {
            if !left.is_empty() && !kind.is_dir() {
                return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
            }
            inside = candidate;
        }
    }
    let real = below(root, &inside);
    let data = fs::symlink_metadata(&real)?;
    Ok(Place { real, inside, data })
}

/// Returns the components of a path that matter, the last one first.
fn components(path: &Path) -> Vec<PathBuf> {
    let all = path.components().rev();
    all.filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir))
        .map(|component| PathBuf::from(component.as_os_str()))
        .collect()
}

fn below(root: &Path, inside: &Path) -> PathBuf {
    root.join(inside.strip_prefix("/").unwrap_or(inside))
}

fn refuse_irregular(data: &fs::Metadata) -> Result<(), HostError> {
    let kind = data.file_type();
    if kind.is_file() {
        return Ok(());
    }
    if kind.is_dir() {
        return Err(HostError::read(libc::EISDIR));
    }
    Err(HostError { stage: Stage::Read, code: ErrorCode::NotRegular })
}

/// Reads a file of about `expected` bytes; one that is longer than a description can be is refused.
fn read_bounded(file: File, expected: u64) -> Result<Vec<u8>, HostError> {
    // One byte more than is there, so that most files are read at once and found to end there.
    let whole = usize::try_from(expected.min(MAX_FILE)).unwrap_or_default();
    let mut text = Vec::new();
    text.try_reserve_exact(whole.saturating_add(1)).map_err(|_| HostError::read(libc::ENOMEM))?;
    text.resize(whole.saturating_add(1), 0);
    let count = match (&file).read(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
        outcome => outcome.map_err(read_error)?,
    };
    text.truncate(count);
    if count != whole {
        let left = (MAX_FILE + 1).saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        file.take(left).read_to_end(&mut text).map_err(read_error)?;
    }
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(HostError { stage: Stage::Read, code: ErrorCode::TooLarge });
    }
    Ok(text)
}

fn open_error(error: io::Error) -> HostError {
    HostError::open(errno(&error))
}

fn read_error(error: io::Error) -> HostError {
    HostError::read(errno(&error))
}

/// Returns the number of an error; a path that cannot even be given to the system does not exist.
fn errno(error: &io::Error) -> i32 {
    match error.raw_os_error() {
        Some(errno) => errno,
        None if error.kind() == io::ErrorKind::InvalidInput => libc::ENOENT,
        None => libc::EIO,
    }
}
