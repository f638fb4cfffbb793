//! What kind of file system starts with these bytes, and its UUID and label. Pure.
//!
//! The offsets are those of each file system's on-disk format as the kernel's headers give it.

/// How many bytes from the start of a device are needed: btrfs keeps its superblock at 64 KiB.
pub(crate) const HEAD: usize = 0x11000;

/// A file system that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileSystem {
    /// The name that mount(2) takes.
    pub(crate) kind: &'static str,
    /// In the usual form with dashes, lower case; empty if it has none.
    pub(crate) uuid: String,
    /// Empty if it has none.
    pub(crate) label: Vec<u8>,
}

/// Where a kind of file system keeps what.
struct Format {
    kind: &'static str,
    magic_at: usize,
    magic: &'static [u8],
    uuid_at: Option<usize>,
    label_at: Option<(usize, usize)>,
}

/// The kernel's ext4 also mounts what ext2 and ext3 made.
const FORMATS: &[Format] = &[
    Format {
        kind: "ext4",
        magic_at: 0x400 + 56,
        magic: b"\x53\xef",
        uuid_at: Some(0x400 + 104),
        label_at: Some((0x400 + 120, 16)),
    },
    Format {
        kind: "erofs",
        magic_at: 0x400,
        magic: b"\xe2\xe1\xf5\xe0",
        uuid_at: Some(0x400 + 48),
        label_at: Some((0x400 + 64, 16)),
    },
    Format { kind: "squashfs", magic_at: 0, magic: b"hsqs", uuid_at: None, label_at: None },
    Format { kind: "xfs", magic_at: 0, magic: b"XFSB", uuid_at: Some(32), label_at: Some((108, 12)) },
    Format {
        kind: "btrfs",
        magic_at: 0x10000 + 64,
        magic: b"_BHRfS_M",
        uuid_at: Some(0x10000 + 32),
        label_at: Some((0x10000 + 299, 256)),
    },
];

/// Recognises a file system by the first bytes of its device, which may be fewer than [`HEAD`].
pub(crate) fn identify(head: &[u8]) -> Option<FileSystem> {
    let is = |format: &&Format| bytes(head, format.magic_at, format.magic.len()) == Some(format.magic);
    let format = FORMATS.iter().find(is)?;
    let uuid = format.uuid_at.and_then(|at| bytes(head, at, 16)).map_or(String::new(), uuid_text);
    let label =
        format.label_at.and_then(|(at, length)| bytes(head, at, length)).map_or(Vec::new(), until_nul);
    Some(FileSystem { kind: format.kind, uuid, label })
}

fn bytes(head: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    head.get(at..at + length)
}

fn until_nul(field: &[u8]) -> Vec<u8> {
    field.iter().copied().take_while(|&byte| byte != 0).collect()
}

/// Writes a UUID; one of nothing but zeros is none.
fn uuid_text(uuid: &[u8]) -> String {
    if uuid.iter().all(|&byte| byte == 0) {
        return String::new();
    }
    let mut text = String::new();
    for (index, &byte) in uuid.iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            text.push('-');
        }
        push_hex(&mut text, byte);
    }
    text
}

/// Adds a byte as two lower-case digits.
pub(crate) fn push_hex(text: &mut String, byte: u8) {
    for digit in [byte >> 4, byte & 15] {
        text.push(char::from_digit(u32::from(digit), 16).unwrap_or('?'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: [u8; 16] = [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 0xff];
    const UUID_TEXT: &str = "12345678-9abc-def0-0102-0304050607ff";

    fn head(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        for (at, bytes) in parts {
            head[*at..*at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    fn found(kind: &'static str, uuid: &str, label: &[u8]) -> Option<FileSystem> {
        Some(FileSystem { kind, uuid: uuid.to_owned(), label: label.to_vec() })
    }

    #[test]
    fn each_kind_is_recognised_with_its_uuid_and_label() {
        let ext4 = head(&[(1080, b"\x53\xef"), (1128, &UUID), (1144, b"root")]);
        assert_eq!(identify(&ext4), found("ext4", UUID_TEXT, b"root"));
        let erofs = head(&[(1024, b"\xe2\xe1\xf5\xe0"), (1072, &UUID), (1088, b"sixteen letters!x")]);
        assert_eq!(identify(&erofs), found("erofs", UUID_TEXT, b"sixteen letters!"));
        let xfs = head(&[(0, b"XFSB"), (32, &UUID), (108, b"data")]);
        assert_eq!(identify(&xfs), found("xfs", UUID_TEXT, b"data"));
        let btrfs = head(&[(65600, b"_BHRfS_M"), (65568, &UUID), (65835, b"b")]);
        assert_eq!(identify(&btrfs), found("btrfs", UUID_TEXT, b"b"));
        assert_eq!(identify(&head(&[(0, b"hsqs")])), found("squashfs", "", b""));
    }

    #[test]
    fn an_unset_uuid_is_no_uuid() {
        assert_eq!(identify(&head(&[(1080, b"\x53\xef")])), found("ext4", "", b""));
    }

    #[test]
    fn anything_else_and_anything_short_is_not_recognised() {
        assert_eq!(identify(&head(&[])), None);
        assert_eq!(identify(b""), None);
        assert_eq!(identify(&head(&[(1080, b"\x53\xef")])[..1081]), None);
    }
}
