//! Selections of types and of scopes (clauses 4.17, 4.19): `A|B`, `A,B`, `(A;B)`.

use city_model::TypeExpr;
use city_model::query::{ScopeExpr, ScopePattern};

use crate::context::TermMap;
use crate::entity::check_name;
use crate::error::Error;
use crate::query::{CONDITIONS_MAX, PARENTHESES_DEPTH_MAX, at, check_length};

/// Entity types, as in the parameter `type`.
pub fn parse_type_expr(text: &str, terms: &TermMap) -> Result<TypeExpr, Error> {
    let leaf = |word: &str| {
        check_name(word, "entity type").map_err(|error| error.message)?;
        Ok(TypeExpr::Type(terms.expand(word)))
    };
    Parser { what: "type", text, at: 0, leaves: 0, leaf, and: TypeExpr::And, or: TypeExpr::Or }.parse()
}

/// Scopes, as in the parameter `scopeQ`.
pub fn parse_scope_q(text: &str) -> Result<ScopeExpr, Error> {
    let leaf = |word: &str| {
        ScopePattern::parse(word)
            .map(ScopeExpr::Pattern)
            .ok_or_else(|| format!("{word:?} is not a scope such as /Kashiwa/Ward2, /Kashiwa/+ or /Kashiwa/#"))
    };
    Parser { what: "scopeQ", text, at: 0, leaves: 0, leaf, and: ScopeExpr::And, or: ScopeExpr::Or }.parse()
}

struct Parser<'t, T, L: Fn(&str) -> Result<T, String>> {
    what: &'static str,
    text: &'t str,
    at: usize,
    leaves: usize,
    leaf: L,
    and: fn(Vec<T>) -> T,
    or: fn(Vec<T>) -> T,
}

impl<T, L: Fn(&str) -> Result<T, String>> Parser<'_, T, L> {
    fn parse(mut self) -> Result<T, Error> {
        check_length(self.what, self.text)?;
        let expr = self.any(PARENTHESES_DEPTH_MAX)?;
        match self.peek() {
            None => Ok(expr),
            Some(found) => {
                Err(at(self.what, self.text, self.at, format!("{} is out of place here", char::from(found))))
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// `,` and `|` both mean "or".
    fn any(&mut self, levels_left: usize) -> Result<T, Error> {
        let mut parts = vec![self.all(levels_left)?];
        while matches!(self.peek(), Some(b'|' | b',')) {
            self.at += 1;
            parts.push(self.all(levels_left)?);
        }
        Ok(joined(parts, self.or))
    }

    fn all(&mut self, levels_left: usize) -> Result<T, Error> {
        let mut parts = vec![self.one(levels_left)?];
        while self.peek() == Some(b';') {
            self.at += 1;
            parts.push(self.one(levels_left)?);
        }
        Ok(joined(parts, self.and))
    }

    fn one(&mut self, levels_left: usize) -> Result<T, Error> {
        if self.peek() == Some(b'(') {
            let levels_left = levels_left.checked_sub(1).ok_or_else(|| {
                Error::too_complex(self.what, format!("is nested deeper than {PARENTHESES_DEPTH_MAX} parentheses"))
            })?;
            self.at += 1;
            let inner = self.any(levels_left)?;
            if self.peek() != Some(b')') {
                return Err(at(self.what, self.text, self.at, "expected )"));
            }
            self.at += 1;
            return Ok(inner);
        }
        self.leaves += 1;
        if self.leaves > CONDITIONS_MAX {
            return Err(Error::too_complex(self.what, format!("has more than {CONDITIONS_MAX} parts")));
        }
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.find(['|', ',', ';', '(', ')']).unwrap_or(rest.len());
        let word = rest[..length].trim();
        self.at += length;
        if word.is_empty() {
            return Err(at(self.what, self.text, start, format!("expected a name of a {}", self.noun())));
        }
        (self.leaf)(word).map_err(|message| at(self.what, self.text, start, message))
    }

    fn noun(&self) -> &'static str {
        if self.what == "type" { "type" } else { "scope" }
    }
}

fn joined<T>(mut parts: Vec<T>, join: fn(Vec<T>) -> T) -> T {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}
