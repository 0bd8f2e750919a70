//! A condition over one entity: the language's text comes in; whether it holds goes out, or that it cannot
//! be said, since something that it asks for is not there.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Env, Value as Cel};
use city_cel::{EXPRESSION_DEPTH_MAX, check_size, is_standard, one_line, shown};
use city_model::{Entity, Kind, Name, Value};

use crate::patterns::Patterns;

/// Names of attributes as they are written, with their full names.
pub type Names = BTreeMap<Box<str>, Name>;

#[derive(Debug)]
pub struct Condition {
    source: Box<str>,
    ast: IdedExpr,
    patterns: Patterns,
    names: Names,
}

/// How it stands with an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Yes,
    No,
    /// An attribute that it asks for is not there.
    Unknown,
}

/// The words of the language that are no attributes.
const TYPES: [&str; 10] = ["string", "int", "uint", "double", "bool", "bytes", "list", "map", "null_type", "type"];

fn language() -> &'static Arc<Env> {
    static LANGUAGE: OnceLock<Arc<Env>> = OnceLock::new();
    LANGUAGE.get_or_init(|| Arc::new(Env::stdlib()))
}

/// The attributes that a condition asks for, as they are written.
pub fn asks_for(source: &str) -> Result<Vec<Box<str>>, String> {
    let (_, names) = parse(source)?;
    Ok(names)
}

fn parse(source: &str) -> Result<(IdedExpr, Vec<Box<str>>), String> {
    check_size(source)?;
    let program = language().compile(source).map_err(|error| one_line(&error.to_string()))?;
    if let Some(function) = program.references().functions().into_iter().find(|function| !is_standard(function)) {
        return Err(format!("there is no function {function}"));
    }
    let ast = program.expression().clone();
    let mut names = Vec::new();
    look(&ast, 0, &mut names)?;
    if names.is_empty() {
        return Err("it asks for no attribute, so nothing can change it".to_owned());
    }
    Ok((ast, names))
}

/// Loops are refused: an entity is one thing, and what takes long here would delay all rules.
fn look(ast: &IdedExpr, depth: usize, names: &mut Vec<Box<str>>) -> Result<(), String> {
    if depth > EXPRESSION_DEPTH_MAX {
        return Err(format!("an expression may be nested {EXPRESSION_DEPTH_MAX} levels deep at most"));
    }
    match &ast.expr {
        Expr::Ident(name) if TYPES.contains(&name.as_str()) => Ok(()),
        Expr::Ident(name) => {
            if !names.iter().any(|own| **own == **name) {
                names.push(name.as_str().into());
            }
            Ok(())
        }
        Expr::Select(select) => look(&select.operand, depth + 1, names),
        Expr::Call(call) => {
            call.target.as_deref().into_iter().chain(&call.args).try_for_each(|inner| look(inner, depth + 1, names))
        }
        Expr::List(list) => list.elements.iter().try_for_each(|inner| look(inner, depth + 1, names)),
        Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                look(&entry.key, depth + 1, names)?;
                look(&entry.value, depth + 1, names)
            }
            EntryExpr::StructField(_) => Err("there are no message types".to_owned()),
        }),
        Expr::Comprehension(_) => Err("there are no loops in a condition".to_owned()),
        Expr::Struct(_) => Err("there are no message types".to_owned()),
        Expr::Literal(_) | Expr::Unspecified => Ok(()),
    }
}

impl Condition {
    /// With the full names of all that it asks for.
    pub fn compile(source: &str, names: &Names) -> Result<Self, String> {
        let (mut ast, asked) = parse(source)?;
        let patterns = Patterns::of(&mut ast)?;
        let known = |name: Box<str>| match names.get(&name) {
            Some(full) => Ok((name, full.clone())),
            None => Err(format!("the attribute {name} has no full name")),
        };
        let names = asked.into_iter().map(known).collect::<Result<Names, String>>()?;
        Ok(Self { source: source.into(), ast, patterns, names })
    }

    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Whether it holds for an entity as it stands.
    pub fn holds(&self, entity: &Entity) -> Result<Holds, String> {
        let mut root = Context::with_env(Arc::clone(language()));
        self.patterns.put_into(&mut root)?;
        let mut context = root.new_inner_scope();
        for (name, full) in &self.names {
            let Some(value) = value_of(entity, full) else { return Ok(Holds::Unknown) };
            context.add_variable_from_value(name.to_string(), cel_of(value));
        }
        match Cel::resolve(&self.ast, &context) {
            Ok(Cel::Bool(true)) => Ok(Holds::Yes),
            Ok(Cel::Bool(false)) => Ok(Holds::No),
            Ok(other) => Err(format!("{} gives {other:?}, neither true nor false", self.source)),
            Err(error) => Err(format!("{} (in {})", shown(&error), self.source)),
        }
    }
}

/// What an attribute says, where that is a value.
#[must_use]
pub fn value_of<'e>(entity: &'e Entity, name: &Name) -> Option<&'e Value> {
    match &entity.find(name.as_str())?.default_instance()?.kind {
        Kind::Property(value) | Kind::JsonProperty(value) | Kind::VocabProperty(value) => Some(value),
        Kind::Relationship { object, .. } => Some(object),
        _ => None,
    }
}

fn cel_of(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(truth) => Cel::Bool(*truth),
        // Readings are numbers; whether one happens to be whole must not decide whether it can be compared.
        Value::Int(_) | Value::Float(_) => Cel::Float(value.as_f64().unwrap_or(f64::NAN)),
        Value::Text(text) => Cel::String(Arc::new(text.to_string())),
        Value::List(list) => Cel::List(Arc::new(list.iter().map(cel_of).collect())),
        Value::Map(members) => {
            let members: std::collections::HashMap<String, Cel> =
                members.iter().map(|(key, value)| (key.to_string(), cel_of(value))).collect();
            members.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use city_model::{Attribute, EntityId, Instance};

    fn name(text: &str) -> Name {
        Name::parse(&format!("urn:{text}")).unwrap()
    }

    fn gauge(values: &[(&str, Value)]) -> Entity {
        let mut entity = Entity::new(EntityId::parse("urn:x:1").unwrap(), vec![name("Gauge")]);
        for (attribute, value) in values {
            let instance = Instance::new(Kind::Property(value.clone()));
            entity.attributes.push(Attribute::new(name(attribute), instance));
        }
        entity
    }

    fn holds(source: &str, entity: &Entity) -> Result<Holds, String> {
        let names = asks_for(source)?.into_iter().map(|term| (term.clone(), name(&term))).collect();
        Condition::compile(source, &names)?.holds(entity)
    }

    #[test]
    fn it_holds_or_does_not_or_cannot_be_said() {
        let table = [
            ("level > 2", Value::Float(2.1), Holds::Yes),
            ("level > 2", Value::Int(2), Holds::No),
            ("level >= 2.0", Value::Int(2), Holds::Yes),
            ("level == \"high\"", Value::text("high"), Holds::Yes),
            ("level in [\"high\", \"flood\"]", Value::text("low"), Holds::No),
            ("other > 1", Value::Int(2), Holds::Unknown),
            ("level > 2 || other > 1", Value::Int(3), Holds::Unknown),
            ("!(level > 2.0 && level < 3.0)", Value::Float(2.5), Holds::No),
        ];
        for (source, value, expected) in table {
            assert_eq!(holds(source, &gauge(&[("level", value)])), Ok(expected), "{source}");
        }
    }

    #[test]
    fn a_pattern_is_read_once_and_only_where_it_stands_in_the_rule() {
        let entity = gauge(&[("name", Value::text("Arakawa 3")), ("other", Value::text("^A"))]);
        let asked = |source: &str| holds(source, &entity);
        assert_eq!(asked("name.matches(\"^Ara.* [0-9]$\")"), Ok(Holds::Yes));
        assert_eq!(asked("matches(name, \"^B\") || name.matches(\"3\")"), Ok(Holds::Yes));
        assert_eq!(asked("!name.matches(\"^Ara\")"), Ok(Holds::No));
        assert!(asked("name.matches(other)").unwrap_err().contains("stand there as a text"));
        assert!(asked("name.matches(\"(\")").unwrap_err().contains("is no pattern"));
        assert!(asked("name.matches(\"((a{200}){200}){200}\")").unwrap_err().contains("is no pattern"));
        // The language's own would be called by a name that is still there.
        let names = Names::from([("name".into(), name("name"))]);
        let condition = Condition::compile("name.matches(\"^A\")", &names).unwrap();
        assert!(!format!("{:?}", condition.ast).contains("\"matches\""));
    }

    #[test]
    fn what_is_no_condition_says_why() {
        let entity = gauge(&[("level", Value::text("high"))]);
        for source in ["level > 2", "level", "true", "[1].all(x, x > level)", "fetch(level)", "level >", "T{a: level}"]
        {
            assert!(holds(source, &entity).is_err(), "{source}");
        }
        assert!(holds(&format!("level {}> 1", "+ 1 ".repeat(300)), &entity).is_err());
    }
}
