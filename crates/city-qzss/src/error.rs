//! Why a line is no message: what is wrong, and where.

/// Places are counted from 1 in the line, bits from 0 in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("The line is empty.")]
    Empty,
    #[error("The line has {found} characters; a message has {expected}.")]
    LineLength { found: usize, expected: usize },
    #[error("The line has the character {found:?} at {place}, where nothing but ASCII may stand.")]
    Character { place: usize, found: char },
    #[error("The line begins with \"{found}\"; $QZQSM is read, or 63 hexadecimal digits.")]
    Header { found: String },
    #[error("The line has {found} fields before its checksum; three are read: $QZQSM, satellite and message.")]
    Fields { found: usize },
    #[error("The line does not end in its checksum, an asterisk and two hexadecimal digits.")]
    ChecksumMissing,
    #[error("The checksum of the line is {written:02X}, but its characters make {computed:02X}.")]
    Checksum { written: u8, computed: u8 },
    #[error("The satellite is \"{found}\"; it has two digits.")]
    Satellite { found: String },
    #[error("The message has {found} hexadecimal digits; 250 bits have {expected}.")]
    MessageLength { found: usize, expected: usize },
    #[error("Digit {place} of the message is {found:?}, which is not hexadecimal.")]
    Digit { place: usize, found: char },
    #[error("The message has {found} bytes; 250 bits have {expected}.")]
    Bytes { found: usize, expected: usize },
    #[error("The CRC in bits 226 to 249 is {written:06X}, but bits 0 to 225 make {computed:06X}.")]
    Crc { written: u32, computed: u32 },
    #[error("The preamble in bits 0 to 7 is {0:#04X}; 0x53, 0x9A and 0xC6 are known.")]
    Preamble(u8),
    #[error("The message is of type {0} (bits 8 to 13); 43 (DCR) and 44 (DCX) are read.")]
    MessageType(u8),
    #[error("The report is of version {0} (bits 214 to 219); version 1 is read.")]
    Version(u8),
    #[error("The disaster category is {0} (bits 17 to 20), which no edition up to IS-QZSS-DCR-017 defines.")]
    Category(u8),
    #[error("The report time in bits 21 to 40 is month {month}, day {day}, {hour}:{minute}, which is no time.")]
    ReportTime { month: u8, day: u8, hour: u8, minute: u8 },
}
