//! What people are told to do (A9 to A11): out of the international library or a country's own.

use super::{JAPAN, coded};
use crate::row::Row;
use crate::table::Coded;
use crate::{Frame, tables};

#[derive(Debug, Clone, PartialEq)]
pub struct Guidance {
    pub library: Coded,
    pub library_version: Coded,
    pub instruction: Instruction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Instruction {
    /// Two sentences of CAMF, annex C 11; either may be none.
    International {
        a: Coded,
        b: Coded,
    },
    Japan(Coded),
    /// Of a library, or a version of one, that is not known here.
    Unknown(u64),
}

impl Guidance {
    pub(super) fn read(frame: &Frame) -> Self {
        let (is_national, version, code) = (frame.bit(66), frame.bits(67, 3), frame.bits(70, 10));
        let instruction = match (is_national, version) {
            (false, 0) => Instruction::International {
                a: coded(frame, &tables::INSTRUCTION_A, 70, 5),
                b: coded(frame, &tables::INSTRUCTION_B, 75, 5),
            },
            (true, 0) if frame.bits(26, 9) == JAPAN => Instruction::Japan(tables::INSTRUCTION_JAPAN.find(code)),
            _ => Instruction::Unknown(code),
        };
        Self {
            library: coded(frame, &tables::LIBRARY_TYPE, 66, 1),
            library_version: coded(frame, &tables::LIBRARY_VERSION, 67, 3),
            instruction,
        }
    }

    pub(super) fn write(&self, row: &mut Row) {
        row.coded("library", &self.library);
        row.coded("libraryVersion", &self.library_version);
        match &self.instruction {
            Instruction::International { a, b } => {
                row.put("instructionAId", format!("IC-A-{:02}", a.code + 1));
                row.coded("instructionA", a);
                row.put("instructionBId", format!("IC-B-{:02}", b.code + 1));
                row.coded("instructionB", b);
            }
            Instruction::Japan(instruction) => row.coded("instruction", instruction),
            Instruction::Unknown(code) => row.put("instructionCode", *code),
        }
    }
}
