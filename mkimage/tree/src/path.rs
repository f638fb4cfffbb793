//! Paths inside a tree: relative bytes that cannot leave it.
//!
//! [`TreePath`] is the only name an entry has. Its constructors refuse whatever could escape the tree or
//! could not stand on ext4, so no later stage has to ask again. Names are bytes: Linux does not promise UTF-8.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest name of one component in bytes, as in `NAME_MAX`.
pub const NAME_LIMIT: usize = 255;
/// Longest path in bytes without the final NUL, as in `PATH_MAX`.
pub const PATH_LIMIT: usize = 4095;

/// A normalised path below the root of a tree; the root itself is the path without components.
///
/// Ordered component by component: a directory comes right before everything in it, and nothing else
/// comes between.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TreePath(Arc<[u8]>);

/// Why bytes cannot be a [`TreePath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathError {
    /// There is nothing in it.
    Empty,
    /// It starts with `/` where a relative path is wanted.
    Absolute(Vec<u8>),
    /// A component is `..`.
    Escapes(Vec<u8>),
    /// It holds a NUL byte.
    Nul(Vec<u8>),
    /// A component is longer than [`NAME_LIMIT`] or the whole longer than [`PATH_LIMIT`].
    TooLong(Vec<u8>),
}

impl TreePath {
    /// Returns the root of the tree.
    pub fn root() -> TreePath {
        TreePath(Arc::from(&b""[..]))
    }

    /// Makes a path of relative bytes; `.` components, doubled and trailing slashes are dropped.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<TreePath, PathError> {
        let bytes = bytes.as_ref();
        if bytes.first() == Some(&b'/') {
            return Err(PathError::Absolute(bytes.to_vec()));
        }
        normalise(bytes)
    }

    /// Makes a path of bytes as seen from inside the image, where `/etc` and `etc` are the same.
    pub fn in_root(bytes: impl AsRef<[u8]>) -> Result<TreePath, PathError> {
        normalise(bytes.as_ref())
    }

    /// Returns the bytes without a leading slash; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the bytes with a leading slash, as seen from inside the image.
    pub fn absolute(&self) -> Vec<u8> {
        [b"/", self.as_bytes()].concat()
    }

    /// Tells whether this is the root of the tree.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the components from the root downwards.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|component| !component.is_empty())
    }

    /// Returns the last component; none for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// Returns the directory that this path is in; none for the root.
    pub fn parent(&self) -> Option<TreePath> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(TreePath(Arc::from(&self.0[..end])))
    }

    /// Appends relative bytes under the rules of [`TreePath::new`].
    pub fn join(&self, relative: impl AsRef<[u8]>) -> Result<TreePath, PathError> {
        let relative = TreePath::new(relative)?;
        self.join_path(&relative)
    }

    /// Appends a path that is already known to be sound.
    pub fn join_path(&self, below: &TreePath) -> Result<TreePath, PathError> {
        if below.is_root() {
            return Ok(self.clone());
        }
        if self.is_root() {
            return Ok(below.clone());
        }
        let bytes = [self.as_bytes(), b"/", below.as_bytes()].concat();
        if bytes.len() > PATH_LIMIT { Err(PathError::TooLong(bytes)) } else { Ok(TreePath(bytes.into())) }
    }

    /// Tells whether this is `directory` or lies below it.
    pub fn is_within(&self, directory: &TreePath) -> bool {
        self.relative_to(directory).is_some()
    }

    /// Returns the rest of this path below `directory`, or none if it is elsewhere.
    pub fn relative_to(&self, directory: &TreePath) -> Option<TreePath> {
        if directory.is_root() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(directory.as_bytes())?;
        match rest.first() {
            None => Some(TreePath::root()),
            Some(b'/') => Some(TreePath(Arc::from(&rest[1..]))),
            Some(_) => None,
        }
    }

    /// Returns where this path lies when the tree is laid out in the real directory `base`.
    pub fn below(&self, base: &Path) -> PathBuf {
        if self.is_root() { base.to_path_buf() } else { base.join(OsStr::from_bytes(self.as_bytes())) }
    }
}

fn normalise(bytes: &[u8]) -> Result<TreePath, PathError> {
    if bytes.is_empty() {
        return Err(PathError::Empty);
    }
    if bytes.contains(&0) {
        return Err(PathError::Nul(bytes.to_vec()));
    }
    let mut clean = Vec::with_capacity(bytes.len());
    for component in bytes.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => continue,
            b".." => return Err(PathError::Escapes(bytes.to_vec())),
            long if long.len() > NAME_LIMIT => return Err(PathError::TooLong(bytes.to_vec())),
            _ => {}
        }
        if !clean.is_empty() {
            clean.push(b'/');
        }
        clean.extend_from_slice(component);
    }
    if clean.len() > PATH_LIMIT {
        return Err(PathError::TooLong(bytes.to_vec()));
    }
    Ok(TreePath(clean.into()))
}

impl Ord for TreePath {
    fn cmp(&self, other: &TreePath) -> Ordering {
        let (left, right) = (self.as_bytes(), other.as_bytes());
        match left.iter().zip(right).position(|(a, b)| a != b) {
            // `/` ends a component, so it sorts before any byte that goes on with it.
            Some(at) => match (left[at], right[at]) {
                (b'/', _) => Ordering::Less,
                (_, b'/') => Ordering::Greater,
                (a, b) => a.cmp(&b),
            },
            None => left.len().cmp(&right.len()),
        }
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &TreePath) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TryFrom<&str> for TreePath {
    type Error = PathError;

    fn try_from(text: &str) -> Result<TreePath, PathError> {
        TreePath::new(text)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, what) = match self {
            PathError::Empty => return f.write_str("the path is empty"),
            PathError::Absolute(bytes) => (bytes, "is absolute where a relative path is wanted"),
            PathError::Escapes(bytes) => (bytes, "has a `..` component and may leave the tree"),
            PathError::Nul(bytes) => (bytes, "holds a NUL byte"),
            PathError::TooLong(bytes) => (bytes, "is longer than a path may be"),
        };
        write!(f, "path `{}` {what}", bytes.escape_ascii())
    }
}

impl std::error::Error for PathError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    #[test]
    fn dots_and_slashes_that_say_nothing_are_dropped() {
        for spelling in ["./usr/bin", "usr//bin", "usr/./bin/", "usr/bin/."] {
            assert_eq!(TreePath::new(spelling), Ok(path("usr/bin")), "{spelling}");
        }
        for spelling in [".", "./", "././."] {
            assert_eq!(TreePath::new(spelling), Ok(TreePath::root()), "{spelling}");
        }
    }

    #[test]
    fn whatever_may_leave_the_tree_is_refused() {
        assert_eq!(TreePath::new(""), Err(PathError::Empty));
        assert_eq!(TreePath::new("/etc"), Err(PathError::Absolute(b"/etc".to_vec())));
        assert_eq!(TreePath::new("a/../b"), Err(PathError::Escapes(b"a/../b".to_vec())));
        assert_eq!(TreePath::in_root("/.."), Err(PathError::Escapes(b"/..".to_vec())));
        assert_eq!(TreePath::new(b"a\0b"), Err(PathError::Nul(b"a\0b".to_vec())));
    }

    #[test]
    fn a_name_may_have_255_bytes_and_no_more() {
        assert!(TreePath::new("x".repeat(255)).is_ok());
        assert!(matches!(TreePath::new("x".repeat(256)), Err(PathError::TooLong(_))));
        let deep = "abcdefgh/".repeat(500);
        assert!(matches!(TreePath::new(&deep), Err(PathError::TooLong(_))));
        let half = path(&"abcdefg/".repeat(300));
        assert!(matches!(half.join_path(&half), Err(PathError::TooLong(_))));
    }

    #[test]
    fn a_directory_sorts_right_before_what_is_in_it() {
        let mut paths = ["usr-local", "usr/bin", "usr", "usr/bin/a", "usr.d"].map(path);
        paths.sort();
        assert_eq!(paths, ["usr", "usr/bin", "usr/bin/a", "usr-local", "usr.d"].map(path));
    }

    #[test]
    fn parents_and_remainders_are_whole_components() {
        assert_eq!(path("usr/bin/a").parent(), Some(path("usr/bin")));
        assert_eq!(path("usr").parent(), Some(TreePath::root()));
        assert_eq!(TreePath::root().parent(), None);
        assert_eq!(path("usr/bin").relative_to(&path("usr")), Some(path("bin")));
        assert_eq!(path("usrbin").relative_to(&path("usr")), None);
        assert_eq!(path("usr").below(Path::new("/t")), Path::new("/t/usr"));
        assert_eq!(TreePath::root().below(Path::new("/t")), Path::new("/t"));
    }

    proptest! {
        #[test]
        fn an_accepted_path_is_normal_and_stays_inside(bytes in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..40)) {
            if let Ok(accepted) = TreePath::new(&bytes) {
                prop_assert!(!accepted.as_bytes().starts_with(b"/"));
                prop_assert!(!accepted.as_bytes().ends_with(b"/"));
                prop_assert!(accepted.components().all(|part| part != b"." && part != b".." && !part.is_empty()));
                if !accepted.is_root() {
                    prop_assert_eq!(TreePath::new(accepted.as_bytes()), Ok(accepted));
                }
            }
        }

        #[test]
        fn the_order_is_that_of_the_component_lists(left in "[ab/-]{1,12}", right in "[ab/-]{1,12}") {
            let (left, right) = (TreePath::in_root(&left).unwrap(), TreePath::in_root(&right).unwrap());
            let lists = |path: &TreePath| path.components().map(<[u8]>::to_vec).collect::<Vec<_>>();
            prop_assert_eq!(left.cmp(&right), lists(&left).cmp(&lists(&right)));
        }
    }
}
