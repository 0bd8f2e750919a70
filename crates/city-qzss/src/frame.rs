//! 250 bits of an L1S message: numbers are read out of them, and their CRC is held against what they say
//! (IS-QZSS-L1S and IS-QZSS-DCR, 4.1.1).

use crate::Error;

/// The bits as they came, the first at the top of the first byte. The last six of the 32 bytes are filling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame {
    bytes: [u8; Frame::BYTES],
}

const BITS: usize = 250;
const CRC_BITS: usize = 24;
const CRC_FROM: usize = BITS - CRC_BITS;
/// CRC-24Q, without the bit of x^24.
const POLYNOMIAL: u32 = 0x86_4CFB;

impl Frame {
    pub const BYTES: usize = 32;

    /// The filling is not looked at.
    #[must_use]
    pub fn new(mut bytes: [u8; Self::BYTES]) -> Self {
        bytes[Self::BYTES - 1] &= 0b1100_0000;
        Self { bytes }
    }

    /// With the CRC that belongs to its first 226 bits: for tests, and for whoever tries what a decoder does.
    #[must_use]
    pub fn sealed(bytes: [u8; Self::BYTES]) -> Self {
        let mut frame = Self::new(bytes);
        frame.set(CRC_FROM, CRC_BITS, u64::from(frame.crc_computed()));
        frame
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.bytes
    }

    /// The 63 hexadecimal digits of a sentence.
    #[must_use]
    pub fn digits(&self) -> String {
        let mut digits: String = self.bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        digits.pop();
        digits
    }

    /// The number in up to 64 bits. Bits past the end read as 0.
    #[must_use]
    pub fn bits(&self, from: usize, count: usize) -> u64 {
        (from..from.saturating_add(count.min(64))).fold(0, |number, at| number << 1 | u64::from(self.bit(at)))
    }

    #[must_use]
    pub fn bit(&self, at: usize) -> bool {
        self.bytes.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0)
    }

    /// Puts a number into the bits; the CRC stays as it was.
    pub fn set(&mut self, from: usize, count: usize, number: u64) {
        for at in 0..count.min(64) {
            let mask = 0x80u8 >> ((from + at) % 8);
            let is_set = number >> (count.min(64) - 1 - at) & 1 == 1;
            if let Some(byte) = self.bytes.get_mut((from + at) / 8) {
                *byte = if is_set { *byte | mask } else { *byte & !mask };
            }
        }
    }

    /// # Errors
    ///
    /// When the CRC that came is not that of the bits before it.
    pub fn check(&self) -> Result<(), Error> {
        let (written, computed) = (self.small(CRC_FROM, CRC_BITS), self.crc_computed());
        if written == computed { Ok(()) } else { Err(Error::Crc { written, computed }) }
    }

    fn crc_computed(&self) -> u32 {
        (0..CRC_FROM).fold(0, |crc, at| {
            let is_odd = (crc >> 23 & 1 == 1) != self.bit(at);
            (crc << 1 & 0xFF_FFFF) ^ if is_odd { POLYNOMIAL } else { 0 }
        })
    }

    /// As `bits`, of at most 32.
    pub(crate) fn small(&self, from: usize, count: usize) -> u32 {
        u32::try_from(self.bits(from, count.min(32))).unwrap_or(u32::MAX)
    }

    /// As `bits`, of at most 8.
    pub(crate) fn byte(&self, from: usize, count: usize) -> u8 {
        u8::try_from(self.bits(from, count.min(8))).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read_and_nothing_beside_it() {
        let mut frame = Frame::new([0xFF; Frame::BYTES]);
        frame.set(53, 44, 0x0AB_CDEF_0123);
        assert_eq!(frame.bits(53, 44), 0x0AB_CDEF_0123);
        assert_eq!((frame.bits(45, 8), frame.bits(97, 8)), (0xFF, 0xFF));
        assert_eq!(frame.bits(248, 16), 0b11 << 14);
        assert_eq!(frame.bits(usize::MAX, 64), 0);
    }
}
