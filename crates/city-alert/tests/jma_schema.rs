//! `src/jma/schema.tsv` says what the agency's XML schemas say. `RENKEI_BLESS=1` writes it anew.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

#[path = "data/mod.rs"]
mod data;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use city_alert::xml::{self, Element};

const HEAD: &str = "# Made from the XML schemas of the JMA: RENKEI_BLESS=1 cargo test -p city-alert --test jma_schema\n\
                    # type\tmember\toften\tof\n";

/// Files in the order of the table, and what their names begin with there.
const FILES: &[(&str, &str)] = &[
    ("jmx.xsd", "jmx"),
    ("jmx_ib.xsd", "ib"),
    ("jmx_eb.xsd", "eb"),
    ("jmx_eb_nullable.xsd", "eb"),
    ("jmx_mete.xsd", "mete"),
    ("jmx_seis.xsd", "seis"),
    ("jmx_volc.xsd", "volc"),
];

#[derive(Default)]
struct Schemas {
    /// Global elements, by prefix and name, to their type.
    elements: BTreeMap<String, String>,
    complex: BTreeSet<String>,
    lists: BTreeSet<String>,
}

fn attribute<'e>(element: &'e Element, name: &str) -> Option<&'e str> {
    element.attributes.iter().find(|one| one.name == name).map(|one| one.value.as_str())
}

/// `jmx_eb:type.Magnitude` as `eb:Magnitude`, `xs:string` as it is.
fn short(name: &str) -> String {
    let (prefix, local) = name.split_once(':').unwrap();
    let prefix = prefix.strip_prefix("jmx_").unwrap_or(prefix);
    format!("{prefix}:{}", local.strip_prefix("type.").unwrap_or(local))
}

impl Schemas {
    fn of(&self, type_name: &str) -> String {
        let name = short(type_name);
        match name.as_str() {
            "xs:float" | "xs:int" | "xs:integer" | "xs:unsignedByte" | "eb:nullablefloat" | "eb:nullableinteger" => {
                "number".to_owned()
            }
            "xs:boolean" => "boolean".to_owned(),
            _ if self.lists.contains(&name) => "list".to_owned(),
            _ if self.complex.contains(&name) => name,
            _ => "text".to_owned(),
        }
    }

    /// Below a complex type: its attributes, its text, its children.
    fn members(&self, of_type: &str, element: &Element, table: &mut String, names: &mut Vec<String>) {
        for child in &element.children {
            match child.name.as_str() {
                "simpleContent" | "sequence" => self.members(of_type, child, table, names),
                "extension" => {
                    let of = self.of(attribute(child, "base").unwrap());
                    let _ = writeln!(table, "{of_type}\t.\t1\t{of}");
                    self.members(of_type, child, table, names);
                }
                "attribute" => {
                    let name = attribute(child, "name").unwrap();
                    let of = self.of(attribute(child, "type").unwrap());
                    names.push(name.to_lowercase());
                    if of != "text" {
                        let _ = writeln!(table, "{of_type}\t@{name}\t1\t{of}");
                    }
                }
                "element" => {
                    let (name, of) = match attribute(child, "ref") {
                        Some(global) => {
                            let global = short(global);
                            (global.split_once(':').unwrap().1.to_owned(), self.elements[&global].clone())
                        }
                        None => {
                            (attribute(child, "name").unwrap().to_owned(), attribute(child, "type").unwrap().to_owned())
                        }
                    };
                    let of = self.of(&of);
                    let often = if attribute(child, "maxOccurs") == Some("unbounded") { "*" } else { "1" };
                    names.push(name.to_lowercase());
                    if (often, of.as_str()) != ("1", "text") {
                        let _ = writeln!(table, "{of_type}\t{name}\t{often}\t{of}");
                    }
                }
                // Elements of the namespace for additions, which has none yet.
                "any" => {}
                other => panic!("{of_type} has <{other}>, which this does not read"),
            }
        }
    }
}

#[test]
fn the_table_says_what_the_schemas_say() {
    let Some(files) = data::unpacked("jma-xml/jma-xml-schema.tar.gz", ".xsd") else { return };
    let documents: Vec<(&str, Element)> =
        FILES.iter().map(|(file, prefix)| (*prefix, xml::read(&files[&format!("schema/{file}")]).unwrap())).collect();
    let mut schemas = Schemas::default();
    for (prefix, document) in &documents {
        for child in &document.children {
            let Some(name) = attribute(child, "name") else { continue };
            let name = format!("{prefix}:{}", name.strip_prefix("type.").unwrap_or(name));
            match child.name.as_str() {
                "element" => {
                    schemas.elements.insert(name, attribute(child, "type").unwrap().to_owned());
                }
                "complexType" => {
                    schemas.complex.insert(name);
                }
                "simpleType" if child.children.iter().any(|one| one.name == "list") => {
                    schemas.lists.insert(name);
                }
                "simpleType" => {}
                other => panic!("<{other}> beside the types"),
            }
        }
    }
    let mut table = HEAD.to_owned();
    for (prefix, document) in &documents {
        for complex in document.children.iter().filter(|child| child.name == "complexType") {
            let name = attribute(complex, "name").unwrap();
            let name = format!("{prefix}:{}", name.strip_prefix("type.").unwrap_or(name));
            let mut names = Vec::new();
            schemas.members(&name, complex, &mut table, &mut names);
            let distinct: BTreeSet<&String> = names.iter().collect();
            assert_eq!(distinct.len(), names.len(), "{name} has an attribute and a child of one name: {names:?}");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/jma/schema.tsv");
    if std::env::var_os("RENKEI_BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == table,
        "run RENKEI_BLESS=1 cargo test -p city-alert --test jma_schema"
    );
}
