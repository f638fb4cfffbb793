//! The kernel command line: words as the kernel cuts them, and the ones that concern the root file system.
//!
//! The meaning of each is the kernel's own (its document `kernel-parameters`), so that what works without an
//! initramfs works with one.

/// What the kernel command line says about the root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// `root=`.
    pub(crate) root: Root,
    /// `rootfstype=`: the types to try, in this order.
    pub(crate) types: Vec<String>,
    /// `rootflags=`: options of the mount.
    pub(crate) flags: String,
    /// `ro` or `rw`, the last one.
    pub(crate) access: Access,
    /// `rootdelay=`: seconds before the root is looked for.
    pub(crate) delay: u32,
    /// `rootwait` or `rootwait=`.
    pub(crate) wait: Wait,
    /// `init=`.
    pub(crate) init: Option<Vec<u8>>,
}

/// Which block device is the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Root {
    /// The name below `/dev`.
    Device(Vec<u8>),
    /// The numbers, as in `254:1`.
    Numbers(Vec<u8>),
    /// A name of the file system or the partition.
    Tag(Tag, Vec<u8>),
}

/// What a name is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Uuid,
    Label,
    PartUuid,
    PartLabel,
}

/// Whether the root is mounted for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

/// How long to wait for the root device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As the configuration says.
    Configured,
    Seconds(u32),
    ForEver,
}

/// A word of the kernel command line that cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadWord {
    /// The word, or the name of the one that is missing.
    pub(crate) word: String,
    /// What is wrong with it.
    pub(crate) problem: &'static str,
    /// What to write instead.
    pub(crate) help: &'static str,
}

/// The ways to write a tag: on the command line, and as a link that udev would make.
const TAGS: &[(&[u8], &[u8], Tag)] = &[
    (b"UUID=", b"/dev/disk/by-uuid/", Tag::Uuid),
    (b"LABEL=", b"/dev/disk/by-label/", Tag::Label),
    (b"PARTUUID=", b"/dev/disk/by-partuuid/", Tag::PartUuid),
    (b"PARTLABEL=", b"/dev/disk/by-partlabel/", Tag::PartLabel),
];

const ROOT_HELP: &str = "name the root file system, such as `root=/dev/vda`, `root=UUID=…` or `root=LABEL=…`";
const SECONDS_HELP: &str = "give whole seconds, such as `5`";

/// Reads the kernel command line; of a word that is there twice the last one counts, as in the kernel.
pub(crate) fn read(line: &[u8]) -> Result<Wishes, BadWord> {
    let mut root = None;
    let mut wishes = Wishes {
        root: Root::Device(Vec::new()),
        types: Vec::new(),
        flags: String::new(),
        access: Access::ReadOnly,
        delay: 0,
        wait: Wait::Configured,
        init: None,
    };
    for word in words(line) {
        // What follows is for init alone.
        if word == b"--" {
            break;
        }
        let equals = word.iter().position(|&byte| byte == b'=');
        let (name, value) = match equals {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (&word[..], None),
        };
        match (name, value) {
            (b"root", Some(value)) => root = Some(read_root(value, &word)?),
            (b"rootfstype", Some(value)) => {
                let types = text(value, &word)?.split(',').filter(|name| !name.is_empty());
                wishes.types = types.map(str::to_owned).collect();
            }
            (b"rootflags", Some(value)) => text(value, &word)?.clone_into(&mut wishes.flags),
            (b"rootdelay", Some(value)) => wishes.delay = seconds(value, &word)?,
            (b"rootwait", Some(value)) => wishes.wait = Wait::Seconds(seconds(value, &word)?),
            (b"rootwait", None) => wishes.wait = Wait::ForEver,
            (b"ro", None) => wishes.access = Access::ReadOnly,
            (b"rw", None) => wishes.access = Access::ReadWrite,
            (b"init", Some(value)) => wishes.init = Some(read_init(value, &word)?),
            _ => {}
        }
    }
    wishes.root = root.ok_or_else(|| bad(b"root=", "is missing from the kernel command line", ROOT_HELP))?;
    Ok(wishes)
}

/// Cuts the line as the kernel does: at blanks outside of double quotes, which are not part of a value.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word = Vec::new();
    let mut quoted = false;
    for &byte in line {
        match byte {
            b'"' => quoted = !quoted,
            b' ' | b'\t' | b'\n' if !quoted => push_word(&mut words, &mut word),
            _ => word.push(byte),
        }
    }
    push_word(&mut words, &mut word);
    words
}

fn push_word(words: &mut Vec<Vec<u8>>, word: &mut Vec<u8>) {
    if !word.is_empty() {
        words.push(std::mem::take(word));
    }
}

fn read_root(value: &[u8], word: &[u8]) -> Result<Root, BadWord> {
    for &(prefix, folder, tag) in TAGS {
        if let Some(name) = value.strip_prefix(prefix).or_else(|| value.strip_prefix(folder)) {
            return match name {
                b"" => Err(bad(word, "names nothing", ROOT_HELP)),
                _ if tag == Tag::PartUuid && name.contains(&b'/') => {
                    Err(bad(word, "is relative to another partition", "name the partition's own PARTUUID"))
                }
                _ => Ok(Root::Tag(tag, name.to_vec())),
            };
        }
    }
    match value.strip_prefix(b"/dev/") {
        Some(b"nfs" | b"cifs" | b"ram" | b"ram0") => {
            Err(bad(word, "is not a local disk, and only those are supported", ROOT_HELP))
        }
        Some(name) if !name.is_empty() => Ok(Root::Device(name.to_vec())),
        None if is_numbers(value) => Ok(Root::Numbers(value.to_vec())),
        _ => Err(bad(word, "does not name a block device", ROOT_HELP)),
    }
}

/// Whether this is two numbers with a colon between.
fn is_numbers(value: &[u8]) -> bool {
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    match value.iter().position(|&byte| byte == b':') {
        Some(at) => digits(&value[..at]) && digits(&value[at + 1..]),
        None => false,
    }
}

fn read_init(value: &[u8], word: &[u8]) -> Result<Vec<u8>, BadWord> {
    match value {
        [b'/', ..] if !value.contains(&0) => Ok(value.to_vec()),
        _ => Err(bad(word, "is not an absolute path", "give the path of a program, such as `init=/bin/sh`")),
    }
}

fn seconds(value: &[u8], word: &[u8]) -> Result<u32, BadWord> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| bad(word, "is not a number of seconds", SECONDS_HELP))
}

fn text<'a>(value: &'a [u8], word: &[u8]) -> Result<&'a str, BadWord> {
    std::str::from_utf8(value)
        .map_err(|_| bad(word, "is not text in UTF-8", "write it with plain characters"))
}

fn bad(word: &[u8], problem: &'static str, help: &'static str) -> BadWord {
    BadWord { word: String::from_utf8_lossy(word).into_owned(), problem, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(value: &str) -> Result<Root, String> {
        read(format!("root={value}").as_bytes())
            .map(|wishes| wishes.root)
            .map_err(|error| error.problem.to_owned())
    }

    #[test]
    fn blanks_in_double_quotes_do_not_end_a_word() {
        let cut = words(b" a=\"b c\" \"d=e f\"\tg \n");
        assert_eq!(cut, [&b"a=b c"[..], b"d=e f", b"g"]);
    }

    #[test]
    fn the_last_of_two_words_counts_and_what_follows_two_dashes_is_for_init() {
        let wishes = read(b"root=/dev/vda rw root=/dev/vdb ro init=/a init=/b -- rw init=/c").expect("valid");
        assert_eq!(wishes.root, Root::Device(b"vdb".to_vec()));
        assert_eq!(wishes.access, Access::ReadOnly);
        assert_eq!(wishes.init.as_deref(), Some(&b"/b"[..]));
    }

    #[test]
    fn everything_about_the_root_is_read() {
        let line = b"quiet root=LABEL=\"my root\" rootfstype=erofs,ext4 rootflags=noatime,data=ordered rw \
                     rootdelay=2 rootwait single -t boot init=/bin/sh";
        let expected = Wishes {
            root: Root::Tag(Tag::Label, b"my root".to_vec()),
            types: vec!["erofs".to_owned(), "ext4".to_owned()],
            flags: "noatime,data=ordered".to_owned(),
            access: Access::ReadWrite,
            delay: 2,
            wait: Wait::ForEver,
            init: Some(b"/bin/sh".to_vec()),
        };
        assert_eq!(read(line), Ok(expected));
        assert_eq!(read(b"root=/dev/vda rootwait=7").expect("valid").wait, Wait::Seconds(7));
    }

    #[test]
    fn a_root_is_a_device_its_numbers_or_a_tag() {
        assert_eq!(root("/dev/mapper/x"), Ok(Root::Device(b"mapper/x".to_vec())));
        assert_eq!(root("254:1"), Ok(Root::Numbers(b"254:1".to_vec())));
        assert_eq!(root("UUID=ab-c"), Ok(Root::Tag(Tag::Uuid, b"ab-c".to_vec())));
        assert_eq!(root("/dev/disk/by-uuid/ab-c"), Ok(Root::Tag(Tag::Uuid, b"ab-c".to_vec())));
        assert_eq!(root("PARTUUID=x-01"), Ok(Root::Tag(Tag::PartUuid, b"x-01".to_vec())));
        assert_eq!(root("/dev/disk/by-partlabel/a"), Ok(Root::Tag(Tag::PartLabel, b"a".to_vec())));
    }

    #[test]
    fn a_word_that_cannot_be_obeyed_is_named_with_the_reason() {
        let problem =
            |line: &str| read(line.as_bytes()).map_err(|error| (error.word, error.problem)).expect_err("bad");
        let is = |line, word: &str, reason| assert_eq!(problem(line), (word.to_owned(), reason));
        is("quiet", "root=", "is missing from the kernel command line");
        is("root=", "root=", "does not name a block device");
        is("root=vda", "root=vda", "does not name a block device");
        is("root=UUID=", "root=UUID=", "names nothing");
        is("root=/dev/nfs", "root=/dev/nfs", "is not a local disk, and only those are supported");
        is("root=PARTUUID=a/PARTNROFF=1", "root=PARTUUID=a/PARTNROFF=1", "is relative to another partition");
        is("root=/dev/vda rootdelay=soon", "rootdelay=soon", "is not a number of seconds");
        is("root=/dev/vda rootwait=-1", "rootwait=-1", "is not a number of seconds");
        is("root=/dev/vda init=sh", "init=sh", "is not an absolute path");
    }
}
