//! Which types and attributes there are (clauses 4.5.10 to 4.5.15, 5.2.24 to 5.2.28).

use city_model::Name;

use crate::context::TermMap;
use crate::json::{self, ObjectWriter};

/// What is known of one entity type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeInfo {
    pub name: Name,
    pub entity_count: u64,
    pub attributes: Vec<AttributeInfo>,
}

/// What is known of one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeInfo {
    pub name: Name,
    pub attribute_count: u64,
    /// Kinds that occur, such as `Property`.
    pub attribute_types: Vec<&'static str>,
    /// Entity types that have it.
    pub type_names: Vec<Name>,
}

/// EntityTypeList (5.2.24). `id` is a URI that the caller makes.
#[must_use]
pub fn render_type_list<'n>(
    id: &str,
    types: impl IntoIterator<Item = &'n Name>,
    terms: &TermMap,
    embed: bool,
) -> Vec<u8> {
    render_list(id, "EntityTypeList", "typeList", types, terms, embed)
}

/// AttributeList (5.2.27).
#[must_use]
pub fn render_attribute_list<'n>(
    id: &str,
    attributes: impl IntoIterator<Item = &'n Name>,
    terms: &TermMap,
    embed: bool,
) -> Vec<u8> {
    render_list(id, "AttributeList", "attributeList", attributes, terms, embed)
}

/// EntityType[] (5.2.25).
#[must_use]
pub fn render_type_details(types: &[TypeInfo], terms: &TermMap, embed: bool) -> Vec<u8> {
    rendered(|out| {
        json::write_list(out, types, |out, info| {
            let mut object = ObjectWriter::open(out);
            object.text("id", info.name.as_str());
            object.text("type", "EntityType");
            object.text("typeName", &terms.compact(&info.name));
            write_names(object.key("attributeNames"), info.attributes.iter().map(|attribute| &attribute.name), terms);
            close(object, terms, embed);
        });
    })
}

/// EntityTypeInfo (5.2.26).
#[must_use]
pub fn render_type_info(info: &TypeInfo, terms: &TermMap, embed: bool) -> Vec<u8> {
    rendered(|out| {
        let mut object = ObjectWriter::open(out);
        object.text("id", info.name.as_str());
        object.text("type", "EntityTypeInfo");
        object.text("typeName", &terms.compact(&info.name));
        object.raw("entityCount", &info.entity_count.to_string());
        json::write_list(object.key("attributeDetails"), &info.attributes, |out, attribute| {
            let mut detail = ObjectWriter::open(out);
            detail.text("id", attribute.name.as_str());
            detail.text("type", "Attribute");
            detail.text("attributeName", &terms.compact(&attribute.name));
            json::write_list(detail.key("attributeTypes"), &attribute.attribute_types, |out, t| {
                json::write_text(out, t)
            });
            detail.close();
        });
        close(object, terms, embed);
    })
}

/// Attribute[] with the elements of 4.5.14.
#[must_use]
pub fn render_attribute_details(attributes: &[AttributeInfo], terms: &TermMap, embed: bool) -> Vec<u8> {
    rendered(|out| {
        json::write_list(out, attributes, |out, info| {
            let mut object = ObjectWriter::open(out);
            object.text("id", info.name.as_str());
            object.text("type", "Attribute");
            object.text("attributeName", &terms.compact(&info.name));
            write_names(object.key("typeNames"), &info.type_names, terms);
            close(object, terms, embed);
        });
    })
}

/// Attribute with all its elements (4.5.15).
#[must_use]
pub fn render_attribute_info(info: &AttributeInfo, terms: &TermMap, embed: bool) -> Vec<u8> {
    rendered(|out| {
        let mut object = ObjectWriter::open(out);
        object.text("id", info.name.as_str());
        object.text("type", "Attribute");
        object.text("attributeName", &terms.compact(&info.name));
        object.raw("attributeCount", &info.attribute_count.to_string());
        json::write_list(object.key("attributeTypes"), &info.attribute_types, |out, t| json::write_text(out, t));
        write_names(object.key("typeNames"), &info.type_names, terms);
        close(object, terms, embed);
    })
}

fn render_list<'n>(
    id: &str,
    kind: &str,
    member: &str,
    names: impl IntoIterator<Item = &'n Name>,
    terms: &TermMap,
    embed: bool,
) -> Vec<u8> {
    rendered(|out| {
        let mut object = ObjectWriter::open(out);
        object.text("id", id);
        object.text("type", kind);
        write_names(object.key(member), names, terms);
        close(object, terms, embed);
    })
}

fn write_names<'n>(out: &mut Vec<u8>, names: impl IntoIterator<Item = &'n Name>, terms: &TermMap) {
    json::write_list(out, names, |out, name| json::write_text(out, &terms.compact(name)));
}

fn close(mut object: ObjectWriter, terms: &TermMap, embed: bool) {
    if embed {
        object.raw("@context", terms.rendered());
    }
    object.close();
}

fn rendered(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    write(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn each_rendering_has_the_members_of_its_table() {
        let terms = TermMap::core();
        let speed = AttributeInfo {
            name: terms.expand("speed"),
            attribute_count: 3,
            attribute_types: vec!["Property"],
            type_names: vec![terms.expand("Car")],
        };
        let car = TypeInfo { name: terms.expand("Car"), entity_count: 2, attributes: vec![speed.clone()] };
        let json = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
        let (car_iri, speed_iri) = (car.name.as_str(), speed.name.as_str());
        assert_eq!(
            json(render_type_list("urn:l:1", [&car.name], &terms, false)),
            json!({"id": "urn:l:1", "type": "EntityTypeList", "typeList": ["Car"]})
        );
        assert_eq!(
            json(render_attribute_list("urn:l:1", [&speed.name], &terms, false)),
            json!({"id": "urn:l:1", "type": "AttributeList", "attributeList": ["speed"]})
        );
        assert_eq!(
            json(render_type_details(std::slice::from_ref(&car), &terms, false)),
            json!([{"id": car_iri, "type": "EntityType", "typeName": "Car", "attributeNames": ["speed"]}])
        );
        assert_eq!(
            json(render_type_info(&car, &terms, false)),
            json!({"id": car_iri, "type": "EntityTypeInfo", "typeName": "Car", "entityCount": 2, "attributeDetails":
                [{"id": speed_iri, "type": "Attribute", "attributeName": "speed", "attributeTypes": ["Property"]}]})
        );
        assert_eq!(
            json(render_attribute_details(std::slice::from_ref(&speed), &terms, false)),
            json!([{"id": speed_iri, "type": "Attribute", "attributeName": "speed", "typeNames": ["Car"]}])
        );
        assert_eq!(
            json(render_attribute_info(&speed, &terms, false)),
            json!({"id": speed_iri, "type": "Attribute", "attributeName": "speed", "attributeCount": 3,
                "attributeTypes": ["Property"], "typeNames": ["Car"]})
        );
    }
}
