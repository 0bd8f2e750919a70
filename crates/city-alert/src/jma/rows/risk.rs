//! Rows of 大雨危険度通知 (how near heavy rain is to doing harm, 危険度), one for each area,
//! as a whole (危険度) and by where in it (危険度分布).

use serde_json::Value;

use super::area::areas;
use super::{Error, Field, Rows, get, list};

pub(super) fn rows(rows: &mut Rows<'_>) -> Result<(), Error> {
    let body = &rows.report.body;
    let infos = list(body, &["meteorologicalInfos"]).iter().flat_map(|infos| list(infos, &["meteorologicalInfo"]));
    for info in infos {
        for item in list(info, &["item"]) {
            for property in list(item, &["kind"]).iter().flat_map(|kind| list(kind, &["property"])) {
                let parts = list(property, &["significancyPart"]).iter();
                let risks: Vec<&Value> = parts.flat_map(|part| list(part, &["base", "significancy"])).collect();
                for (area, code_type) in areas(item) {
                    rows.add(
                        "risk",
                        &[
                            ("propertyType", get(property, &["type"]).into()),
                            ("time", get(info, &["dateTime", "value"]).into()),
                            ("areaName", get(area, &["name"]).into()),
                            ("areaCode", get(area, &["code"]).into()),
                            ("areaCodeType", code_type.into()),
                            ("risks", Field::Each(&risks)),
                        ],
                    )?;
                }
            }
        }
    }
    Ok(())
}
