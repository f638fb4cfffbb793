//! What a loader may ask of the world, and how the world says no.

use std::fmt;

/// The world as a loader sees it.
///
/// Paths are bytes. They are absolute, or relative to what the host takes for the current directory. No method
/// may wait for anything: what is not a regular file is an error and is not read, and what is too long to be a
/// description is cut off with [`ErrorCode::TooLarge`].
pub trait Host {
    /// Reads a whole file, following symbolic links.
    fn read(&self, path: &[u8]) -> Result<Opened, HostError>;

    /// Lists the names in a directory, without `.` and `..`, in an order that is always the same.
    fn entries(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, HostError>;

    /// Tells what a path leads to, following symbolic links.
    fn metadata(&self, path: &[u8]) -> Result<Metadata, HostError>;

    /// Finds a user by login name.
    fn user(&self, name: &[u8]) -> Result<Option<User>, HostError>;

    /// Finds a user by id.
    fn user_by_id(&self, uid: u32) -> Result<Option<User>, HostError>;

    /// Finds a group by name, and returns its id.
    fn group(&self, name: &[u8]) -> Result<Option<u32>, HostError>;

    /// Lists the groups that have this user as a member, besides the user's primary group.
    fn groups_of(&self, user: &[u8]) -> Result<Vec<u32>, HostError>;
}

/// A file that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Its content.
    pub text: Vec<u8>,
    /// The real directory: that of the file which the last symbolic link leads to.
    pub directory: Vec<u8>,
    /// When it was last modified: seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
}

/// What there is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// The permission bits.
    pub mode: u32,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// A user as the user database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: Vec<u8>,
    /// The user id.
    pub uid: u32,
    /// The id of the primary group.
    pub gid: u32,
    /// The home directory.
    pub home: Vec<u8>,
    /// The login shell.
    pub shell: Vec<u8>,
}

/// Why the world said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError {
    /// How far it got.
    pub stage: Stage,
    /// Why no further.
    pub code: ErrorCode,
}

/// How far an access got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It could not be opened.
    Open,
    /// It was there, and could not be read.
    Read,
}

/// The cause of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// An error number of Linux.
    Os(i32),
    /// What is there is not a regular file, and reading it might wait for ever.
    NotRegular,
    /// There is more of it than a description can have.
    TooLarge,
}

impl HostError {
    /// Nothing is there.
    pub const MISSING: HostError = HostError { stage: Stage::Open, code: ErrorCode::Os(libc::ENOENT) };

    /// Makes the error for a number of Linux that came while opening.
    pub fn open(errno: i32) -> HostError {
        HostError { stage: Stage::Open, code: ErrorCode::Os(errno) }
    }

    /// Makes the error for a number of Linux that came while reading.
    pub fn read(errno: i32) -> HostError {
        HostError { stage: Stage::Read, code: ErrorCode::Os(errno) }
    }

    /// Tells whether nothing is there.
    pub fn is_missing(self) -> bool {
        self == HostError::MISSING
    }

    /// Returns the text of the C library for the error, such as `No such file or directory`.
    pub fn message(self) -> String {
        match self.code {
            ErrorCode::Os(errno) => os_message(errno),
            ErrorCode::NotRegular => String::from("Not a regular file"),
            ErrorCode::TooLarge => String::from("File too large"),
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for HostError {}

/// Returns the text for an error number.
///
/// The frequent ones are here, in the words that scripts know, so that a build against another C library says
/// the same.
fn os_message(errno: i32) -> String {
    let known = match errno {
        libc::EPERM => "Operation not permitted",
        libc::ENOENT => "No such file or directory",
        libc::EIO => "Input/output error",
        libc::EAGAIN => "Resource temporarily unavailable",
        libc::ENOMEM => "Cannot allocate memory",
        libc::EACCES => "Permission denied",
        libc::ENOTDIR => "Not a directory",
        libc::EISDIR => "Is a directory",
        libc::EINVAL => "Invalid argument",
        libc::ENFILE => "Too many open files in system",
        libc::EMFILE => "Too many open files",
        libc::ENAMETOOLONG => "File name too long",
        libc::ELOOP => "Too many levels of symbolic links",
        libc::ESTALE => "Stale file handle",
        _ => return system_message(errno),
    };
    String::from(known)
}

fn system_message(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    let suffix = format!(" (os error {errno})");
    String::from(text.strip_suffix(&suffix).unwrap_or(&text))
}
