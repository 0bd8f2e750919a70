//! An element to JSON, shaped by what the schema says of it.
//!
//! - An element with neither attributes nor children, and whose type can have none, is its text.
//! - Any other is an object: attributes and children by name, its own text as `value`. If an attribute and a child
//!   had the same name, the attribute would be `@name`.
//! - What may repeat is a list, also when it is there once. An element that the schema does not know is a list
//!   where it is there more than once.
//! - Numbers are numbers. An empty one, and `NaN`, is null: why stands beside it in `condition` or `description`.
//! - White space around a text is no part of it: there are codes and intensities with a space or an end of line
//!   after them. The ideographic space that begins a Japanese paragraph stays.
//! - Dates, durations and codes are texts as written. `xsi:nil` is null.
//!
//! It calls itself, no deeper than `xml::DEPTH_MAX`.

use serde_json::{Map, Number, Value};

use super::names::lower_camel;
use super::schema::{Of, Scalar, member};
use crate::xml::{Element, is_space};

const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// An element of a type, or of none that is known.
pub(super) fn value(element: &Element, of: Option<Of>) -> Value {
    let of_schema_instance = |name: &str| {
        let found = element.attributes.iter().find(|one| &*one.namespace == SCHEMA_INSTANCE && one.name == name);
        found.map(|attribute| attribute.value.as_str())
    };
    if of_schema_instance("nil") == Some("true") {
        return Value::Null;
    }
    let bare = element.attributes.iter().all(|attribute| &*attribute.namespace == SCHEMA_INSTANCE);
    if bare && element.children.is_empty() && !matches!(of, Some(Of::Type(_))) {
        let kind = match of {
            Some(Of::Scalar(kind)) => kind,
            _ => Scalar::Text,
        };
        return scalar(&element.text, kind);
    }
    let of_type = match of {
        Some(Of::Type(name)) => name,
        _ => "",
    };
    Value::Object(object(element, of_type))
}

fn object(element: &Element, of_type: &str) -> Map<String, Value> {
    let mut map = Map::new();
    for attribute in element.attributes.iter().filter(|attribute| &*attribute.namespace != SCHEMA_INSTANCE) {
        let kind = match member(of_type, &format!("@{}", attribute.name)).map(|member| member.of) {
            Some(Of::Scalar(kind)) => kind,
            _ => Scalar::Text,
        };
        let name = lower_camel(&attribute.name);
        let taken = element.children.iter().any(|child| lower_camel(&child.name) == name);
        map.insert(if taken { format!("@{name}") } else { name }, scalar(&attribute.value, kind));
    }
    let text = member(of_type, ".");
    if text.is_some() || !element.text.is_empty() {
        let kind = match text.map(|member| member.of) {
            Some(Of::Scalar(kind)) => kind,
            _ => Scalar::Text,
        };
        map.insert("value".to_owned(), scalar(&element.text, kind));
    }
    for child in &element.children {
        let known = member(of_type, &child.name);
        let one = value(child, known.map(|member| member.of));
        let name = lower_camel(&child.name);
        if known.is_some_and(|member| member.repeats) {
            if let Some(list) = map.entry(name).or_insert_with(|| Value::Array(Vec::new())).as_array_mut() {
                list.push(one);
            }
            continue;
        }
        match map.get_mut(&name) {
            None => {
                map.insert(name, one);
            }
            Some(Value::Array(list)) => list.push(one),
            Some(first) => *first = Value::Array(vec![first.take(), one]),
        }
    }
    map
}

fn scalar(text: &str, kind: Scalar) -> Value {
    let text = text.trim_matches(is_space);
    match kind {
        Scalar::Text => Value::String(text.to_owned()),
        Scalar::Number => number(text),
        Scalar::Boolean => match text {
            "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            other => Value::String(other.to_owned()),
        },
        Scalar::List => text.split(is_space).filter(|word| !word.is_empty()).map(Value::from).collect(),
    }
}

/// What is no number stays as it is written: nothing is lost.
fn number(text: &str) -> Value {
    if matches!(text, "" | "NaN" | "INF" | "-INF") {
        return Value::Null;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Value::Number(whole.into());
    }
    let fraction = text.parse::<f64>().ok().and_then(Number::from_f64);
    fraction.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::xml;

    fn tree(xml: &str, of: Option<Of>) -> Value {
        value(&xml::read(xml.as_bytes()).unwrap(), of)
    }

    #[test]
    fn an_element_has_one_shape_whatever_a_message_holds_of_it() {
        let of = Some(Of::Type("seis:Earthquake"));
        let one = "<Earthquake><Magnitude type='Mj' description='Ｍ５．８'>5.8</Magnitude></Earthquake>";
        let expected = json!({"magnitude": [{"type": "Mj", "description": "Ｍ５．８", "value": 5.8}]});
        assert_eq!(tree(one, of), expected);
        let unknown = "<Earthquake><Magnitude type='Mj' condition='不明'>NaN</Magnitude></Earthquake>";
        let expected = json!({"magnitude": [{"type": "Mj", "condition": "不明", "value": null}]});
        assert_eq!(tree(unknown, of), expected);
    }

    #[test]
    fn what_the_schema_does_not_know_is_kept() {
        let xml = "<New kind='a'><Kind>b</Kind><URI>c</URI><EventID>1</EventID><EventID>2</EventID>d</New>";
        let expected = json!({"@kind": "a", "value": "d", "kind": "b", "uri": "c", "eventID": ["1", "2"]});
        assert_eq!(tree(xml, None), expected);
    }

    #[test]
    fn nothing_that_is_said_to_be_a_number_is_lost() {
        assert_eq!(number("46.70"), json!(46.7));
        assert_eq!(scalar(" 46.70\n", Scalar::Number), json!(46.7));
        assert_eq!(scalar("\n　４ ", Scalar::Text), json!("　４"));
        assert_eq!(number("7"), json!(7));
        assert_eq!(number(""), Value::Null);
        assert_eq!(number("巨大"), json!("巨大"));
    }

    #[test]
    fn nil_is_null() {
        let xml = "<T xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:nil='true'/>";
        assert_eq!(tree(xml, None), Value::Null);
    }
}
