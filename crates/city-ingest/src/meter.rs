//! A bound on what one expression may cost: every copy and every turn of a loop is paid from a budget.
//!
//! CEL always ends, but nested loops and doubled lists may end after the sun does. Calls to `@spend` and
//! `@range`, names that no source text can hold, are put around what makes or repeats values.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};
use cel::common::types::{CelBytes, CelList, CelMap, CelString, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Context, ExecutionError, FunctionContext};

/// What the evaluation of one expression for one row may spend, in bytes copied; the row is rejected beyond.
pub const EVALUATION_BUDGET: usize = 1024 * 1024;
/// What one turn of a loop costs.
const TURN_COST: usize = 32;

const SPEND: &str = "@spend";
const RANGE: &str = "@range";
pub(crate) const METER: &str = "@meter";

static METER_TYPE: Type = Type::new_unspecified_type("meter");

/// What is left of the budget.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Arc<AtomicUsize>);

impl Meter {
    pub(crate) fn full() -> Self {
        Self(Arc::new(AtomicUsize::new(EVALUATION_BUDGET)))
    }

    pub(crate) fn spend(&self, cost: usize) -> Result<(), ExecutionError> {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(cost), Ordering::Relaxed);
        if cost <= left {
            return Ok(());
        }
        let message = format!("the expression costs more than {EVALUATION_BUDGET} bytes and loop turns; simplify it");
        Err(ExecutionError::function_error("mapping", message))
    }

    fn of(context: &Context, cost: usize) -> Result<(), ExecutionError> {
        match context.get_variable(METER) {
            Some(value) => value.downcast_ref::<Meter>().map_or(Ok(()), |meter| meter.spend(cost)),
            None => Ok(()),
        }
    }
}

impl Val for Meter {
    fn get_type(&self) -> &Type {
        &METER_TYPE
    }
    fn cel_type() -> &'static Type {
        &METER_TYPE
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
impl StaticVal for Meter {}

/// Bytes that a value stands for, roughly.
pub(crate) fn weight(value: &dyn Val) -> usize {
    if let Some(text) = value.downcast_ref::<CelString>() {
        return 1 + text.inner().len();
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        return 1 + bytes.inner().len();
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        return 1 + list.inner().iter().map(|item| weight(item.as_ref())).sum::<usize>();
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        return 1 + map.inner().values().map(|item| 8 + weight(item.as_ref())).sum::<usize>();
    }
    1
}

type CelFunction = Box<
    dyn for<'context, 'call> Fn(
            &mut FunctionContext<'context, 'call>,
        ) -> Result<CowVal<'context, 'call>, ExecutionError>
        + Send
        + Sync,
>;

pub(crate) fn add_functions(context: &mut Context<'static, 'static>) -> Result<(), cel::DeclarationError> {
    let spend: CelFunction = Box::new(|call| {
        let value = call.args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
        Meter::of(call.ptx, weight(value.as_ref()))?;
        Ok(value)
    });
    let range: CelFunction = Box::new(|call| {
        let value = call.args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
        let turns = value.as_sizer().map_or(1, |sizer| usize::try_from(*sizer.size().inner()).unwrap_or(usize::MAX));
        Meter::of(call.ptx, turns.saturating_mul(TURN_COST))?;
        Ok(value)
    });
    context.add_function(SPEND, spend)?;
    context.add_function(RANGE, range)
}

/// Puts the meter into an expression.
pub(crate) fn put_in(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            call.target.as_deref_mut().into_iter().for_each(put_in);
            call.args.iter_mut().for_each(put_in);
            // `@result + [x]` is how CEL writes map and filter; the x has its own meter.
            let accumulates =
                matches!(call.args.first().map(|arg| &arg.expr), Some(Expr::Ident(name)) if name == "@result");
            if call.func_name == operators::ADD && !accumulates {
                wrap(expression, SPEND);
            }
        }
        Expr::Select(select) => put_in(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().for_each(|element| {
            put_in(element);
            wrap(element, SPEND);
        }),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    put_in(&mut entry.key);
                    put_in(&mut entry.value);
                    wrap(&mut entry.value, SPEND);
                }
            }
        }
        Expr::Comprehension(comprehension) => {
            put_in(&mut comprehension.iter_range);
            wrap(&mut comprehension.iter_range, RANGE);
            put_in(&mut comprehension.loop_step);
            put_in(&mut comprehension.result);
        }
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn wrap(expression: &mut IdedExpr, function: &str) {
    // Literals cannot grow.
    if matches!(expression.expr, Expr::Literal(_)) {
        return;
    }
    let inner = std::mem::take(expression);
    expression.id = inner.id;
    expression.expr = Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args: vec![inner] });
}
