//! What a template consists of.

use std::collections::BTreeMap;

use super::literals::Number;

/// All that one text defines: itself under the empty name, and templates under names of their own.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) templates: BTreeMap<String, Vec<Node>>,
}

/// A piece of output, or a decision about it.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
    /// Another template, and what is `.` there.
    Template(String, Option<Pipe>),
}

/// A choice between two lists.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each of which takes what the one before came to as its last argument.
#[derive(Debug)]
pub(super) struct Pipe {
    /// Variables that take the value.
    pub(super) variables: Vec<String>,
    /// Whether they are there already.
    pub(super) is_assignment: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand and what it is given.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) operands: Vec<Operand>,
}

/// Something that has a value.
#[derive(Debug)]
pub(super) enum Operand {
    Nil,
    Dot,
    Bool(bool),
    Text(String),
    /// A number and how it is written.
    Number(Number, String),
    /// Fields of `.`.
    Field(Vec<String>),
    /// A variable and fields of it.
    Variable(String, Vec<String>),
    Function(String),
    Pipe(Pipe),
    /// Fields of something else.
    Chain(Box<Operand>, Vec<String>),
}
