//! YAML comes in, a compiled mapping goes out: every expression parsed, every name checked, so that what
//! can be wrong with a mapping is said before the first row is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::Deserialize;

use crate::decode::{Encoding, Format};
use crate::error::Error;
use crate::expression::{Expression, Language};
use crate::function::{CodeLists, Settings, halfwidth};
use crate::item::{Item, write_text};
use crate::quality::Range;
use crate::spec::{
    AttributeSpec, Cel, EmitSpec, InstanceSpec, KeepSpec, KindSpec, MappingSpec, OneOrMany, Ordered, SourceSpec,
    TargetSpec, ValueSpec,
};
use crate::zone::Zone;

/// Longest mapping in bytes.
pub const MAPPING_BYTES_MAX: usize = 256 * 1024;
/// Most attributes of a mapping, sub-attributes counted.
pub const ATTRIBUTES_MAX: usize = 1_000;
/// Stack of the thread that parses expressions.
const PARSER_STACK_BYTES: usize = 32 * 1024 * 1024;
/// The version of the language that this program reads.
pub const LANGUAGE_VERSION: u32 = 1;

/// What the rows become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Entities as they are now; a later row replaces an earlier one.
    Current,
    /// Readings of the past: history is filled, the current state stays.
    Temporal,
}

/// Where the data is from and under which licence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    pub title: Option<String>,
    pub provider: Option<String>,
    pub licence: Option<String>,
    pub url: Option<String>,
}

/// How rows of one kind of file become entities of one kind. See docs/reference/mapping.md.
#[derive(Debug)]
pub struct Mapping {
    pub(crate) encoding: Encoding,
    pub(crate) target: Target,
    pub(crate) source: Source,
    pub(crate) language: Language,
    pub(crate) when: Option<Expression>,
    pub(crate) id: Expression,
    pub(crate) scope: Option<Expression>,
    pub(crate) observed_at: Option<Expression>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) columns: Option<Columns>,
    /// `,"type":…` and the members that are the same in each entity.
    pub(crate) type_json: Vec<u8>,
    /// The attributes that name the source, each with a comma before it.
    pub(crate) source_json: Vec<u8>,
    /// `,"@context":…` or nothing.
    pub(crate) context_json: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) name: Arc<str>,
    /// As in `attributes.temperature`, for messages.
    pub(crate) place: Box<str>,
    pub(crate) instances: Vec<Instance>,
}

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) kind: KindSpec,
    pub(crate) value: Value,
    pub(crate) unit_code: Option<Box<str>>,
    pub(crate) range: Option<Range>,
    pub(crate) observed_at: Option<Expression>,
    pub(crate) dataset_id: Option<Expression>,
    /// `,"objectType":…` or nothing.
    pub(crate) object_type_json: Vec<u8>,
    pub(crate) sub_attributes: Vec<Attribute>,
}

#[derive(Debug)]
pub(crate) enum Value {
    One(Expression),
    Languages(Vec<(Box<str>, Expression)>),
}

/// Columns that become attributes without an expression each.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) left_out: BTreeSet<Box<str>>,
    pub(crate) names: HashMap<Box<str>, Arc<str>>,
}

impl Mapping {
    /// Reads a mapping file, which is the `map:` part of a source file.
    pub fn parse(yaml: &str) -> Result<Self, Error> {
        if yaml.len() > MAPPING_BYTES_MAX {
            return Err(Error::MappingTooLong { max: MAPPING_BYTES_MAX });
        }
        let spec = serde_yaml_ng::from_str(yaml).map_err(|error| Error::Mapping(error.to_string()))?;
        Self::compile_apart(spec)
    }

    /// The same, for a `map:` that stands inside a larger document.
    pub fn from_yaml(value: serde_yaml_ng::Value) -> Result<Self, Error> {
        let spec = MappingSpec::deserialize(value).map_err(|error| Error::Mapping(error.to_string()))?;
        Self::compile_apart(spec)
    }

    /// The parser of expressions recurses some kilobytes deep for each symbol; it gets a stack that holds
    /// `EXPRESSION_TOKENS_MAX` of them whatever thread asks.
    fn compile_apart(spec: MappingSpec) -> Result<Self, Error> {
        let thread = std::thread::Builder::new().name("mapping".to_owned()).stack_size(PARSER_STACK_BYTES);
        let compiled = thread.spawn(move || Self::compile(spec)).map(std::thread::JoinHandle::join);
        match compiled {
            Ok(Ok(mapping)) => mapping.map_err(Error::Mapping),
            Ok(Err(_)) => Err(Error::Mapping("the parser of expressions failed".to_owned())),
            Err(error) => Err(Error::Mapping(format!("no thread to parse it: {error}"))),
        }
    }

    #[must_use]
    pub fn format(&self) -> Format {
        self.encoding.format
    }

    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding.clone()
    }

    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether the documents carry an @context of their own (`application/ld+json`).
    #[must_use]
    pub fn has_context(&self) -> bool {
        !self.context_json.is_empty()
    }

    /// A document with nothing but the @context of the mapping.
    #[must_use]
    pub fn context_document(&self) -> Vec<u8> {
        let members = self.context_json.strip_prefix(b",").unwrap_or(&self.context_json);
        [b"{", members, b"}"].concat()
    }

    /// The names of the attributes, as they are written.
    pub fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|attribute| &*attribute.name)
    }

    fn compile(spec: MappingSpec) -> Result<Self, String> {
        if let Some(version) = spec.version.filter(|version| *version != LANGUAGE_VERSION) {
            return Err(format!("version: {version} is not known; this program reads version {LANGUAGE_VERSION}"));
        }
        let encoding = encoding(&spec)?;
        let zone = spec.time.map(|time| Zone::parse(&time.zone)).transpose().map_err(at("time.zone"))?;
        let language = Language::new(Settings { zone, codes: codes(spec.codes)? })?;
        let compile = |place: &str, cel: &Cel| language.compile(&cel.0).map_err(at(place));
        let optional = |place: &str, cel: &Option<Cel>| cel.as_ref().map(|cel| compile(place, cel)).transpose();
        let target = match spec.target {
            Some(TargetSpec::Temporal) => Target::Temporal,
            Some(TargetSpec::Current) | None => Target::Current,
        };
        let observed_at = optional("observedAt", &spec.observed_at)?;
        let mut count = 0;
        let attributes = attributes("attributes", spec.attributes, &language, &mut count)?;
        if target == Target::Temporal && observed_at.is_none() {
            let bare = attributes.iter().find(|own| own.instances.iter().any(|one| one.observed_at.is_none()));
            if let Some(bare) = bare {
                return Err(format!("{}: a reading of the past needs observedAt, here or for the mapping", bare.place));
            }
            if spec.columns.is_some() {
                return Err("columns: readings of the past need observedAt for the mapping".to_owned());
            }
        }
        if attributes.is_empty() && spec.columns.is_none() {
            return Err("attributes: there are none, and no columns".to_owned());
        }
        let (source, source_json) = source(spec.source, &attributes, target)?;
        let mut mapping = Self {
            encoding,
            target,
            source,
            when: optional("when", &spec.when)?,
            id: compile("id", &spec.id)?,
            scope: optional("scope", &spec.scope)?,
            observed_at,
            attributes,
            columns: None,
            type_json: type_json(&spec.types)?,
            source_json,
            context_json: context_json(spec.context),
            language,
        };
        if let Some(columns) = spec.columns {
            let mut left_out: BTreeSet<Box<str>> = columns.except.iter().map(|name| name.as_str().into()).collect();
            if columns.keep == KeepSpec::Rest {
                left_out.extend(mapping.named_columns().into_keys());
            }
            let mut names = HashMap::new();
            for (column, name) in columns.names.0 {
                check_name(&name).map_err(at("columns.names"))?;
                names.insert(column.into(), Arc::from(name));
            }
            mapping.columns = Some(Columns { left_out, names });
        }
        Ok(mapping)
    }

    /// The columns that expressions name, and whether each must be there.
    pub(crate) fn named_columns(&self) -> BTreeMap<Box<str>, bool> {
        let mut found: BTreeMap<Box<str>, bool> = BTreeMap::new();
        let mut optional: BTreeSet<Box<str>> = BTreeSet::new();
        let mut see = |expression: &Expression| {
            for (name, needed) in &expression.columns {
                found.insert(name.clone(), true);
                if !needed {
                    optional.insert(name.clone());
                }
            }
        };
        [&self.when, &self.scope, &self.observed_at].into_iter().flatten().for_each(&mut see);
        see(&self.id);
        self.attributes.iter().for_each(|attribute| attribute.for_each_expression(&mut see));
        // Where one expression asks has(row.x), the column may be missing for all of them.
        for name in optional {
            found.insert(name, false);
        }
        found
    }
}

impl Attribute {
    fn for_each_expression(&self, see: &mut impl FnMut(&Expression)) {
        for instance in &self.instances {
            match &instance.value {
                Value::One(expression) => see(expression),
                Value::Languages(languages) => languages.iter().for_each(|(_, expression)| see(expression)),
            }
            instance.observed_at.iter().for_each(&mut *see);
            instance.dataset_id.iter().for_each(&mut *see);
            for inner in &instance.sub_attributes {
                inner.for_each_expression(see);
            }
        }
    }
}

fn at(place: &str) -> impl Fn(String) -> String {
    move |why| format!("{place}: {why}")
}

fn encoding(spec: &MappingSpec) -> Result<Encoding, String> {
    if spec.delimiter.is_some() && spec.format != Format::Csv {
        return Err("delimiter: only csv has one".to_owned());
    }
    match spec.encoding.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("utf-8" | "utf8") => {}
        Some(other) => {
            return Err(format!(
                "encoding: {other} is not read; convert the file first, as in iconv -f CP932 -t UTF-8 FILE"
            ));
        }
    }
    let delimiter = u8::try_from(spec.delimiter.unwrap_or(',')).ok().filter(u8::is_ascii);
    let delimiter = delimiter.ok_or("delimiter: it must be one ASCII character")?;
    let rows = match spec.rows.as_deref() {
        None => Arc::default(),
        Some(_) if spec.format != Format::Json => return Err("rows: only json has them somewhere".to_owned()),
        Some(path) if path.split('.').any(str::is_empty) => {
            return Err("rows: it is a path of names, such as data.stations".to_owned());
        }
        Some(path) => path.split('.').map(Box::from).collect(),
    };
    Ok(Encoding { format: spec.format, delimiter, rows })
}

fn codes(spec: Ordered<Ordered<Item<'static>>>) -> Result<CodeLists, String> {
    let mut lists = HashMap::new();
    for (name, list) in spec.0 {
        if list.0.is_empty() {
            return Err(format!("codes.{name}: the list is empty"));
        }
        lists.insert(name.into(), list.0.into_iter().map(|(key, item)| (key.into(), item)).collect());
    }
    Ok(lists)
}

fn attributes(
    place: &str,
    spec: Ordered<AttributeSpec>,
    language: &Language,
    count: &mut usize,
) -> Result<Vec<Attribute>, String> {
    let mut attributes = Vec::with_capacity(spec.0.len());
    for (name, spec) in spec.0 {
        let place = format!("{place}.{name}");
        *count += 1;
        if *count > ATTRIBUTES_MAX {
            return Err(format!("{place}: a mapping may have {ATTRIBUTES_MAX} attributes at most"));
        }
        check_name(&name).map_err(at(&place))?;
        let several = spec.0.len() > 1;
        let mut instances = Vec::with_capacity(spec.0.len());
        for one in spec.0 {
            if several
                && one.dataset_id.is_none()
                && instances.iter().any(|other: &Instance| other.dataset_id.is_none())
            {
                return Err(format!("{place}: only one instance may be without a datasetId"));
            }
            instances.push(instance(&place, one, language, count)?);
        }
        if instances.is_empty() {
            return Err(format!("{place}: the list of instances is empty"));
        }
        attributes.push(Attribute { name: name.into(), place: place.into(), instances });
    }
    Ok(attributes)
}

fn instance(place: &str, spec: InstanceSpec, language: &Language, count: &mut usize) -> Result<Instance, String> {
    let compile = |member: &str, cel: &Cel| language.compile(&cel.0).map_err(at(&format!("{place}.{member}")));
    let value = match (spec.kind, &spec.value) {
        (KindSpec::LanguageProperty, ValueSpec::Languages(languages)) => {
            let each = languages.0.iter().map(|(tag, cel)| Ok((tag.as_str().into(), compile("value", cel)?)));
            Value::Languages(each.collect::<Result<_, String>>()?)
        }
        (_, ValueSpec::Languages(_)) => {
            return Err(format!("{place}.value: a map of languages needs type: LanguageProperty"));
        }
        (_, ValueSpec::One(cel)) => Value::One(compile("value", cel)?),
    };
    if let Some(unit) = &spec.unit_code {
        check_unit(unit).map_err(at(&format!("{place}.unitCode")))?;
        if !matches!(spec.kind, KindSpec::Property | KindSpec::ListProperty) {
            return Err(format!("{place}.unitCode: only a Property has a unit"));
        }
    }
    let mut object_type_json = Vec::new();
    if let Some(types) = &spec.object_type {
        if !matches!(spec.kind, KindSpec::Relationship | KindSpec::ListRelationship) {
            return Err(format!("{place}.objectType: only a Relationship has one"));
        }
        object_type_json.extend_from_slice(b",\"objectType\":");
        write_names(types, &mut object_type_json).map_err(at(&format!("{place}.objectType")))?;
    }
    Ok(Instance {
        kind: spec.kind,
        value,
        range: spec.range.map(|range| Range::of(range, &spec)).transpose().map_err(at(&format!("{place}.range")))?,
        unit_code: spec.unit_code.map(Into::into),
        observed_at: spec.observed_at.as_ref().map(|cel| compile("observedAt", cel)).transpose()?,
        dataset_id: spec.dataset_id.as_ref().map(|cel| compile("datasetId", cel)).transpose()?,
        object_type_json,
        sub_attributes: attributes(&format!("{place}.attributes"), spec.attributes, language, count)?,
    })
}

/// UN/CEFACT Recommendation 20: two or three letters or digits (CIM 009 clause 4.5.2, `unitCode`).
fn check_unit(unit: &str) -> Result<(), String> {
    if (2..=3).contains(&unit.len()) && unit.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(format!("\"{unit}\" is no UN/CEFACT code, such as CEL, MTR or P1"))
}

/// CIM 009 clause 4.6.2: a letter, then letters, digits and underscores, of any script; or an IRI.
fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(char::is_alphabetic) && letters.all(|c| c.is_alphanumeric() || c == '_');
    plain || (name.contains(':') && city_model::name::is_uri(name))
}

fn check_name(name: &str) -> Result<(), String> {
    const TAKEN: [&str; 8] = ["id", "type", "scope", "@context", "createdAt", "modifiedAt", "deletedAt", "expiresAt"];
    if TAKEN.contains(&name) {
        return Err(format!("\"{name}\" is a name of NGSI-LD itself"));
    }
    if is_name(name) {
        return Ok(());
    }
    let hint = attribute_name(name).map(|better| format!("; {better} would do")).unwrap_or_default();
    Err(format!("\"{name}\" is no attribute name: letters, digits and _ after a letter, or an IRI{hint}"))
}

/// The attribute name that a column takes when none is given: half-width, and an underscore for each run of
/// characters that a name may not hold.
pub(crate) fn attribute_name(column: &str) -> Result<String, String> {
    let mut name = String::with_capacity(column.len());
    for c in halfwidth(column.into()).chars() {
        if c.is_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    name.truncate(name.trim_end_matches('_').len());
    if !name.chars().next().is_some_and(char::is_alphabetic) {
        name.insert_str(0, "column_");
        name.truncate(name.trim_end_matches('_').len());
    }
    match name.as_str() {
        "id" | "type" | "scope" => Ok(format!("{name}_column")),
        "column" => Err(format!("the column \"{column}\" needs a name in columns.names")),
        _ => Ok(name),
    }
}

fn write_names(names: &OneOrMany<String>, out: &mut Vec<u8>) -> Result<(), String> {
    if let Some(name) = names.0.iter().find(|name| !is_name(name)) {
        return Err(format!("\"{name}\" is no type name"));
    }
    match names.0.as_slice() {
        [] => return Err("the list is empty".to_owned()),
        [one] => write_text(one, out),
        many => drop(serde_json::to_writer(&mut *out, many)),
    }
    Ok(())
}

fn type_json(types: &OneOrMany<String>) -> Result<Vec<u8>, String> {
    let mut json = b",\"type\":".to_vec();
    write_names(types, &mut json).map_err(at("type"))?;
    Ok(json)
}

fn context_json(context: Option<OneOrMany<String>>) -> Vec<u8> {
    let Some(context) = context else { return Vec::new() };
    let mut json = b",\"@context\":".to_vec();
    match context.0.as_slice() {
        [one] => write_text(one, &mut json),
        many => drop(serde_json::to_writer(&mut json, many)),
    }
    json
}

/// The licence travels with each entity unless the mapping says otherwise; readings of the past carry none.
fn source(spec: Option<SourceSpec>, attributes: &[Attribute], target: Target) -> Result<(Source, Vec<u8>), String> {
    let Some(spec) = spec else { return Ok((Source::default(), Vec::new())) };
    let mut json = Vec::new();
    let emit = spec.emit.unwrap_or_else(|| match target {
        Target::Current => vec![EmitSpec::Provider, EmitSpec::Licence],
        Target::Temporal => Vec::new(),
    });
    if target == Target::Temporal && !emit.is_empty() {
        return Err("source.emit: readings of the past carry no source; it stands on the entity".to_owned());
    }
    for one in emit {
        let (name, text) = match one {
            EmitSpec::Provider => ("dataProvider", &spec.provider),
            EmitSpec::Licence => ("license", &spec.licence),
            EmitSpec::Url => ("source", &spec.url),
        };
        if let Some(text) = text {
            if attributes.iter().any(|attribute| &*attribute.name == name) {
                return Err(format!("attributes.{name}: it is taken by source; leave it out of source.emit"));
            }
            json.extend_from_slice(format!(",\"{name}\":{{\"type\":\"Property\",\"value\":").as_bytes());
            write_text(text, &mut json);
            json.push(b'}');
        }
    }
    let source = Source { title: spec.title, provider: spec.provider, licence: spec.licence, url: spec.url };
    Ok((source, json))
}
