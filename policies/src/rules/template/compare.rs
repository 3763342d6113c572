//! Comparisons as Go makes them: a float and an integer cannot be compared, and nothing is converted.

use std::cmp::Ordering;
use std::rc::Rc;

use super::value::{Failure, Value};

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
            Value::Bool(value) => Basic::Bool(*value),
            Value::Text(text) | Value::Html(text) => Basic::Text(text),
            Value::Int(number) => Basic::Integer((*number).into()),
            Value::Byte(number) => Basic::Integer((*number).into()),
            Value::Float(number) => Basic::Float(*number),
            _ => return None,
        })
    }
}

fn incompatible() -> Failure {
    "incompatible types for comparison".to_owned()
}

/// Whether the first equals any of the others.
pub(super) fn eq(values: &[Value]) -> Result<bool, Failure> {
    let Some((first, others)) = values.split_first() else { return Err("missing argument for comparison".to_owned()) };
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if is_equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Maps, lists and what holds them are not comparable.
fn check_comparable(value: &Value) -> Result<(), Failure> {
    match value {
        Value::Labels(_) | Value::Args(_) | Value::Samples(_) | Value::Alert(_) => Err(format!("uncomparable type {}", value.type_name())),
        _ => Ok(()),
    }
}

fn is_equal(first: &Value, other: &Value) -> Result<bool, Failure> {
    Ok(match (Basic::of(first), Basic::of(other)) {
        (Some(Basic::Bool(left)), Some(Basic::Bool(right))) => left == right,
        (Some(Basic::Integer(left)), Some(Basic::Integer(right))) => left == right,
        (Some(Basic::Float(left)), Some(Basic::Float(right))) => left == right,
        (Some(Basic::Text(left)), Some(Basic::Text(right))) => left == right,
        (None, None) => match (first, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Nil, _) | (_, Value::Nil) => false,
            _ => {
                check_comparable(first)?;
                check_comparable(other)?;
                match (first, other) {
                    (Value::Sample(left), Value::Sample(right)) => Rc::ptr_eq(left, right),
                    // Each call makes another one, and it is these that Go compares.
                    (Value::Time(_), Value::Time(_)) | (Value::Duration(_), Value::Duration(_)) => {
                        return Err(format!("two of {} are compared by where they are", first.type_name()));
                    }
                    _ => false,
                }
            }
        },
        _ if matches!(first, Value::Nil) || matches!(other, Value::Nil) => false,
        _ => return Err(incompatible()),
    })
}

pub(super) fn ne(values: &[Value]) -> Result<bool, Failure> {
    Ok(!eq(values)?)
}

pub(super) fn lt(values: &[Value]) -> Result<bool, Failure> {
    ordered(values).map(|order| order == Some(Ordering::Less))
}

pub(super) fn le(values: &[Value]) -> Result<bool, Failure> {
    ordered(values).map(|order| matches!(order, Some(Ordering::Less | Ordering::Equal)))
}

/// What is not less or equal, so what cannot be ordered is greater.
pub(super) fn gt(values: &[Value]) -> Result<bool, Failure> {
    le(values).map(|holds| !holds)
}

/// What is not less.
pub(super) fn ge(values: &[Value]) -> Result<bool, Failure> {
    lt(values).map(|holds| !holds)
}

fn ordered(values: &[Value]) -> Result<Option<Ordering>, Failure> {
    let invalid = || "invalid type for comparison".to_owned();
    let [left, right] = values else { return Err(invalid()) };
    let pair = (Basic::of(left).ok_or_else(invalid)?, Basic::of(right).ok_or_else(invalid)?);
    match pair {
        (Basic::Integer(left), Basic::Integer(right)) => Ok(Some(left.cmp(&right))),
        (Basic::Float(left), Basic::Float(right)) => Ok(left.partial_cmp(&right)),
        (Basic::Text(left), Basic::Text(right)) => Ok(Some(left.cmp(right))),
        (Basic::Bool(_), Basic::Bool(_)) => Err(invalid()),
        _ => Err(incompatible()),
    }
}
