//! Which code lists there are: of IS-QZSS-DCR-017, IS-QZSS-DCX-004 and CAMF issue 1.2, by the table's number there.
//! Where they were read from stands in THIRD_PARTY.md.

use crate::table::{Coded, Table};

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {
        $($(#[$doc])* pub static $name: Table = Table::new($file, include_str!(concat!("../tables/", $file, ".tsv")));)*
        /// Every list.
        pub static ALL: &[&Table] = &[$(&$name),*];
    };
}

tables! {
    /// DCR Rc.
    REPORT_CLASSIFICATION = "report_classification";
    /// DCR Dc.
    DISASTER_CATEGORY = "disaster_category";
    /// DCR It.
    INFORMATION_TYPE = "information_type";
    /// DCR table 4.1.2-6.
    NOTIFICATION = "notification";
    /// DCR table 4.1.2-7.
    EPICENTRE = "epicentre";
    /// DCR table 4.1.2-8.
    INTENSITY_LOWER = "intensity_lower";
    /// DCR table 4.1.2-9.
    INTENSITY_UPPER = "intensity_upper";
    /// DCR table 4.1.2-10.
    EEW_REGION = "eew_region";
    /// DCR table 4.1.2-11-1.
    GROUND_MOTION_LOWER = "ground_motion_lower";
    /// DCR table 4.1.2-11-2.
    GROUND_MOTION_UPPER = "ground_motion_upper";
    /// DCR table 4.1.2-15.
    INTENSITY = "intensity";
    /// DCR table 4.1.2-16, and the order of bits in DCX table 4.2-25.
    PREFECTURE = "prefecture";
    /// DCR table 4.1.2-19.
    INFORMATION_SERIAL = "information_serial";
    /// DCR table 4.1.2-22.
    TSUNAMI_WARNING = "tsunami_warning";
    /// DCR table 4.1.2-23.
    TSUNAMI_HEIGHT = "tsunami_height";
    /// DCR table 4.1.2-24.
    TSUNAMI_REGION = "tsunami_region";
    /// DCR table 4.1.2-27.
    TSUNAMIGENIC_POTENTIAL = "tsunamigenic_potential";
    /// DCR table 4.1.2-27a.
    PACIFIC_TSUNAMI_HEIGHT = "pacific_tsunami_height";
    /// DCR table 4.1.2-28.
    PACIFIC_COAST = "pacific_coast";
    /// DCR table 4.1.2-30, Du.
    ACTIVITY_TIME_AMBIGUITY = "activity_time_ambiguity";
    /// DCR table 4.1.2-31.
    VOLCANIC_WARNING = "volcanic_warning";
    /// DCR table 4.1.2-32.
    VOLCANO = "volcano";
    /// DCR table 4.1.2-33.
    LOCAL_GOVERNMENT = "local_government";
    /// DCR table 4.1.2-35, Dw1.
    ASH_FALL_TYPE = "ash_fall_type";
    /// DCR table 4.1.2-36.
    ASH_FALL_WARNING = "ash_fall_warning";
    /// DCR table 4.1.2-39.
    WEATHER_STATE = "weather_state";
    /// DCR table 4.1.2-40.
    WEATHER_WARNING = "weather_warning";
    /// DCR table 4.1.2-41.
    WEATHER_REGION = "weather_region";
    /// DCR table 4.1.2-44.
    FLOOD_LEVEL = "flood_level";
    /// DCR table 4.1.2-45.
    FLOOD_REGION = "flood_region";
    /// DCR table 4.1.2-47, Dt.
    TYPHOON_REFERENCE = "typhoon_reference";
    /// DCR table 4.1.2-48.
    TYPHOON_SCALE = "typhoon_scale";
    /// DCR table 4.1.2-49.
    TYPHOON_INTENSITY = "typhoon_intensity";
    /// DCR table 4.1.2-52.
    MARINE_WARNING = "marine_warning";
    /// DCR table 4.1.2-53.
    MARINE_REGION = "marine_region";
    /// CAMF A1.
    MESSAGE_TYPE = "message_type";
    /// CAMF A2.
    COUNTRY = "country";
    /// CAMF A3, DCX table 4.2-6, under A2 * 100 + A3.
    PROVIDER = "provider";
    /// CAMF A4.
    HAZARD_CATEGORY = "hazard_category";
    /// CAMF A4.
    HAZARD_TYPE = "hazard_type";
    /// CAMF A4.
    HAZARD_DEFINITION = "hazard_definition";
    /// CAMF A5.
    SEVERITY = "severity";
    /// CAMF A8.
    HAZARD_DURATION = "hazard_duration";
    /// CAMF A9.
    LIBRARY_TYPE = "library_type";
    /// CAMF A10.
    LIBRARY_VERSION = "library_version";
    /// CAMF A11, list A of the international library.
    INSTRUCTION_A = "instruction_a";
    /// CAMF A11, list B of the international library.
    INSTRUCTION_B = "instruction_b";
    /// DCX tables 4.2-14 and 4.2-15: A11 of the library of Japan.
    INSTRUCTION_JAPAN = "instruction_japan";
    /// CAMF A17.
    SPECIFIC_SETTINGS = "specific_settings";
    /// CAMF C10.
    INSTRUCTION_SECOND_ELLIPSE = "instruction_second_ellipse";
    /// CAMF D1 to D36, under D * 100 + code.
    HAZARD_DETAIL = "hazard_detail";
    /// DCX table 4.2-21, EX1.
    TARGET_AREA = "target_area";
    /// DCX table 4.2-22, EX2.
    EVACUATE_DIRECTION = "evacuate_direction";
}

/// DCR De, the depth of a hypocentre.
pub(crate) fn depth(code: u64) -> Coded {
    match code {
        0..=500 => Coded::known(code, format!("{code}km"), format!("{code} km")),
        501 => Coded::known(code, "500kmより深い", "Deeper than 500 km"),
        511 => Coded::known(code, "不明", "Unknown"),
        _ => Coded::unknown(code, "深さ", "Depth"),
    }
}

/// DCR Ma. An early warning does not have 126.
pub(crate) fn magnitude(code: u64, is_early_warning: bool) -> Coded {
    match code {
        1..=100 => {
            let tenths = format!("{}.{}", code / 10, code % 10);
            Coded::known(code, tenths.clone(), tenths)
        }
        101 => Coded::known(code, "10.0より大きい", "Over 10.0"),
        126 if !is_early_warning => Coded::known(code, "不明(8.0より大きい)", "Unknown (Over 8.0)"),
        127 => Coded::known(code, "不明", "Unknown"),
        _ => Coded::unknown(code, "マグニチュード", "Magnitude"),
    }
}

/// DCR table 4.1.2-35, Ho.
pub(crate) fn ash_fall_hours(code: u64) -> Coded {
    match code {
        1 => Coded::known(code, "1時間", "1 hour"),
        2..=6 => Coded::known(code, format!("{code}時間"), format!("{code} hours")),
        _ => Coded::unknown(code, "基点時刻からの時間", "Expected Ash Fall Time"),
    }
}

/// DCR table 4.1.2-47, Du. All of its codes are hours.
pub(crate) fn typhoon_hours(code: u64) -> Coded {
    let plural = if code == 1 { "" } else { "s" };
    Coded::known(code, format!("{code}時間後"), format!("{code} hour{plural} ahead"))
}

/// DCR table 4.1.2-47, Tn.
pub(crate) fn typhoon_number(code: u64) -> Coded {
    match code {
        1..=99 => Coded::known(code, format!("{code}号"), format!("No. {code}")),
        _ => Coded::unknown(code, "台風番号", "Typhoon Number"),
    }
}

/// DCR table 4.1.2-47, Pr.
pub(crate) fn pressure(code: u64) -> Coded {
    match code {
        0..=1100 => Coded::known(code, format!("{code}hPa"), format!("{code} hPa")),
        _ => Coded::unknown(code, "中心気圧", "Central Pressure"),
    }
}

/// DCR table 4.1.2-47, W1 and W2.
pub(crate) fn wind(code: u64, ja: &str, en: &str) -> Coded {
    match code {
        0 => Coded::known(code, "不明", "Unknown"),
        15..=105 => Coded::known(code, format!("{code}m/s"), format!("{code} m/s")),
        _ => Coded::unknown(code, ja, en),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_names_and_a_name_for_what_it_does_not_have() {
        for table in ALL {
            assert!(table.codes().count() >= 1, "{}", table.name);
            let codes: Vec<u64> = table.codes().collect();
            assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{} has a code twice", table.name);
            // A category that is not listed is refused.
            if table.name == DISASTER_CATEGORY.name {
                continue;
            }
            let unknown = table.find(u64::MAX);
            assert!(!unknown.is_known && unknown.code == u64::MAX, "{}", table.name);
            let named = unknown.ja.or(unknown.en).unwrap_or_default();
            assert!(named.contains(&u64::MAX.to_string()), "{}: {named}", table.name);
        }
    }

    #[test]
    fn a_code_that_is_not_listed_keeps_its_prefecture() {
        let unknown = LOCAL_GOVERNMENT.find(1_310_199u64);
        assert_eq!(unknown.ja.as_deref(), Some("東京都の市町村(コード番号：1310199)"));
        assert_eq!(
            PROVIDER.find_shown(11_109, 9).en.as_deref(),
            Some("Undefined Provider Identifier of Japan (Code: 9)")
        );
        assert_eq!(PROVIDER.find_shown(7_209, 9).en.as_deref(), Some("Undefined Provider Identifier (Code: 9)"));
    }
}
