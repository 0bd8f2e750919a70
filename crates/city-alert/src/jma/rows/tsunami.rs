//! Rows of tsunami warnings, estimates and observations, one for each forecast area (津波予報区).

use super::earthquake::code_type;
use super::{Error, Field, Rows, get, list};

pub(super) fn rows(rows: &mut Rows<'_>) -> Result<(), Error> {
    let tsunami = get(&rows.report.body, &["tsunami"]);
    for section in ["forecast", "estimation", "observation"] {
        let detail = get(tsunami, &[section]);
        let of_areas = code_type(list(detail, &["codeDefine", "type"]), "Item/Area/Code");
        for item in list(detail, &["item"]) {
            let height = get(item, &["maxHeight", "tsunamiHeight"]);
            let paths: [(&str, &[&str]); 9] = [
                ("areaName", &["area", "name"]),
                ("areaCode", &["area", "code"]),
                ("kindName", &["category", "kind", "name"]),
                ("kindCode", &["category", "kind", "code"]),
                ("lastKindName", &["category", "lastKind", "name"]),
                ("lastKindCode", &["category", "lastKind", "code"]),
                ("arrivalTime", &["firstHeight", "arrivalTime"]),
                ("arrivalCondition", &["firstHeight", "condition"]),
                ("stations", &["station"]),
            ];
            let mut fields: Vec<(&str, Field<'_>)> = vec![
                ("section", section.into()),
                ("areaCodeType", of_areas.into()),
                ("heightM", get(height, &["value"]).into()),
                ("heightCondition", get(height, &["condition"]).into()),
                ("heightDescription", get(height, &["description"]).into()),
            ];
            fields.extend(paths.map(|(name, path)| (name, get(item, path).into())));
            rows.add("tsunami", &fields)?;
        }
    }
    Ok(())
}
