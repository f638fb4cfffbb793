//! The kernel without its wrapping. What distributions ship is a small program that decompresses the kernel proper;
//! translated, that takes a seventh of a whole boot, so it is done here, once, and QEMU starts the kernel itself.
//!
//! Formats: the Linux/x86 boot protocol (`Documentation/arch/x86/boot.rst`) for the wrapping, elf(5) and Xen's PVH
//! boot protocol for the kernel.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use crate::build::Image;
use crate::files;
use crate::world::World;

/// The most that a kernel may be, decompressed; real ones have some 60 MB.
const LIMIT: u64 = 512 << 20;

/// The type of the note that holds where a hypervisor enters the kernel, and whose it is.
const PHYS32_ENTRY: u32 = 18;
const XEN: &[u8] = b"Xen\0";

/// Gives the image's kernel in the form that a translator starts soonest: unwrapped if it can be, else as it is.
///
/// The unwrapped one is kept in the cache, for the last kernel only.
pub(crate) fn for_translation(world: &World, image: &Image) -> PathBuf {
    let folder = world.cache.join("kernels");
    let place = folder.join(&image.contents.kernel_sha256);
    // A host that lost its power may have kept the name and not the content.
    let is_there = place.metadata().is_ok_and(|file| file.len() > 0) || {
        let kernel = fs::read(image.kernel()).ok().and_then(|wrapped| unwrapped(&wrapped));
        // Whatever fails here, the kernel that is there starts as well, only later.
        let _ = fs::remove_dir_all(&folder);
        kernel.is_some_and(|kernel| {
            fs::create_dir_all(&folder).is_ok() && files::replace(&place, &kernel).is_ok()
        })
    };
    if is_there { place } else { image.kernel() }
}

/// Decompresses the kernel in a bzImage; none if it is something else, or cannot be started without the wrapping.
fn unwrapped(wrapped: &[u8]) -> Option<Vec<u8>> {
    if wrapped.get(0x202..0x206)? != b"HdrS" || u16_at(wrapped, 0x206)? < 0x208 {
        return None;
    }
    // A kernel that says 0 means 4, for historical reasons.
    let sectors = match *wrapped.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + usize::try_from(u32_at(wrapped, 0x248)?).ok()?;
    let length = usize::try_from(u32_at(wrapped, 0x24c)?).ok()?;
    let kernel = decompressed(wrapped.get(start..)?.get(..length)?)?;
    has_entry(&kernel)?.then_some(kernel)
}

/// Decompresses one stream, whatever follows it; none if that fails or nobody knows how.
fn decompressed(payload: &[u8]) -> Option<Vec<u8>> {
    let reader: Box<dyn Read + '_> = match payload {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::GzDecoder::new(payload)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(liblzma::read::XzDecoder::new(payload)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(ruzstd::decoding::StreamingDecoder::new(payload).ok()?),
        _ => return None,
    };
    let mut kernel = Vec::new();
    let size = reader.take(LIMIT + 1).read_to_end(&mut kernel).ok()?;
    (u64::try_from(size).ok()? <= LIMIT).then_some(kernel)
}

/// Says whether an ELF file has the note by which QEMU finds its entry; none if it is no whole ELF file.
fn has_entry(elf: &[u8]) -> Option<bool> {
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let headers = usize_at(elf, 0x20)?;
    let (size, count) = (usize::from(u16_at(elf, 0x36)?), usize::from(u16_at(elf, 0x38)?));
    for number in 0..count {
        let header = elf.get(headers.checked_add(number.checked_mul(size)?)?..)?;
        const PT_NOTE: u32 = 4;
        if u32_at(header, 0)? == PT_NOTE {
            let notes = elf.get(usize_at(header, 8)?..)?.get(..usize_at(header, 32)?)?;
            if is_among(notes)? {
                return Some(true);
            }
        }
    }
    Some(false)
}

/// Says whether the entry is among notes; each has its sizes, its type, its owner's name and its content.
fn is_among(mut notes: &[u8]) -> Option<bool> {
    while !notes.is_empty() {
        let name = usize::try_from(u32_at(notes, 0)?).ok()?;
        let content = usize::try_from(u32_at(notes, 4)?).ok()?;
        if u32_at(notes, 8)? == PHYS32_ENTRY && notes.get(12..)?.get(..name)? == XEN {
            return Some(true);
        }
        let end = 12 + name.checked_next_multiple_of(4)? + content.checked_next_multiple_of(4)?;
        notes = notes.get(end..).unwrap_or_default();
    }
    Some(false)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A little ELF file with one segment of notes: a stranger's, and one of Xen's with this type.
    fn elf(kind: u32) -> Vec<u8> {
        let mut notes = Vec::new();
        for (name, kind, content) in [(&b"GNU\0"[..], 18, &b"abcde"[..]), (b"Xen\0", kind, &[0; 8])] {
            for word in [name.len() as u32, content.len() as u32, kind] {
                notes.extend(word.to_le_bytes());
            }
            notes.extend(name);
            notes.extend(content);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        let mut elf = b"\x7fELF\x02\x01".to_vec();
        elf.resize(64, 0);
        elf[0x20] = 64;
        elf[0x36] = 56;
        elf[0x38] = 1;
        let mut header = [0; 56];
        header[0] = 4;
        header[8] = 120;
        header[32..40].copy_from_slice(&(notes.len() as u64).to_le_bytes());
        elf.extend(header);
        elf.extend(notes);
        elf
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        liblzma::read::XzEncoder::new(bytes, 0).read_to_end(&mut packed).unwrap();
        packed
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    /// A bzImage around a payload, which the kernel's build follows up with the size of what is in it.
    fn wrapped(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 3 * 512 + 100];
        image[0x1f1] = 2;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
        image[0x248] = 100;
        image[0x24c..0x250].copy_from_slice(&(payload.len() as u32 + 4).to_le_bytes());
        image.extend(payload);
        image.extend([7, 7, 7, 7]);
        image.extend(b"what follows");
        image
    }

    #[test]
    fn a_kernel_comes_out_of_each_kind_of_wrapping() {
        let kernel = elf(PHYS32_ENTRY);
        for payload in [gzip(&kernel), xz(&kernel), zstd(&kernel)] {
            assert_eq!(unwrapped(&wrapped(&payload)).as_deref(), Some(&kernel[..]));
        }
    }

    #[test]
    fn a_kernel_that_has_no_entry_for_hypervisors_stays_wrapped() {
        assert_eq!(unwrapped(&wrapped(&gzip(&elf(17)))), None);
    }

    #[test]
    fn what_is_no_kernel_or_not_all_of_one_stays_as_it_is() {
        let whole = wrapped(&gzip(&elf(PHYS32_ENTRY)));
        for length in 0..whole.len() - b"what follows".len() {
            assert_eq!(unwrapped(&whole[..length]), None, "{length} bytes");
        }
        let kernel = elf(PHYS32_ENTRY);
        for length in 0..kernel.len() {
            assert_eq!(unwrapped(&wrapped(&gzip(&kernel[..length]))), None, "{length} bytes of the kernel");
        }
        assert_eq!(unwrapped(&wrapped(b"\x89LZO, which nobody knows here")), None);
        assert_eq!(unwrapped(&kernel), None);
    }
}
