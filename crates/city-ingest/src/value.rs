//! Items as CEL values and back.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional, CelString, CelTimestamp, CelUInt,
    Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use chrono::{DateTime, FixedOffset};
use city_model::Time;
use city_model::value::VALUE_DEPTH_MAX;

use crate::item::Item;
use crate::meter::Meter;
use crate::row::Row;

static ROW: Type = Type::new_unspecified_type("row");
static GEOMETRY: Type = Type::new_unspecified_type("geometry");

/// The variable `row`: columns are read when an expression asks for them.
pub(crate) struct RowVal<'r> {
    pub(crate) row: &'r Row,
    pub(crate) meter: Meter,
}

impl std::fmt::Debug for RowVal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("row")
    }
}

impl Val for RowVal<'_> {
    fn get_type(&self) -> &Type {
        &ROW
    }
    fn cel_type() -> &'static Type {
        &ROW
    }
    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }
    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(RowVal { row: self.row, meter: self.meter.clone() })
    }
}

fn column_name(index: &dyn Val) -> Result<&str, ExecutionError> {
    let name = index.downcast_ref::<CelString>().map(CelString::inner);
    name.ok_or_else(|| ExecutionError::function_error("row", "a column is named by a text"))
}

impl<'r> Indexer for RowVal<'r> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = column_name(index)?;
        // `has` and the optional forms (`row[?"x"]`) need this to fail when there is nothing; a plain read
        // asks before (expression.rs), so that it is null.
        let row: &'r Row = self.row;
        if !row.has(name) {
            return Err(ExecutionError::no_such_key(name));
        }
        let item = row.cell(name);
        self.meter.spend(item.weight())?;
        Ok(CowVal::Owned(to_val(item)))
    }
    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

impl Container for RowVal<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.row.has(column_name(value)?))
    }
}

/// A geometry passes through CEL unopened.
#[derive(Debug, Clone)]
pub(crate) struct GeometryVal(pub(crate) Arc<str>);

impl Val for GeometryVal {
    fn get_type(&self) -> &Type {
        &GEOMETRY
    }
    fn cel_type() -> &'static Type {
        &GEOMETRY
    }
    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<GeometryVal>().is_some_and(|other| other.0 == self.0)
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
impl StaticVal for GeometryVal {}

pub(crate) fn to_val<'v>(item: Item<'v>) -> Box<dyn Val + 'v> {
    match item {
        Item::Null => Box::new(CelNull),
        Item::Bool(value) => Box::new(CelBool::from(value)),
        Item::Int(value) => Box::new(CelInt::from(value)),
        Item::Float(value) => Box::new(CelDouble::from(value)),
        Item::Text(text) => Box::new(CelString::from(text)),
        Item::Time(time) => match DateTime::from_timestamp_micros(time.as_micros()) {
            Some(utc) => Box::new(CelTimestamp::from(DateTime::<FixedOffset>::from(utc))),
            None => Box::new(CelNull),
        },
        Item::Geometry(json) => Box::new(GeometryVal(json)),
        Item::List(list) => Box::new(CelList::from(list.into_iter().map(to_val).collect::<Vec<_>>())),
        Item::Map(map) => {
            let entries = map.into_iter().map(|(key, item)| (CelMapKey::from(key.into_owned()), to_val(item)));
            Box::new(CelMap::from(entries.collect::<HashMap<_, _>>()))
        }
    }
}

pub(crate) fn from_val<'b>(value: &'b (dyn Val + '_)) -> Result<Item<'b>, String> {
    from_nested(value, 0)
}

fn from_nested<'b>(value: &'b (dyn Val + '_), depth: usize) -> Result<Item<'b>, String> {
    if depth > VALUE_DEPTH_MAX {
        return Err(format!("a value may be nested {VALUE_DEPTH_MAX} levels deep at most"));
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        return Ok(Item::text(text.inner()));
    }
    if value.downcast_ref::<CelNull>().is_some() {
        return Ok(Item::Null);
    }
    if let Some(value) = value.downcast_ref::<CelBool>() {
        return Ok(Item::Bool(*value.inner()));
    }
    if let Some(value) = value.downcast_ref::<CelInt>() {
        return Ok(Item::Int(*value.inner()));
    }
    if let Some(value) = value.downcast_ref::<CelDouble>() {
        return Ok(Item::Float(*value.inner()));
    }
    if let Some(value) = value.downcast_ref::<CelUInt>() {
        return i64::try_from(*value.inner()).map(Item::Int).map_err(|_| "a whole number is too large".to_owned());
    }
    if let Some(time) = value.downcast_ref::<CelTimestamp>() {
        return Ok(Item::Time(Time::from_micros(time.inner().timestamp_micros())));
    }
    if let Some(geometry) = value.downcast_ref::<GeometryVal>() {
        return Ok(Item::Geometry(Arc::clone(&geometry.0)));
    }
    if let Some(optional) = value.downcast_ref::<CelOptional>() {
        return optional.option().map_or(Ok(Item::Null), |value| from_nested(value, depth + 1));
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        let items = list.inner().iter().map(|item| from_nested(item.as_ref(), depth + 1));
        return items.collect::<Result<_, _>>().map(Item::List);
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        let mut members: Vec<(Cow<'_, str>, Item)> = Vec::with_capacity(map.inner().len());
        for (key, value) in map.inner() {
            let CelMapKey::String(name) = key else { return Err("the keys of a map must be texts".to_owned()) };
            members.push((name.inner().to_owned().into(), from_nested(value.as_ref(), depth + 1)?));
        }
        // A map of CEL has no order; a fixed one keeps output repeatable.
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        return Ok(Item::Map(members));
    }
    Err(format!("a {} cannot be stored", value.get_type().name()))
}
