//! Comparisons as Go makes them: a float and an integer cannot be compared, and nothing is converted.

use std::cmp::Ordering;

use gtmpl_ng::{FuncError, NumberKind, Value};

use super::functions::{Outcome, engine, is_zero, wrong};

/// What can be compared with its like.
enum Basic<'a> {
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(&'a str),
}

impl Basic<'_> {
    fn of(value: &Value) -> Option<Basic<'_>> {
        Some(match value {
            Value::NoValue => Basic::Text(""),
            Value::Bool(value) => Basic::Bool(*value),
            Value::String(text) => Basic::Text(text),
            Value::Number(_) if is_zero(value) => Basic::Float(0.0),
            Value::Number(number) => match number.kind() {
                NumberKind::Unsigned(number) => Basic::Integer(number.into()),
                NumberKind::Signed(number) => Basic::Integer(number.into()),
                NumberKind::Float(number) => Basic::Float(number),
            },
            _ => return None,
        })
    }
}

fn incompatible() -> FuncError {
    wrong("incompatible types for comparison")
}

/// Two values of one kind; `None` if either is of a kind that only the engine knows.
fn pair<'a>(values: &'a [Value], other: &'a Value) -> Option<(Basic<'a>, Basic<'a>)> {
    Some((Basic::of(values.first()?)?, Basic::of(other)?))
}

/// Whether the first equals any of the others.
pub(super) fn eq(values: &[Value]) -> Outcome {
    let pairs: Option<Vec<_>> = values.iter().skip(1).map(|other| pair(values, other)).collect();
    let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) else { return engine("eq", values) };
    for pair in pairs {
        let is_equal = match pair {
            (Basic::Bool(left), Basic::Bool(right)) => left == right,
            (Basic::Integer(left), Basic::Integer(right)) => left == right,
            (Basic::Float(left), Basic::Float(right)) => left == right,
            (Basic::Text(left), Basic::Text(right)) => left == right,
            _ => return Err(incompatible()),
        };
        if is_equal {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}

pub(super) fn ne(values: &[Value]) -> Outcome {
    if values.len() != 2 {
        return engine("ne", values);
    }
    Ok(Value::from(eq(values)? == Value::from(false)))
}

pub(super) fn lt(values: &[Value]) -> Outcome {
    ordered("lt", values, |order| order == Some(Ordering::Less))
}

pub(super) fn le(values: &[Value]) -> Outcome {
    ordered("le", values, |order| matches!(order, Some(Ordering::Less | Ordering::Equal)))
}

/// What is not less or equal, so what cannot be ordered is greater.
pub(super) fn gt(values: &[Value]) -> Outcome {
    ordered("gt", values, |order| !matches!(order, Some(Ordering::Less | Ordering::Equal)))
}

/// What is not less.
pub(super) fn ge(values: &[Value]) -> Outcome {
    ordered("ge", values, |order| order != Some(Ordering::Less))
}

fn ordered(name: &str, values: &[Value], holds: fn(Option<Ordering>) -> bool) -> Outcome {
    let [_, other] = values else { return engine(name, values) };
    let Some(pair) = pair(values, other) else { return engine(name, values) };
    let order = match pair {
        (Basic::Integer(left), Basic::Integer(right)) => Some(left.cmp(&right)),
        (Basic::Float(left), Basic::Float(right)) => left.partial_cmp(&right),
        (Basic::Text(left), Basic::Text(right)) => Some(left.cmp(right)),
        (Basic::Bool(_), Basic::Bool(_)) => return Err(wrong("invalid type for comparison")),
        _ => return Err(incompatible()),
    };
    Ok(Value::from(holds(order)))
}
