//! Where in the text of a description something was written.

use diagnostics::Span;

/// One of the files that a description was read from: 0 is its own file, the others were included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

impl FileId {
    /// The description's own file.
    pub const MAIN: FileId = FileId(0);

    /// Returns the index of the file in [`Parsed::files`](crate::Parsed::files).
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A place in the text of a description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// The line that the reference reports, from 1. With continued lines it need not be that of `span`.
    pub line: u32,
    /// The bytes of the file that are meant.
    pub span: Span,
    /// The how-manyth logical line this is, counted over all files in the order of reading.
    ///
    /// A loader that acts while it reads (dependencies are loaded where they stand) sorts by this.
    pub order: u32,
}

/// A value together with the place where it was written.
///
/// Two of them are equal if their values are: where a thing was written is not part of what it says.
#[derive(Clone, Debug, Default)]
pub struct At<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> At<T> {
    /// Joins a value and its place.
    pub fn new(value: T, place: Place) -> At<T> {
        At { value, place }
    }
}

impl<T> From<T> for At<T> {
    /// Takes a value that was not read from a file.
    fn from(value: T) -> At<T> {
        At { value, place: Place::default() }
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &At<T>) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}
