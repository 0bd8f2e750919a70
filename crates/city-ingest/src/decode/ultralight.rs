//! UltraLight 2.0, the line format of constrained devices: `t|21.5|h|40`, several readings apart by `#`, each with a
//! time before it where the device has one.

use super::whole::{Found, Whole};
use crate::item::Item;
use crate::row::{COLUMNS_MAX, Members};

/// Most readings of one message.
pub const READINGS_MAX: usize = 1_000;

pub(super) fn read(text: &str) -> Result<Whole, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err("it is empty".to_owned());
    }
    if trimmed.split('#').nth(READINGS_MAX).is_some() {
        return Err(format!("it has more than {READINGS_MAX} readings"));
    }
    let rows = trimmed.split('#').enumerate().map(|(at, group)| {
        let group = group.trim();
        Found::new(at as u64 + 1, reading(group), group)
    });
    Ok(Whole::of(rows.collect()))
}

/// One reading; its time is in the column `timestamp`.
fn reading(group: &str) -> Result<Members, String> {
    let mut cells: Vec<&str> = group.split('|').collect();
    let mut row: Members = Vec::with_capacity(cells.len() / 2 + 1);
    if cells.len() % 2 == 1 {
        let first = cells.remove(0);
        if city_model::Time::parse(first).is_none() {
            return Err(format!("it has a name without a value, or \"{first}\" before them is no time"));
        }
        row.push(("timestamp".into(), Item::Text(first.to_owned().into())));
    }
    if cells.is_empty() {
        return Err("it has no value".to_owned());
    }
    if cells.len() / 2 >= COLUMNS_MAX {
        return Err(format!("it has {} values; {COLUMNS_MAX} is the most", cells.len() / 2));
    }
    for pair in cells.chunks_exact(2) {
        let [name, value] = pair else { continue };
        if name.is_empty() {
            return Err("a name is empty".to_owned());
        }
        if row.iter().any(|(own, _)| own == name) {
            return Err(format!("\"{name}\" stands there twice"));
        }
        row.push(((*name).to_owned().into(), Item::Text((*value).to_owned().into())));
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_with_and_without_a_time() {
        let whole = read("t|21.5|h|40#2026-11-30T12:00:00Z|t|22\n").unwrap();
        let names = |at: usize| -> Vec<String> {
            whole.rows[at].row.as_ref().unwrap().iter().map(|(name, _)| name.to_string()).collect()
        };
        assert_eq!((names(0), names(1)), (vec!["t".into(), "h".into()], vec!["timestamp".into(), "t".into()]));
        assert_eq!(whole.rows[1].row.as_ref().unwrap()[1].1, Item::text("22"));
    }

    #[test]
    fn a_broken_reading_is_refused_and_the_others_are_taken() {
        let whole = read("t|1#t#|2#a|1|a|2#b|3").unwrap();
        let is_ok: Vec<bool> = whole.rows.iter().map(|found| found.row.is_ok()).collect();
        assert_eq!(is_ok, [true, false, false, false, true]);
        assert!(read(" \n").is_err());
        assert!(read(&"#".repeat(1_000_000)).unwrap_err().contains("1000 readings"));
    }
}
