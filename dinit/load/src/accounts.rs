//! The user database: the text of `/etc/passwd` and `/etc/group`, read as such.
//!
//! A static program must not load name service modules, so these two files are all there is.

use crate::User;

/// Users and groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    users: Vec<User>,
    groups: Vec<GroupEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct GroupEntry {
    name: Vec<u8>,
    gid: u32,
    members: Vec<Vec<u8>>,
}

impl Accounts {
    /// Reads both files; lines that are not of the form are passed over, as the C library does.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Accounts {
        Accounts {
            users: lines(passwd).filter_map(user).collect(),
            groups: lines(group).filter_map(group_entry).collect(),
        }
    }

    /// Finds a user by login name.
    pub fn user(&self, name: &[u8]) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// Finds a user by id.
    pub fn user_by_id(&self, uid: u32) -> Option<&User> {
        self.users.iter().find(|user| user.uid == uid)
    }

    /// Finds the id of a group by its name.
    pub fn group(&self, name: &[u8]) -> Option<u32> {
        self.groups.iter().find(|group| group.name == name).map(|group| group.gid)
    }

    /// Lists the groups that name a user as a member.
    pub fn groups_of(&self, user: &[u8]) -> Vec<u32> {
        let is_member = |group: &&GroupEntry| group.members.iter().any(|member| member == user);
        self.groups.iter().filter(is_member).map(|group| group.gid).collect()
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

fn user(line: &[u8]) -> Option<User> {
    let mut fields = line.split(|&byte| byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let _password = fields.next()?;
    let uid = number(fields.next()?)?;
    let gid = number(fields.next()?)?;
    let _comment = fields.next()?;
    let home = fields.next()?;
    let shell = fields.next().unwrap_or_default();
    Some(User { name: name.to_vec(), uid, gid, home: home.to_vec(), shell: shell.to_vec() })
}

fn group_entry(line: &[u8]) -> Option<GroupEntry> {
    let mut fields = line.split(|&byte| byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let _password = fields.next()?;
    let gid = number(fields.next()?)?;
    let members = fields.next().unwrap_or_default().split(|&byte| byte == b',');
    let members = members.filter(|member| !member.is_empty()).map(<[u8]>::to_vec).collect();
    Some(GroupEntry { name: name.to_vec(), gid, members })
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}
