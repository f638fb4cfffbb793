//! Users and groups as they are written: a number, or a name that is looked up by whoever has users.

use alloc::vec::Vec;

use super::number::{Scanned, scan};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// A user id.
    Id(u32),
    /// A login name.
    Name(Vec<u8>),
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// A group id.
    Id(u32),
    /// A group name.
    Name(Vec<u8>),
}

/// A text that starts like a number and is not one, or is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadId;

impl User {
    /// Reads a user; what starts like a number must be one. All ones mean "not set", which is `None`.
    pub fn parse(text: &[u8]) -> Result<Option<User>, BadId> {
        match id(text)? {
            Some(u32::MAX) => Ok(None),
            Some(id) => Ok(Some(User::Id(id))),
            None => Ok(Some(User::Name(text.to_vec()))),
        }
    }
}

impl Group {
    /// Reads a group; the rules are those of [`User::parse`].
    pub fn parse(text: &[u8]) -> Result<Option<Group>, BadId> {
        match id(text)? {
            Some(u32::MAX) => Ok(None),
            Some(id) => Ok(Some(Group::Id(id))),
            None => Ok(Some(Group::Name(text.to_vec()))),
        }
    }
}

/// Reads an id; `None` is a text that does not start like a number.
fn id(text: &[u8]) -> Result<Option<u32>, BadId> {
    match scan(text, 0) {
        Scanned::Nothing => Ok(None),
        Scanned::Number { negative, magnitude, length } if length == text.len() => {
            let number = if negative { magnitude.wrapping_neg() } else { magnitude };
            u32::try_from(number).map(Some).map_err(|_| BadId)
        }
        Scanned::Number { .. } | Scanned::TooLarge => Err(BadId),
    }
}
