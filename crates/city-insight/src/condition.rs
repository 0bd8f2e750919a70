//! A condition over one entity: the language's text comes in; whether it holds goes out, or that it cannot
//! be said, since something that it asks for is not there.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Env, Value as Cel};
use city_cel::{EXPRESSION_DEPTH_MAX, check_size, is_standard, one_line, shown};
use city_model::{Entity, Kind, Name, Value};

use crate::patterns::Patterns;
use crate::window::{self, Moment, Window};

/// Names of attributes as they are written, with their full names.
pub type Names = BTreeMap<Box<str>, Name>;

#[derive(Debug)]
pub struct Condition {
    source: Box<str>,
    ast: IdedExpr,
    patterns: Patterns,
    windows: Vec<Window>,
    /// What it asks for as it is now.
    now: Vec<Box<str>>,
    /// The same, and what its windows ask for.
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
    let Parsed { now, windows, .. } = parse(source)?;
    Ok(all_of(now, &windows))
}

/// An expression without its windows.
struct Parsed {
    ast: IdedExpr,
    now: Vec<Box<str>>,
    windows: Vec<Window>,
}

fn all_of(mut now: Vec<Box<str>>, windows: &[Window]) -> Vec<Box<str>> {
    now.extend(windows.iter().map(|window| window.attribute.clone()));
    now.sort();
    now.dedup();
    now
}

fn parse(source: &str) -> Result<Parsed, String> {
    check_size(source)?;
    let program = language().compile(source).map_err(|error| one_line(&error.to_string()))?;
    let is_known = |function: &str| is_standard(function) || window::FUNCTIONS.contains(&function);
    if let Some(function) = program.references().functions().into_iter().find(|function| !is_known(function)) {
        return Err(format!("there is no function {function}"));
    }
    let mut ast = program.expression().clone();
    // Before anything goes down into it: how deep it may be is looked at here.
    look(&ast, 0, &mut Vec::new())?;
    let windows = window::take_out(&mut ast)?;
    let mut now = Vec::new();
    look(&ast, 0, &mut now)?;
    now.retain(|name| !(0..windows.len()).any(|which| **name == *window::name_of(which)));
    if now.is_empty() && windows.is_empty() {
        return Err("it asks for no attribute, so nothing can change it".to_owned());
    }
    Ok(Parsed { ast, now, windows })
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
        let Parsed { mut ast, now, windows } = parse(source)?;
        let patterns = Patterns::of(&mut ast)?;
        let known = |name: Box<str>| match names.get(&name) {
            Some(full) => Ok((name, full.clone())),
            None => Err(format!("the attribute {name} has no full name")),
        };
        let names = all_of(now.clone(), &windows).into_iter().map(known).collect::<Result<Names, String>>()?;
        Ok(Self { source: source.into(), ast, patterns, windows, now, names })
    }

    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Whether it looks at the past, so that time alone may change it.
    #[must_use]
    pub fn has_windows(&self) -> bool {
        !self.windows.is_empty()
    }

    /// Whether it holds for an entity as it stands at a moment.
    pub fn holds(&self, entity: &Entity, moment: &Moment<'_>) -> Result<Holds, String> {
        let mut root = Context::with_env(Arc::clone(language()));
        self.patterns.put_into(&mut root)?;
        let mut context = root.new_inner_scope();
        for name in &self.now {
            let value = self.names.get(name).and_then(|full| value_of(entity, full));
            let Some(value) = value else { return Ok(Holds::Unknown) };
            context.add_variable_from_value(name.to_string(), cel_of(value));
        }
        for (which, window) in self.windows.iter().enumerate() {
            let Some(full) = self.names.get(&window.attribute) else { return Ok(Holds::Unknown) };
            let Some(value) = window.value(&entity.id, full, moment)? else { return Ok(Holds::Unknown) };
            context.add_variable_from_value(window::name_of(which), value);
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

pub(crate) fn cel_of(value: &Value) -> Cel {
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
    use city_model::{Attribute, EntityId, Instance, Time};

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
        Condition::compile(source, &names)?
            .holds(entity, &Moment { at: Time::from_micros(3_600_000_000), past: &Never })
    }

    /// A past in which one reading stood before, and two came half an hour ago.
    struct Never;

    impl crate::window::Past for Never {
        fn readings(&self, _: &EntityId, _: &Name, _: Time, to: Time) -> Result<crate::window::Readings, String> {
            let at = |minutes: i64| to.plus_micros(-minutes * 60_000_000);
            let within = vec![(at(30), Value::Float(1.0)), (at(20), Value::Float(3.0))];
            Ok(crate::window::Readings { standing: Some(Value::Float(1.0)), within })
        }
    }

    #[test]
    fn windows_stand_beside_what_is_now_and_say_how_they_are_written() {
        let entity = gauge(&[("level", Value::Float(3.0))]);
        let table = [
            ("mean(level, \"PT1H\") == 2.0 && level > 2.5", Holds::Yes),
            ("rate(level, \"PT1H\") * 3600.0 > 13.0", Holds::No),
            ("count(other, \"PT1H\") >= 2.0 && !absent(other, \"PT1H\")", Holds::Yes),
            ("quantile(level, 0.9, \"PT1H\") > last(level, \"PT1H\")", Holds::No),
            ("held(level, 3, \"PT1H\") == 1200.0", Holds::Yes),
            ("mean(level, \"PT1H\") > 1.0 && other > 1.0", Holds::Unknown),
        ];
        for (source, expected) in table {
            assert_eq!(holds(source, &entity), Ok(expected), "{source}");
        }
        for (source, why) in [
            ("mean(level) > 1.0", "mean(attribute, \"PT1H\")"),
            ("mean(level + 1.0, \"PT1H\") > 1.0", "mean(attribute"),
            ("mean(level, \"P1Y\") > 1.0", "P31D"),
            ("quantile(level, 2.0, \"PT1H\") > 1.0", "from 0.0 to 1.0"),
            ("held(level, other, \"PT1H\") > 1.0", "held(attribute"),
        ] {
            let told = holds(source, &entity).unwrap_err();
            assert!(told.contains(why), "{source}: {told}");
        }
        let nine = ["count(level, \"PT1H\")"; 9].join(" + ");
        assert!(holds(&format!("{nine} > 1.0"), &entity).unwrap_err().contains("8 windows"));
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
