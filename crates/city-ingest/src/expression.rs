//! CEL, compiled once and evaluated for each row.
//!
//! Most expressions of real mappings are a column, a function of a column, or texts put together. Those
//! are also kept as a `Short` form that never enters the interpreter; where the short form meets anything
//! but the plain case it gives up and the interpreter decides, so both have one meaning.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::{CelInt, CelString};
use cel::{Context, Env, Value};
use city_cel::{EXPRESSION_DEPTH_MAX, check_size, is_standard, one_line, shown};

use crate::function::{self, Function, Settings};
use crate::item::Item;
use crate::meter::{self, METER, Meter};
use crate::row::Row;
use crate::value::{RowVal, from_val, to_val};

/// The names an expression may use.
const VARIABLES: [&str; 5] = ["row", "geometry", "feature_id", "line", "message"];

/// The interpreter's root: functions of CEL and of the mapping language.
pub(crate) struct Language {
    env: Arc<Env>,
    root: Context<'static, 'static>,
    settings: Arc<Settings>,
}

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Language").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Expression {
    source: Box<str>,
    ast: IdedExpr,
    short: Option<Short>,
    /// Whether it asks about the message that the row is of.
    asks_about: bool,
    /// Columns that are named in the text, and whether each must be there.
    pub(crate) columns: Vec<(Box<str>, bool)>,
}

/// An expression that needs no interpreter.
#[derive(Debug)]
enum Short {
    Constant(Item<'static>),
    Column(Box<str>),
    Geometry,
    FeatureId,
    Join(Box<Short>, Box<Short>),
    Call(Function, Vec<Short>),
}

impl Language {
    pub(crate) fn new(settings: Settings) -> Result<Self, String> {
        let env = Arc::new(Env::stdlib());
        let settings = Arc::new(settings);
        let mut root = Context::with_env(Arc::clone(&env));
        function::add_functions(&mut root, &settings).map_err(|error| error.to_string())?;
        meter::add_functions(&mut root).map_err(|error| error.to_string())?;
        Ok(Self { env, root, settings })
    }

    pub(crate) fn compile(&self, source: &str) -> Result<Expression, String> {
        check_size(source)?;
        let program = self.env.compile(source).map_err(|error| match column_in_script(source) {
            Some(column) => format!("a column whose name is no identifier is written row[\"{column}\"]"),
            None => one_line(&error.to_string()),
        })?;
        let mut ast = program.expression().clone();
        let references = program.references();
        for function in references.functions() {
            let known = self.knows(function);
            if !known {
                return Err(format!("there is no function {function}"));
            }
        }
        let mut study = Study::default();
        study.look(&ast, 0)?;
        let short = Short::of(&ast);
        ask_before_reading(&mut ast);
        meter::put_in(&mut ast);
        let Study { columns, asks_about, .. } = study;
        Ok(Expression { source: source.into(), ast, short, asks_about, columns })
    }

    fn knows(&self, function: &str) -> bool {
        is_standard(function) || function::FUNCTIONS.iter().any(|(name, ..)| *name == function)
    }
}

impl Expression {
    pub(crate) fn evaluate<'r>(&'r self, language: &'r Language, row: &'r Row) -> Result<Item<'r>, String> {
        if let Some(short) = &self.short
            && let Some(item) = short.evaluate(&language.settings, row)
        {
            return Ok(item);
        }
        self.interpret(language, row)
    }

    /// The general way.
    pub(crate) fn interpret(&self, language: &Language, row: &Row) -> Result<Item<'static>, String> {
        let root: &Context<'static, '_> = &language.root;
        let meter = Meter::full();
        let mut context = root.new_inner_scope();
        context.add_variable_as_val(METER, Box::new(meter.clone()));
        context.add_variable_as_val("geometry", to_val(row.geometry()));
        context.add_variable_as_val("feature_id", to_val(row.feature_id()));
        context.add_variable_as_val("line", Box::new(CelInt::from(i64::try_from(row.line).unwrap_or(i64::MAX))));
        if self.asks_about {
            context.add_variable_as_val("message", to_val(row.about().item()));
        }
        context.add_variable_as_val("row", Box::new(RowVal { row, meter }));
        let value = Value::resolve_val(&self.ast, &context);
        match value {
            Ok(value) => from_val(value.as_ref()).map(Item::into_owned),
            Err(error) => {
                let said = shown(&error);
                // What most often goes wrong, in the words of whoever wrote the mapping.
                let is_blank = said.contains("'add'") && said.contains("Null");
                Err(format!("{} (in {})", if is_blank { "a part of it is blank" } else { &said }, self.source))
            }
        }
    }
}

impl Short {
    fn of(ast: &IdedExpr) -> Option<Self> {
        match &ast.expr {
            Expr::Literal(literal) => Some(Self::Constant(match literal {
                LiteralValue::Boolean(value) => Item::Bool(*value.inner()),
                LiteralValue::Int(value) => Item::Int(*value.inner()),
                LiteralValue::Double(value) => Item::Float(*value.inner()),
                LiteralValue::String(text) => Item::Text(Cow::Owned(text.inner().to_owned())),
                LiteralValue::Null => Item::Null,
                LiteralValue::Bytes(_) | LiteralValue::UInt(_) => return None,
            })),
            Expr::Ident(name) if name == "geometry" => Some(Self::Geometry),
            Expr::Ident(name) if name == "feature_id" => Some(Self::FeatureId),
            Expr::Call(call) if call.func_name == operators::ADD => {
                let [left, right] = call.args.as_slice() else { return None };
                Some(Self::Join(Box::new(Self::of(left)?), Box::new(Self::of(right)?)))
            }
            Expr::Call(call) => {
                if let Some((name, _)) = column(ast) {
                    return Some(Self::Column(name.into()));
                }
                let arguments = call.target.as_deref().into_iter().chain(&call.args);
                let arguments = arguments.map(Self::of).collect::<Option<Vec<_>>>()?;
                Some(Self::Call(Function::find(&call.func_name, arguments.len())?, arguments))
            }
            Expr::Select(_) => column(ast).map(|(name, _)| Self::Column(name.into())),
            _ => None,
        }
    }

    /// `None` where this is not the plain case.
    fn evaluate<'r>(&'r self, settings: &Settings, row: &'r Row) -> Option<Item<'r>> {
        Some(match self {
            Self::Constant(item) => item.borrowed(),
            Self::Column(name) => row.cell(name),
            Self::Geometry => row.geometry(),
            Self::FeatureId => row.feature_id(),
            Self::Join(left, right) => match (left.evaluate(settings, row)?, right.evaluate(settings, row)?) {
                (Item::Text(left), Item::Text(right)) => Item::Text(left + right),
                _ => return None,
            },
            Self::Call(function, arguments) => match arguments.as_slice() {
                [one] => function.call(settings, &[one.evaluate(settings, row)?]).ok()?,
                many => {
                    let items = many.iter().map(|one| one.evaluate(settings, row)).collect::<Option<Vec<_>>>()?;
                    function.call(settings, &items).ok()?
                }
            },
        })
    }
}

/// The column that an expression names: `row.x` or `row["x"]`; and whether it must be there.
fn column(ast: &IdedExpr) -> Option<(&str, bool)> {
    let is_row = |ast: &IdedExpr| matches!(&ast.expr, Expr::Ident(name) if name == "row");
    match &ast.expr {
        Expr::Select(select) if is_row(&select.operand) && !select.test => Some((&select.field, true)),
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }] if is_row(operand) => {
                Some((name.inner(), true))
            }
            _ => None,
        },
        _ => None,
    }
}

fn literal(ast: &IdedExpr) -> Option<&str> {
    match &ast.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// The column of `row.名前`, which the parser of expressions does not read.
fn column_in_script(source: &str) -> Option<&str> {
    let mut rest = source;
    while let Some((_, behind)) = rest.split_once("row.") {
        if behind.starts_with(|c: char| !c.is_ascii()) {
            let end = behind.find(|c: char| !c.is_alphanumeric() && c != '_' && c.is_ascii()).unwrap_or(behind.len());
            return behind.get(..end);
        }
        rest = behind;
    }
    None
}

/// Learns which columns an expression reads, and refuses what it may not do.
#[derive(Default)]
struct Study {
    columns: Vec<(Box<str>, bool)>,
    asks_about: bool,
    bound: BTreeSet<String>,
}

impl Study {
    fn look(&mut self, ast: &IdedExpr, depth: usize) -> Result<(), String> {
        if depth > EXPRESSION_DEPTH_MAX {
            return Err(format!("an expression may be nested {EXPRESSION_DEPTH_MAX} levels deep at most"));
        }
        if let Some((name, needed)) = column(ast) {
            self.columns.push((name.into(), needed));
            return Ok(());
        }
        match &ast.expr {
            Expr::Ident(name) => {
                self.asks_about |= name == "message";
                let known = VARIABLES.contains(&name.as_str()) || name.starts_with('@') || self.bound.contains(name);
                // Names of types are values too: `type(x) == string`.
                let types = ["string", "int", "uint", "double", "bool", "bytes", "list", "map", "null_type", "type"];
                if !known && !types.contains(&name.as_str()) {
                    return Err(format!(
                        "there is no variable {name}; there are row, message, geometry, feature_id and line, \
                         and a text needs quotation marks of its own: '\"{name}\"'"
                    ));
                }
                Ok(())
            }
            Expr::Select(select) => {
                let is_row = matches!(&select.operand.expr, Expr::Ident(name) if name == "row");
                if is_row && select.test {
                    self.columns.push((select.field.as_str().into(), false));
                    return Ok(());
                }
                self.look(&select.operand, depth + 1)
            }
            Expr::Call(call) => {
                if let [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }] =
                    call.args.as_slice()
                    && matches!(call.func_name.as_str(), operators::OPT_INDEX | operators::OPT_SELECT)
                    && matches!(&operand.expr, Expr::Ident(name) if name == "row")
                {
                    self.columns.push((name.inner().into(), false));
                    return Ok(());
                }
                // `"x" in row` asks whether there is such a column.
                if let [IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }, operand] =
                    call.args.as_slice()
                    && call.func_name == operators::IN
                    && matches!(&operand.expr, Expr::Ident(name) if name == "row")
                {
                    self.columns.push((name.inner().into(), false));
                    return Ok(());
                }
                if let [.., from, to] = call.args.as_slice()
                    && call.func_name == "unit"
                    && let (Some(from), Some(to)) = (literal(from), literal(to))
                {
                    crate::unit::convert(1.0, from, to)?;
                }
                // `optional.of(x)` is a call on a name that is no variable.
                let namespace = |target: &IdedExpr| matches!(&target.expr, Expr::Ident(name) if name == "optional");
                for inner in call.target.as_deref().into_iter().filter(|target| !namespace(target)).chain(&call.args) {
                    self.look(inner, depth + 1)?;
                }
                Ok(())
            }
            Expr::List(list) => list.elements.iter().try_for_each(|inner| self.look(inner, depth + 1)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.look(&entry.key, depth + 1)?;
                    self.look(&entry.value, depth + 1)
                }
                EntryExpr::StructField(_) => Err("there are no message types".to_owned()),
            }),
            Expr::Comprehension(loop_) => {
                for name in std::iter::once(&loop_.iter_var).chain(&loop_.iter_var2) {
                    if VARIABLES.contains(&name.as_str()) {
                        return Err(format!("{name} is taken; call the variable of the loop something else"));
                    }
                }
                self.look(&loop_.iter_range, depth + 1)?;
                let new = self.bound.insert(loop_.iter_var.clone());
                let new2 = loop_.iter_var2.as_ref().is_some_and(|name| self.bound.insert(name.clone()));
                for inner in [&loop_.accu_init, &loop_.loop_cond, &loop_.loop_step, &loop_.result] {
                    self.look(inner, depth + 1)?;
                }
                if new {
                    self.bound.remove(&loop_.iter_var);
                }
                if let (true, Some(name)) = (new2, &loop_.iter_var2) {
                    self.bound.remove(name);
                }
                Ok(())
            }
            Expr::Struct(_) => Err("there are no message types".to_owned()),
            Expr::Literal(_) | Expr::Unspecified => Ok(()),
        }
    }
}

/// `row["x"]` becomes `"x" in row ? row["x"] : null`, and `has(row.x)` becomes `"x" in row`: a column that
/// a row lacks is a gap, not an error.
fn ask_before_reading(ast: &mut IdedExpr) {
    let id = ast.id;
    let node = |expr| IdedExpr { id, expr };
    let call =
        |func_name: &str, args| node(Expr::Call(CallExpr { func_name: func_name.to_owned(), target: None, args }));
    let row = || node(Expr::Ident("row".to_owned()));
    let name = |text: &str| node(Expr::Literal(LiteralValue::String(CelString::from(text.to_owned()))));
    if let Some((column, _)) = column(ast) {
        let present = call(operators::IN, vec![name(column), row()]);
        let read = call(operators::INDEX, vec![row(), name(column)]);
        *ast = call(operators::CONDITIONAL, vec![present, read, node(Expr::Literal(LiteralValue::Null))]);
        return;
    }
    match &mut ast.expr {
        Expr::Select(select) => {
            if select.test && matches!(&select.operand.expr, Expr::Ident(name) if name == "row") {
                *ast = call(operators::IN, vec![name(&select.field.clone()), row()]);
                return;
            }
            ask_before_reading(&mut select.operand);
        }
        Expr::Call(inner) => {
            inner.target.as_deref_mut().into_iter().for_each(ask_before_reading);
            inner.args.iter_mut().for_each(ask_before_reading);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(ask_before_reading),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    ask_before_reading(&mut entry.key);
                    ask_before_reading(&mut entry.value);
                }
            }
        }
        Expr::Comprehension(loop_) => {
            for inner in [&mut loop_.iter_range, &mut loop_.loop_step, &mut loop_.result] {
                ask_before_reading(inner);
            }
        }
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Decoder, Encoding, Format};
    use crate::zone::Zone;
    use proptest::prelude::*;

    fn language() -> Language {
        let codes = [("c".into(), [("1".into(), Item::text("one"))].into())].into();
        Language::new(Settings { zone: Some(Zone::parse("Asia/Tokyo").unwrap()), codes }).unwrap()
    }

    fn row(json: &str) -> Row {
        let reader = Box::new(std::io::Cursor::new(json.as_bytes().to_vec()));
        let encoding = Encoding { format: Format::GeoJsonL, delimiter: b',', rows: Arc::default() };
        Decoder::open("row", reader, encoding, false).unwrap().next().unwrap().unwrap().unwrap()
    }

    fn both_ways(source: &str, json: &str) {
        let (language, row) = (language(), row(json));
        let Ok(expression) = language.compile(source) else { return };
        let short = expression.evaluate(&language, &row);
        assert_eq!(short, expression.interpret(&language, &row), "{source} of {json}");
    }

    #[test]
    fn simple_expressions_have_a_short_form() {
        let language = language();
        for source in ["row.x", "row[\"x y\"]", "number(row.x)", "\"urn:\" + row.x", "time(row.x)", "point(row.x, 1)"] {
            assert!(language.compile(source).unwrap().short.is_some(), "{source}");
        }
        assert!(language.compile("row.x == 1").unwrap().short.is_none());
    }

    #[test]
    fn a_column_in_another_script_is_told_how_it_is_written() {
        let why = language().compile("number(row.水位) / 100.0").unwrap_err();
        assert_eq!(why, "a column whose name is no identifier is written row[\"水位\"]");
    }

    fn expressions() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("row.a".to_owned()),
            Just("row[\"b\"]".to_owned()),
            Just("row.none".to_owned()),
            Just("geometry".to_owned()),
            Just("feature_id".to_owned()),
            Just("null".to_owned()),
            Just("true".to_owned()),
            "\"[0-9a-z -]{0,4}\"",
            "-?[0-9]{1,4}",
            "[0-9]{1,3}\\.[0-9]{1,3}",
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
                (0..function::FUNCTIONS.len(), proptest::collection::vec(inner.clone(), 1..4)).prop_map(
                    |(which, arguments)| format!("{}({})", function::FUNCTIONS[which].0, arguments.join(", "))
                ),
                inner.prop_map(|a| format!("{a}.trim()")),
                inner_code(),
            ]
        })
    }

    fn inner_code() -> impl Strategy<Value = String> {
        "code\\(\"c\", (row\\.a|row\\.b|1|\"1\")\\)"
    }

    fn cells() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("null".to_owned()),
            Just("\"\"".to_owned()),
            Just("\"　\"".to_owned()),
            "\"[0-9.-]{0,6}\"",
            "\"2023-0[0-9]-1[0-9]T1[0-9]:00\"",
            "\"[a-z１-９]{0,6}\"",
            "[1-9][0-9]{0,8}",
            "[1-9]\\.[0-9]{1,5}",
            Just("[1,\"x\"]".to_owned()),
            Just("{\"k\":1.5}".to_owned()),
            Just("true".to_owned()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_short_form_means_what_the_interpreter_means(
            source in expressions(), a in cells(), b in cells(), id in cells(),
        ) {
            let geometry = "{\"type\":\"Point\",\"coordinates\":[1,2]}";
            both_ways(&source, &format!(
                "{{\"type\":\"Feature\",\"id\":{id},\"geometry\":{geometry},\"properties\":{{\"a\":{a},\"b\":{b}}}}}"
            ));
        }
    }
}
