//! The `.deb` container (deb(5)): an `ar` archive of a format version, the control members and the files.
//!
//! Reading is strict and goes through the bytes once: [`Deb::open`] takes the control members into memory,
//! [`Deb::copy_data_tar`] streams the files' tar archive, decompressed, to a writer. Anything in a place where
//! it does not belong is an error that names the member.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};

/// What the control members may take up decompressed; the largest in Debian stay far below.
const CONTROL_LIMIT: u64 = 64 << 20;
const HEADER: usize = 60;

/// A `.deb` that is being read: its control members, and the files yet to come.
pub struct Deb<R> {
    reader: R,
    control_tar: Vec<u8>,
    data: Member,
}

/// How a member is compressed, told by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

/// The header of a member.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    size: u64,
}

impl<R: Read> Deb<R> {
    /// Reads everything before the files: the format version and the control members.
    pub fn open(mut reader: R) -> Result<Self, DebError> {
        let mut magic = [0; 8];
        fill(&mut reader, &mut magic, "ar header")?;
        if &magic != b"!<arch>\n" {
            return Err(DebError::NotAnArchive);
        }
        let version = member_bytes(&mut reader, "debian-binary", 64)?;
        if !version.starts_with(b"2.") {
            let version = String::from_utf8_lossy(&version).trim_end().to_owned();
            return Err(DebError::Format(version));
        }
        let control = next_member(&mut reader)?.ok_or(DebError::Missing("control.tar"))?;
        let control_tar = control_tar(&mut reader, &control)?;
        let data = next_member(&mut reader)?.ok_or(DebError::Missing("data.tar"))?;
        compression(&data.name, "data.tar")?;
        Ok(Self { reader, control_tar, data })
    }

    /// Gives the tar archive of the control members, decompressed.
    pub fn control_tar(&self) -> &[u8] {
        &self.control_tar
    }

    /// Gives the control members by name: `control`, `md5sums`, `conffiles`, maintainer scripts and so on.
    pub fn control_members(&self) -> Result<BTreeMap<String, Vec<u8>>, DebError> {
        control_members(&self.control_tar)
    }

    /// Writes the tar archive of the files, decompressed, to `out`, and gives its size in bytes.
    ///
    /// An error of `out` is [`DebError::Write`]; any other means that the `.deb` is not to be trusted.
    pub fn copy_data_tar(mut self, out: &mut impl Write) -> Result<u64, DebError> {
        let compression = compression(&self.data.name, "data.tar")?;
        let size = decompress(&mut self.reader, &self.data, compression, out)?;
        match next_member(&mut self.reader)? {
            None => Ok(size),
            Some(member) => Err(DebError::Unexpected(member.name)),
        }
    }
}

/// Reads the tar archive of control members, as [`Deb::control_tar`] gives it.
pub fn control_members(tar: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, DebError> {
    let bad = |source| DebError::Corrupt { member: "control.tar".to_owned(), source };
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = path.trim_start_matches("./").trim_end_matches('/');
        let kind = entry.header().entry_type();
        if name.is_empty() && kind.is_dir() {
            continue;
        }
        if !kind.is_file() || name.is_empty() || name.contains('/') {
            return Err(DebError::ControlMember(path));
        }
        let name = name.to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(bad)?;
        members.insert(name, bytes);
    }
    if !members.contains_key("control") {
        return Err(DebError::Missing("control"));
    }
    Ok(members)
}

fn control_tar(reader: &mut impl Read, member: &Member) -> Result<Vec<u8>, DebError> {
    let compression = compression(&member.name, "control.tar")?;
    let mut tar = Limited { bytes: Vec::new(), left: CONTROL_LIMIT };
    decompress(reader, member, compression, &mut tar)?;
    Ok(tar.bytes)
}

fn compression(name: &str, expected: &'static str) -> Result<Compression, DebError> {
    match name.strip_prefix(expected) {
        Some("") => Ok(Compression::None),
        Some(".gz") => Ok(Compression::Gzip),
        Some(".xz") => Ok(Compression::Xz),
        Some(".zst") => Ok(Compression::Zstd),
        Some(_) => Err(DebError::Compression(name.to_owned())),
        None => Err(DebError::NotTheMember { found: name.to_owned(), expected }),
    }
}

/// Decompresses a member into `out` and makes sure that nothing of it is left over.
fn decompress(
    reader: &mut impl Read,
    member: &Member,
    compression: Compression,
    out: &mut impl Write,
) -> Result<u64, DebError> {
    let mut body = reader.take(member.size);
    let copied = match compression {
        Compression::None => copy(&mut body, out),
        Compression::Gzip => copy(&mut flate2::read::MultiGzDecoder::new(&mut body), out),
        Compression::Xz => copy(&mut liblzma::read::XzDecoder::new_multi_decoder(&mut body), out),
        Compression::Zstd => {
            zstd_decoder(&mut body).map_err(Copying::Read).and_then(|mut d| copy(&mut d, out))
        }
    };
    let corrupt = |source| DebError::Corrupt { member: member.name.clone(), source };
    let size = copied.map_err(|error| match error {
        Copying::Read(source) => corrupt(source),
        Copying::Write(source) => DebError::Write(source),
    })?;
    if body.limit() > 0 {
        let cause =
            if compression == Compression::None { "it is cut short" } else { "there is more after its end" };
        return Err(corrupt(io::Error::new(io::ErrorKind::InvalidData, cause)));
    }
    skip_padding(reader, member)?;
    Ok(size)
}

fn zstd_decoder<R: Read>(body: R) -> io::Result<impl Read> {
    ruzstd::decoding::StreamingDecoder::new(body).map_err(io::Error::other)
}

enum Copying {
    Read(io::Error),
    Write(io::Error),
}

/// Copies like [`io::copy`], but tells which side an error is of.
fn copy(from: &mut impl Read, to: &mut impl Write) -> Result<u64, Copying> {
    let mut buffer = vec![0; 128 << 10];
    let mut copied = 0;
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Copying::Read(error)),
        };
        to.write_all(&buffer[..length]).map_err(Copying::Write)?;
        copied += length as u64;
    }
}

/// Memory that refuses to grow without end.
struct Limited {
    bytes: Vec<u8>,
    left: u64,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let rest = self.left.checked_sub(bytes.len() as u64);
        self.left = rest.ok_or_else(|| io::Error::other("the control members take up more than 64 MiB"))?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn member_bytes(reader: &mut impl Read, name: &'static str, limit: u64) -> Result<Vec<u8>, DebError> {
    let member = next_member(reader)?.ok_or(DebError::Missing(name))?;
    if member.name != name {
        return Err(DebError::NotTheMember { found: member.name, expected: name });
    }
    if member.size > limit {
        return Err(DebError::Format(format!("{} bytes long", member.size)));
    }
    let mut bytes = vec![0; member.size as usize];
    fill(reader, &mut bytes, name)?;
    skip_padding(reader, &member)?;
    Ok(bytes)
}

/// Reads the next header, passing over members whose names begin with `_`, as deb(5) allows; none at the end.
fn next_member(reader: &mut impl Read) -> Result<Option<Member>, DebError> {
    loop {
        let mut header = Vec::with_capacity(HEADER);
        let read = reader.by_ref().take(HEADER as u64).read_to_end(&mut header);
        read.map_err(|source| DebError::Read { at: "member header", source })?;
        if header.is_empty() {
            return Ok(None);
        }
        let member = parse_header(&header).ok_or(DebError::BadHeader)?;
        if !member.name.starts_with('_') {
            return Ok(Some(member));
        }
        let skipped = io::copy(&mut reader.by_ref().take(member.size), &mut io::sink());
        let skipped = skipped.map_err(|source| DebError::Read { at: "extra member", source })?;
        if skipped != member.size {
            return Err(DebError::BadHeader);
        }
        skip_padding(reader, &member)?;
    }
}

fn parse_header(header: &[u8]) -> Option<Member> {
    let text =
        std::str::from_utf8(header).ok().filter(|text| text.len() == HEADER && text.ends_with("`\n"))?;
    let name = text.get(..16)?.trim_end();
    let size = text.get(48..58)?.trim_end();
    let digits = !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit());
    let name = name.strip_suffix('/').unwrap_or(name);
    (digits && !name.is_empty()).then_some(Member { name: name.to_owned(), size: size.parse().ok()? })
}

/// Members begin at even places.
fn skip_padding(reader: &mut impl Read, member: &Member) -> Result<(), DebError> {
    if member.size % 2 == 1 {
        let mut byte = [0];
        let read = reader.read(&mut byte).map_err(|source| DebError::Read { at: "padding", source })?;
        if read == 1 && byte != *b"\n" && byte != [0] {
            return Err(DebError::BadHeader);
        }
    }
    Ok(())
}

fn fill(reader: &mut impl Read, buffer: &mut [u8], at: &'static str) -> Result<(), DebError> {
    reader.read_exact(buffer).map_err(|source| DebError::Read { at, source })
}

/// Why a `.deb` cannot be read.
#[derive(Debug)]
pub enum DebError {
    /// It does not begin like an `ar` archive.
    NotAnArchive,
    /// A member's header is not one, or is cut short.
    BadHeader,
    /// The format version is not 2.
    Format(String),
    /// A member that must be there is not.
    Missing(&'static str),
    /// Another member stands where one is due.
    NotTheMember {
        /// What stands there.
        found: String,
        /// What is due.
        expected: &'static str,
    },
    /// A member is compressed in a way that is not supported.
    Compression(String),
    /// A member follows that should not.
    Unexpected(String),
    /// Among the control members is something that is not a plain file.
    ControlMember(String),
    /// A member cannot be decompressed or is cut short.
    Corrupt {
        /// Which member.
        member: String,
        /// What the decompressor said.
        source: io::Error,
    },
    /// The bytes cannot be read.
    Read {
        /// Which part was being read.
        at: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// What was decompressed cannot be written.
    Write(io::Error),
}

impl fmt::Display for DebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnArchive => f.write_str("not a Debian package: it does not begin like an `ar` archive"),
            Self::BadHeader => f.write_str("the header of a member is damaged"),
            Self::Format(version) => {
                write!(f, "the package format `{version}` is not supported, only 2.0 is")
            }
            Self::Missing(member) => write!(f, "the member `{member}` is missing"),
            Self::NotTheMember { found, expected } => {
                write!(f, "the member `{found}` stands where `{expected}` is due")
            }
            Self::Compression(member) => {
                write!(f, "the compression of the member `{member}` is not supported; gz, xz and zst are")
            }
            Self::Unexpected(member) => write!(f, "the member `{member}` has no place behind the files"),
            Self::ControlMember(path) => write!(f, "the control member `{path}` is not a plain file"),
            Self::Corrupt { member, .. } => write!(f, "the member `{member}` is damaged"),
            Self::Read { at, .. } => write!(f, "cannot read the {at}"),
            Self::Write(_) => f.write_str("cannot write the unpacked files"),
        }
    }
}

impl std::error::Error for DebError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Corrupt { source, .. } | Self::Read { source, .. } | Self::Write(source) => Some(source),
            Self::NotAnArchive
            | Self::BadHeader
            | Self::Format(_)
            | Self::Missing(_)
            | Self::NotTheMember { .. }
            | Self::Compression(_)
            | Self::Unexpected(_)
            | Self::ControlMember(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    fn member(name: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes =
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, body.len()).into_bytes();
        bytes.extend_from_slice(body);
        if body.len() % 2 == 1 {
            bytes.push(b'\n');
        }
        bytes
    }

    fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::read::XzEncoder::new(bytes, 0);
        let mut out = Vec::new();
        encoder.read_to_end(&mut out).unwrap();
        out
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
        let mut out = Vec::new();
        encoder.read_to_end(&mut out).unwrap();
        out
    }

    fn zst(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn deb(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = b"!<arch>\n".to_vec();
        members.iter().for_each(|(name, body)| bytes.extend(member(name, body)));
        bytes
    }

    fn control() -> Vec<u8> {
        tar_of(&[("./control", "Package: x\n"), ("./postinst", "#!/bin/sh\n")])
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, DebError> {
        let mut out = Vec::new();
        Deb::open(bytes)?.copy_data_tar(&mut out)?;
        Ok(out)
    }

    #[test]
    fn a_package_is_read_whatever_its_compression() {
        let (control, data) = (control(), tar_of(&[("./usr/x", "hello")]));
        type Compress = fn(&[u8]) -> Vec<u8>;
        let ways: [(&str, Compress); 4] = [("", <[u8]>::to_vec), (".xz", xz), (".gz", gz), (".zst", zst)];
        for (end, compress) in ways {
            let bytes = deb(&[
                ("debian-binary", b"2.0\n"),
                (&format!("control.tar{end}"), &compress(&control)),
                ("_extra", b"odd"),
                (&format!("data.tar{end}/"), &compress(&data)),
            ]);
            let deb = Deb::open(&bytes[..]).unwrap();
            let members = deb.control_members().unwrap();
            assert_eq!(members.keys().collect::<Vec<_>>(), ["control", "postinst"]);
            assert_eq!(members["control"], b"Package: x\n");
            assert_eq!(read(&bytes).unwrap(), data, "{end}");
        }
    }

    #[test]
    fn a_package_cut_short_anywhere_is_an_error() {
        let bytes = deb(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar.xz", &xz(&control())),
            ("data.tar.xz", &xz(&tar_of(&[("./usr/x", "hello")]))),
        ]);
        let last_byte_that_matters = bytes.len() - 2;
        for length in 0..last_byte_that_matters {
            assert!(read(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn bad_members_are_refused_by_name() {
        let (control, data) = (control(), xz(&tar_of(&[])));
        let message = |members: &[(&str, &[u8])]| read(&deb(members)).unwrap_err().to_string();
        let version: (&str, &[u8]) = ("debian-binary", b"2.0\n");
        assert_eq!(read(b"MZ not it").unwrap_err().to_string(), DebError::NotAnArchive.to_string());
        assert_eq!(
            message(&[("debian-binary", b"3.0\n")]),
            "the package format `3.0` is not supported, only 2.0 is"
        );
        assert_eq!(message(&[version]), "the member `control.tar` is missing");
        assert_eq!(message(&[version, ("control.tar", &control)]), "the member `data.tar` is missing");
        assert_eq!(
            message(&[version, ("data.tar.xz", &data)]),
            "the member `data.tar.xz` stands where `control.tar` is due"
        );
        assert_eq!(
            message(&[version, ("control.tar", &control), ("data.tar.lzma", &data)]),
            "the compression of the member `data.tar.lzma` is not supported; gz, xz and zst are"
        );
        assert_eq!(
            message(&[version, ("control.tar", &control), ("data.tar.xz", &data), ("more", b"x")]),
            "the member `more` has no place behind the files"
        );
        assert_eq!(
            message(&[version, ("control.tar", &control), ("data.tar.xz", b"not xz at all")]),
            "the member `data.tar.xz` is damaged"
        );
    }

    #[test]
    fn bytes_after_the_end_of_a_compressed_member_are_an_error() {
        for (name, mut data) in [("data.tar.zst", zst(&tar_of(&[]))), ("data.tar.xz", xz(&tar_of(&[])))] {
            data.extend_from_slice(b"more");
            let bytes = deb(&[("debian-binary", b"2.0\n"), ("control.tar", &control()), (name, &data)]);
            let error = read(&bytes).unwrap_err();
            assert_eq!(error.to_string(), format!("the member `{name}` is damaged"));
            assert!(error.source().is_some());
        }
    }

    #[test]
    fn control_members_are_plain_files_and_control_is_among_them() {
        let message = |tar: &[u8]| control_members(tar).unwrap_err().to_string();
        assert_eq!(message(&tar_of(&[("./postinst", "")])), "the member `control` is missing");
        assert_eq!(
            message(&tar_of(&[("./a/control", "")])),
            "the control member `a/control` is not a plain file"
        );
    }
}
