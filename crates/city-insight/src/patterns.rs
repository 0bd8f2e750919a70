//! The patterns of a condition: read once, when the rule is; the language itself would read them at each look.
//!
//! A call of `matches` with a pattern that stands there becomes a call of a function of our own.

use std::sync::Arc;

use cel::Context;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};
use regex::{Regex, RegexBuilder};

/// Largest compiled pattern, and most of them in one condition.
const PATTERN_BYTES_MAX: usize = 1 << 20;
const PATTERNS_MAX: usize = 8;

#[derive(Debug, Default)]
pub struct Patterns(Vec<Regex>);

/// No expression that is written can name it so.
fn name_of(which: usize) -> String {
    format!("pattern~{which}")
}

impl Patterns {
    /// Takes the patterns out of an expression.
    pub fn of(ast: &mut IdedExpr) -> Result<Self, String> {
        let mut patterns = Self::default();
        patterns.take(ast)?;
        Ok(patterns)
    }

    fn take(&mut self, ast: &mut IdedExpr) -> Result<(), String> {
        match &mut ast.expr {
            Expr::Select(select) => self.take(&mut select.operand),
            Expr::Call(call) => {
                let inner = call.target.as_deref_mut().into_iter().chain(&mut call.args);
                for inner in inner {
                    self.take(inner)?;
                }
                if call.func_name == "matches" { self.replace(call) } else { Ok(()) }
            }
            Expr::List(list) => list.elements.iter_mut().try_for_each(|inner| self.take(inner)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.take(&mut entry.key)?;
                    self.take(&mut entry.value)
                }
                EntryExpr::StructField(_) => Ok(()),
            }),
            Expr::Ident(_) | Expr::Comprehension(_) | Expr::Struct(_) | Expr::Literal(_) | Expr::Unspecified => Ok(()),
        }
    }

    /// `text.matches(pattern)` and `matches(text, pattern)`.
    fn replace(&mut self, call: &mut CallExpr) -> Result<(), String> {
        let pattern = match call.args.last().map(|last| &last.expr) {
            Some(Expr::Literal(LiteralValue::String(pattern))) => pattern.inner().to_owned(),
            _ => return Err("the pattern of matches must stand there as a text, as in name.matches(\"^A\")".to_owned()),
        };
        if self.0.len() >= PATTERNS_MAX {
            return Err(format!("there may be {PATTERNS_MAX} patterns at most"));
        }
        let read = RegexBuilder::new(&pattern).size_limit(PATTERN_BYTES_MAX).build();
        let read =
            read.map_err(|error| format!("{pattern:?} is no pattern: {}", city_cel::one_line(&error.to_string())))?;
        call.args.pop();
        call.args.extend(call.target.take().map(|target| *target));
        if call.args.len() != 1 {
            return Err("matches takes a text and a pattern".to_owned());
        }
        call.func_name = name_of(self.0.len());
        self.0.push(read);
        Ok(())
    }

    /// Makes them known where the expression is evaluated.
    pub fn put_into(&self, context: &mut Context<'_, '_>) -> Result<(), String> {
        for (which, pattern) in self.0.iter().enumerate() {
            // Clones share the compiled pattern.
            let pattern = pattern.clone();
            let matches = move |text: Arc<String>| pattern.is_match(&text);
            context.add_function(&name_of(which), matches).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
