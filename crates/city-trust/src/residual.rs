//! What a policy still asks of the entity, once the rest is known: from the policy engine's JSON to a
//! [`Condition`].
//!
//! What cannot be said as a condition is an error, and whoever reads it fails closed.

use city_model::condition::{CONDITION_DEPTH_MAX, Comparison, Like, Operand};
use city_model::{Condition, EntityId, Name, Scope, Value};
use serde_json::Value as Json;

/// Entity types of the policy language.
pub const TYPE: &str = "Type";
pub const SCOPE: &str = "Scope";
pub const ENTITY: &str = "Entity";
/// The attribute of an entity that is its id as a text, for patterns.
pub const ID: &str = "id";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotExpressible(String);

fn not<T>(what: impl Into<String>) -> Result<T, NotExpressible> {
    Err(NotExpressible(what.into()))
}

/// The conditions of a policy that names only the resource any more.
pub fn condition_of(policy: &Json) -> Result<Condition, NotExpressible> {
    let head = match (&policy["resource"]["op"], &policy["resource"]) {
        (Json::String(op), _) if op == "All" => Condition::Always,
        (Json::String(op), head) if op == "==" => of_entity(&head["entity"], true)?,
        (Json::String(op), head) if op == "in" => of_entity(&head["entity"], false)?,
        (Json::String(op), head) if op == "is" && head["in"].is_null() && head["entity_type"] == ENTITY => {
            Condition::Always
        }
        _ => return not("its resource is of a form that is not understood here"),
    };
    let mut all = vec![head];
    for condition in policy["conditions"].as_array().into_iter().flatten() {
        let body = boolean(&condition["body"], 0)?;
        all.push(match condition["kind"].as_str() {
            Some("when") => body,
            Some("unless") => Condition::Not(Box::new(body)),
            _ => return not("it has a condition that is neither when nor unless"),
        });
    }
    Ok(simplified(all))
}

/// What always holds is left out of a conjunction; one that never holds, with nothing before it that can be
/// an error, is all of it.
fn simplified(all: Vec<Condition>) -> Condition {
    let sure = all.iter().take_while(|part| part.is_of_identity());
    if sure.into_iter().any(|part| *part == Condition::Never) {
        return Condition::Never;
    }
    let mut parts: Vec<Condition> = all.into_iter().filter(|part| *part != Condition::Always).collect();
    match parts.len() {
        0 => Condition::Always,
        1 => parts.swap_remove(0),
        _ => Condition::All(parts),
    }
}

fn boolean(json: &Json, depth: usize) -> Result<Condition, NotExpressible> {
    if depth > CONDITION_DEPTH_MAX {
        return not("it is nested too deeply");
    }
    let Some((op, body)) = json.as_object().and_then(|object| object.iter().next()) else {
        return not("a part of it is no expression");
    };
    let both = || Ok([boolean(&body["left"], depth + 1)?, boolean(&body["right"], depth + 1)?]);
    Ok(match op.as_str() {
        "Value" => match body {
            Json::Bool(true) => Condition::Always,
            Json::Bool(false) => Condition::Never,
            _ => return not(format!("{body} is neither true nor false")),
        },
        "&&" => simplified(Vec::from(both()?)),
        "||" => match both()? {
            [Condition::Always, _] => Condition::Always,
            [Condition::Never, right] => right,
            [left, Condition::Always] if left.is_of_identity() => Condition::Always,
            [left, Condition::Never] if left.is_of_identity() => left,
            [left, right] => Condition::Any(vec![left, right]),
        },
        "!" => Condition::Not(Box::new(boolean(&body["arg"], depth + 1)?)),
        "if-then-else" => {
            let [test, then, or] = ["if", "then", "else"].map(|part| boolean(&body[part], depth + 1));
            Condition::IfElse(Box::new([test?, then?, or?]))
        }
        "==" => equal(&body["left"], &body["right"])?,
        "!=" => Condition::Not(Box::new(equal(&body["left"], &body["right"])?)),
        "<" => Condition::Compare(operand(&body["left"])?, Comparison::Less, operand(&body["right"])?),
        "<=" => Condition::Compare(operand(&body["left"])?, Comparison::LessOrEqual, operand(&body["right"])?),
        ">" => Condition::Not(Box::new(Condition::Compare(
            operand(&body["left"])?,
            Comparison::LessOrEqual,
            operand(&body["right"])?,
        ))),
        ">=" => Condition::Not(Box::new(Condition::Compare(
            operand(&body["left"])?,
            Comparison::Less,
            operand(&body["right"])?,
        ))),
        "in" if is_resource(&body["left"]) => within(&body["right"])?,
        "is" if is_resource(&body["left"]) => match body["entity_type"] == ENTITY {
            true => Condition::Always,
            false => Condition::Never,
        },
        "has" if is_resource(&body["left"]) => match body["attr"].as_str() {
            Some(ID) => Condition::Always,
            Some(attribute) => Condition::Has(name(attribute)?),
            None => return not("has names more than one attribute"),
        },
        "like" => {
            let like = pattern(&body["pattern"])?;
            match attribute(&body["left"]) {
                Some(ID) => Condition::IdLike(like),
                Some(attribute) => Condition::Like(name(attribute)?, like),
                None => return not("like asks for something else than an attribute of the resource"),
            }
        }
        "contains" => Condition::Contains(operand(&body["left"])?, operand(&body["right"])?),
        "." => match attribute(json) {
            Some(attribute) if attribute != ID => Condition::IsTrue(name(attribute)?),
            _ => return not("an attribute of something else than the resource"),
        },
        other => return not(format!("`{other}` cannot be asked of entities here")),
    })
}

fn equal(left: &Json, right: &Json) -> Result<Condition, NotExpressible> {
    match (is_resource(left), is_resource(right)) {
        (true, false) => return of_entity(entity(right).ok_or_else(no_entity)?, true),
        (false, true) => return of_entity(entity(left).ok_or_else(no_entity)?, true),
        (true, true) => return Ok(Condition::Always),
        (false, false) => {}
    }
    for (one, other) in [(left, right), (right, left)] {
        if let (Some(ID), Some(text)) = (attribute(one), other["Value"].as_str()) {
            return Ok(EntityId::parse(text).map_or(Condition::Never, Condition::Id));
        }
    }
    Ok(Condition::Compare(operand(left)?, Comparison::Equal, operand(right)?))
}

fn no_entity() -> NotExpressible {
    NotExpressible("the resource is compared with something that is no entity".to_owned())
}

fn within(right: &Json) -> Result<Condition, NotExpressible> {
    let of = |json: &Json| entity(json).ok_or_else(no_entity).and_then(|entity| of_entity(entity, false));
    // A constant set comes as a value, one that was put together as an expression.
    match right["Set"].as_array().or_else(|| right["Value"].as_array()) {
        Some(items) => Ok(Condition::Any(items.iter().map(of).collect::<Result<_, _>>()?)),
        None => of(right),
    }
}

/// `resource == X` or `resource in X`.
fn of_entity(json: &Json, equal: bool) -> Result<Condition, NotExpressible> {
    let (Some(kind), Some(id)) = (json["type"].as_str(), json["id"].as_str()) else { return Err(no_entity()) };
    Ok(match (kind, equal) {
        (ENTITY, _) => EntityId::parse(id).map_or(Condition::Never, Condition::Id),
        (_, true) => Condition::Never,
        (TYPE, false) => Condition::Type(name(id)?),
        (SCOPE, false) => match Scope::parse(id) {
            // A scope that is written in another way is another one.
            Ok(scope) if scope.as_str() == id => Condition::Within(scope),
            _ => Condition::Never,
        },
        (_, false) => Condition::Never,
    })
}

fn entity(json: &Json) -> Option<&Json> {
    json.get("Value").unwrap_or(json).get("__entity")
}

fn operand(json: &Json) -> Result<Operand, NotExpressible> {
    if let Some(attribute) = attribute(json) {
        return match attribute {
            ID => not("id can be compared by == and like alone"),
            attribute => Ok(Operand::Attribute(name(attribute)?)),
        };
    }
    let constant = match json["Set"].as_array() {
        Some(items) => Value::List(items.iter().map(|item| constant(&item["Value"])).collect::<Result<_, _>>()?),
        None => constant(&json["Value"])?,
    };
    Ok(Operand::Value(constant))
}

fn constant(json: &Json) -> Result<Value, NotExpressible> {
    Ok(match json {
        Json::Bool(flag) => Value::Bool(*flag),
        Json::String(text) => Value::text(text),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => return not(format!("{number} is no whole number")),
        },
        Json::Array(items) => Value::List(items.iter().map(constant).collect::<Result<_, _>>()?),
        _ => return not("it compares with something else than a text, a whole number or a truth value"),
    })
}

fn is_resource(json: &Json) -> bool {
    json["Var"] == "resource" || json["unknown"][0]["Value"] == "resource"
}

/// The attribute that is asked of the resource itself.
fn attribute(json: &Json) -> Option<&str> {
    let access = json.get(".")?;
    is_resource(&access["left"]).then(|| access["attr"].as_str())?
}

fn name(text: &str) -> Result<Name, NotExpressible> {
    Name::parse(text).map_err(|error| NotExpressible(error.to_string()))
}

fn pattern(json: &Json) -> Result<Like, NotExpressible> {
    let mut parts = vec![String::new()];
    for element in json.as_array().into_iter().flatten() {
        match (element.as_str(), element["Literal"].as_str()) {
            (Some("Wildcard"), _) => parts.push(String::new()),
            (_, Some(text)) => parts.last_mut().map(|part| part.push_str(text)).unwrap_or_default(),
            _ => return not("its pattern is not understood here"),
        }
    }
    Ok(Like::new(parts.into_iter().map(Into::into).collect()))
}
