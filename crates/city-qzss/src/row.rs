//! A row for the mapping language: flat, every code with its names beside it.

use city_model::Time;
use serde_json::{Map, Value};

use crate::table::Coded;

/// What a row is written into. The key `unknownCodes` comes last, when there are some.
#[derive(Default)]
pub(crate) struct Row {
    map: Map<String, Value>,
    unknown: Vec<String>,
}

impl Row {
    pub(crate) fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.map.insert(key.to_owned(), value.into());
    }

    pub(crate) fn put_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    pub(crate) fn time(&mut self, key: &str, time: Option<Time>) {
        self.put_some(key, time.map(|time| time.to_string()));
    }

    /// `nameCode`, `nameJa` and `nameEn`; for the empty name `code`, `ja` and `en`.
    pub(crate) fn coded(&mut self, name: &str, coded: &Coded) {
        let key = |suffix: &str| if name.is_empty() { suffix.to_lowercase() } else { format!("{name}{suffix}") };
        self.put(&key("Code"), coded.code);
        self.put_some(&key("Ja"), coded.ja.as_deref());
        self.put_some(&key("En"), coded.en.as_deref());
        if !coded.is_known {
            self.unknown.push(if name.is_empty() { key("Code") } else { name.to_owned() });
        }
    }

    /// A list of objects, each of which is written as a row is.
    pub(crate) fn list<T>(&mut self, key: &str, items: &[T], write: impl Fn(&T, &mut Self)) {
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let mut row = Self::default();
            write(item, &mut row);
            self.unknown.extend(row.unknown.into_iter().map(|name| format!("{key}.{name}")));
            list.push(Value::Object(row.map));
        }
        self.put(key, list);
    }

    pub(crate) fn coded_list(&mut self, key: &str, items: &[Coded]) {
        self.list(key, items, |coded, row| row.coded("", coded));
    }

    pub(crate) fn finish(mut self) -> Map<String, Value> {
        self.unknown.dedup();
        if !self.unknown.is_empty() {
            self.map.insert("unknownCodes".to_owned(), self.unknown.into());
        }
        self.map
    }
}

/// To so many digits after the point: what the bits can say, and no more.
pub(crate) fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (number * scale).round() / scale
}
