//! The identity of a partition as its table gives it, for kernels that do not tell.
//!
//! GPT as in the UEFI specification, MBR with its disk signature; a partition is asked for by its number.

use std::io;

use crate::superblock::push_hex;

/// What a partition table says about one partition.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    /// `PARTUUID`, lower case; empty if unknown.
    pub(crate) uuid: String,
    /// `PARTLABEL`; empty if it has none.
    pub(crate) label: String,
}

/// Reads bytes of the disk at an offset.
pub(crate) type ReadAt<'a> = &'a dyn Fn(&mut [u8], u64) -> io::Result<()>;

/// The fields of a GPT entry that are read: type and unique GUID, and the name behind the numbers.
const ENTRY: usize = 128;

/// Looks a partition up by its number, counted from 1; `None` if there is no table, or no such partition.
pub(crate) fn look_up(read_at: ReadAt<'_>, sector: u64, number: u32) -> Option<Partition> {
    gpt(read_at, sector, number).or_else(|| mbr(read_at, number))
}

fn gpt(read_at: ReadAt<'_>, sector: u64, number: u32) -> Option<Partition> {
    let mut header = [0; 92];
    read_at(&mut header, sector).ok()?;
    if !header.starts_with(b"EFI PART") {
        return None;
    }
    let first = u64::from_le_bytes(*header[72..].first_chunk()?);
    let count = u32::from_le_bytes(*header[80..].first_chunk()?);
    let size = u32::from_le_bytes(*header[84..].first_chunk()?);
    if number == 0 || number > count || (size as usize) < ENTRY {
        return None;
    }
    let mut entry = [0; ENTRY];
    let at = first.checked_mul(sector)?.checked_add(u64::from(number - 1) * u64::from(size))?;
    read_at(&mut entry, at).ok()?;
    if entry[..16].iter().all(|&byte| byte == 0) {
        return None;
    }
    let units = entry[56..].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let label =
        char::decode_utf16(units.take_while(|&unit| unit != 0)).map(|unit| unit.unwrap_or('\u{fffd}'));
    Some(Partition { uuid: guid_text(&entry[16..32]), label: label.collect() })
}

/// Writes a GUID, whose first three groups are stored with the low byte first.
fn guid_text(guid: &[u8]) -> String {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::new();
    for (index, &at) in ORDER.iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            text.push('-');
        }
        push_hex(&mut text, guid[at]);
    }
    text
}

/// The kernel names a partition of an MBR by the disk's signature and its number.
fn mbr(read_at: ReadAt<'_>, number: u32) -> Option<Partition> {
    let mut table = [0; 512];
    read_at(&mut table, 0).ok()?;
    if table[510..] != *b"\x55\xaa" {
        return None;
    }
    let mut uuid = String::new();
    for &byte in table[440..444].iter().rev() {
        push_hex(&mut uuid, byte);
    }
    uuid.push('-');
    push_hex(&mut uuid, u8::try_from(number).ok()?);
    Some(Partition { uuid, label: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(disk: &[u8], sector: u64, number: u32) -> Option<Partition> {
        let read_at = |buffer: &mut [u8], at: u64| {
            let source =
                disk.get(at as usize..at as usize + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(source);
            Ok(())
        };
        look_up(&read_at, sector, number)
    }

    /// A disk with a protective MBR, a header in sector 1 and the entries in sector 2; the second one is in use.
    fn gpt_disk(sector: usize) -> Vec<u8> {
        let mut disk = vec![0; sector * 4];
        disk[510..512].copy_from_slice(b"\x55\xaa");
        disk[sector..sector + 8].copy_from_slice(b"EFI PART");
        disk[sector + 72] = 2;
        disk[sector + 80] = 4;
        disk[sector + 84] = 128;
        let entry = sector * 2 + 128;
        disk[entry] = 1;
        disk[entry + 16..entry + 32].copy_from_slice(&std::array::from_fn::<u8, 16, _>(|i| i as u8 + 0xa0));
        for (index, unit) in "rööt".encode_utf16().enumerate() {
            disk[entry + 56 + index * 2..][..2].copy_from_slice(&unit.to_le_bytes());
        }
        disk
    }

    #[test]
    fn a_gpt_partition_has_the_uuid_and_label_of_its_entry() {
        let expected =
            Partition { uuid: "a3a2a1a0-a5a4-a7a6-a8a9-aaabacadaeaf".to_owned(), label: "rööt".to_owned() };
        assert_eq!(on(&gpt_disk(512), 512, 2), Some(expected.clone()));
        assert_eq!(on(&gpt_disk(4096), 4096, 2), Some(expected));
    }

    #[test]
    fn an_mbr_partition_is_named_by_signature_and_number() {
        let mut disk = vec![0; 1024];
        disk[440..444].copy_from_slice(&[0x78, 0x56, 0x34, 0x12]);
        disk[510..512].copy_from_slice(b"\x55\xaa");
        assert_eq!(on(&disk, 512, 1).map(|p| p.uuid), Some("12345678-01".to_owned()));
    }

    #[test]
    fn a_disk_without_a_table_names_nothing() {
        assert_eq!(on(&[0; 2048], 512, 1), None);
        assert_eq!(on(&[], 512, 1), None);
    }

    #[test]
    fn a_table_that_points_outside_of_the_disk_names_nothing_by_gpt() {
        let mut disk = gpt_disk(512);
        disk[512 + 72..512 + 80].copy_from_slice(&u64::MAX.to_le_bytes());
        disk[510] = 0;
        assert_eq!(on(&disk, 512, 2), None);
    }
}
