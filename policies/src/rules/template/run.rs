//! A tree carried out, by the rules of Go's `text/template`.

use std::ops::ControlFlow;

use super::functions;
use super::literals::Number;
use super::scene::Scene;
use super::tree::{Branch, Command, Node, Operand, Pipe, Tree};
use super::value::{Failure, Kind, Value};
use super::{times, verbs};

/// How deep templates can name each other.
const MOST_TEMPLATES: usize = 100;

/// How long a text can become, in bytes.
const LONGEST: usize = 1 << 24;

/// How many steps a template may take. A step is a node, an operand, an element of a range, or 64 bytes of a text that is handed on.
const MOST_STEPS: usize = 1_000_000;

/// What a query or a regular expression, which is read anew each time, counts for.
const STEPS_OF_READING: usize = 100;

/// What a tree writes about a value.
pub(super) fn fill(tree: &Tree, dot: Value, scene: &Scene) -> Result<String, Failure> {
    let mut run = Run { tree, scene, variables: vec![("$".to_owned(), dot.clone())], out: String::new(), depth: 0, steps: 0 };
    if let Some(body) = tree.templates.get("") {
        let _ = run.list(body, &dot)?;
    }
    Ok(run.out)
}

struct Run<'t> {
    tree: &'t Tree,
    scene: &'t Scene,
    variables: Vec<(String, Value)>,
    out: String,
    depth: usize,
    steps: usize,
}

/// What leaves a range early.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leave {
    Break,
    Continue,
}

type Flow = ControlFlow<Leave>;

impl Run<'_> {
    fn list(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Failure> {
        for node in nodes {
            self.step(1)?;
            let flow = match node {
                Node::Text(text) => {
                    self.write(text)?;
                    Flow::Continue(())
                }
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.write(&verbs::printed(&value)?)?;
                    }
                    Flow::Continue(())
                }
                Node::If(branch) => self.branch(branch, dot, false)?,
                Node::With(branch) => self.branch(branch, dot, true)?,
                Node::Range(branch) => self.range(branch, dot)?,
                Node::Break => Flow::Break(Leave::Break),
                Node::Continue => Flow::Break(Leave::Continue),
                Node::Template(name, pipe) => self.template(name, pipe.as_ref(), dot)?,
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(Flow::Continue(()))
    }

    /// Counts what is done, so that no template takes for ever.
    fn step(&mut self, count: usize) -> Result<(), Failure> {
        self.steps += count;
        if self.steps > MOST_STEPS { Err(format!("more than {MOST_STEPS} steps")) } else { Ok(()) }
    }

    /// Counts a value that is handed on.
    fn handed(&mut self, value: Value) -> Result<Value, Failure> {
        self.step(1 + value.text_len() / 64)?;
        Ok(value)
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.out.push_str(text);
        if self.out.len() > LONGEST { Err(too_long()) } else { Ok(()) }
    }

    fn branch(&mut self, branch: &Branch, dot: &Value, moves_dot: bool) -> Result<Flow, Failure> {
        let known = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let flow = if !value.is_true() {
            self.list(&branch.otherwise, dot)
        } else {
            self.list(&branch.body, if moves_dot { &value } else { dot })
        };
        self.variables.truncate(known);
        flow
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<Flow, Failure> {
        let known = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let text = |text: &String| Value::Text(text.clone());
        let elements: Vec<(Value, Value)> = match &value {
            Value::Nil => Vec::new(),
            Value::Labels(labels) => labels.iter().map(|(name, value)| (text(name), text(value))).collect(),
            Value::Args(args) => args.iter().map(|(name, value)| (text(name), value.clone())).collect(),
            Value::Samples(samples) => {
                (0..).zip(samples.iter()).map(|(index, sample)| (Value::Int(index), Value::Sample(sample.clone()))).collect()
            }
            other => return Err(format!("range can't iterate over {}", verbs::printed(other)?)),
        };
        if elements.is_empty() {
            let flow = self.list(&branch.otherwise, dot);
            self.variables.truncate(known);
            return flow;
        }
        let declared = self.variables.len();
        for (key, element) in elements {
            self.step(1)?;
            match branch.pipe.variables.as_slice() {
                [one] => self.set_ranged(branch, one, element.clone())?,
                [index, one] => {
                    self.set_ranged(branch, index, key)?;
                    self.set_ranged(branch, one, element.clone())?;
                }
                _ => {}
            }
            let flow = self.list(&branch.body, &element)?;
            self.variables.truncate(declared);
            if flow == Flow::Break(Leave::Break) {
                break;
            }
        }
        self.variables.truncate(known);
        Ok(Flow::Continue(()))
    }

    fn set_ranged(&mut self, branch: &Branch, name: &str, value: Value) -> Result<(), Failure> {
        if branch.pipe.is_assignment {
            return self.set(name, value);
        }
        self.variables.push((name.to_owned(), value));
        Ok(())
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), Failure> {
        let known = self.variables.iter_mut().rfind(|(known, _)| known == name);
        known.ok_or_else(|| format!("undefined variable: {name}"))?.1 = value;
        Ok(())
    }

    fn template(&mut self, name: &str, pipe: Option<&Pipe>, dot: &Value) -> Result<Flow, Failure> {
        let tree = self.tree;
        let body = tree.templates.get(name).filter(|_| !name.is_empty()).ok_or_else(|| format!("template \"{name}\" not defined"))?;
        if self.depth == MOST_TEMPLATES {
            return Err(format!("more than {MOST_TEMPLATES} templates within each other"));
        }
        let dot = match pipe {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Value::Nil,
        };
        let variables = std::mem::replace(&mut self.variables, vec![("$".to_owned(), dot.clone())]);
        self.depth += 1;
        // A range does not reach into a template that it names.
        let _ = self.list(body, &dot)?;
        self.depth -= 1;
        self.variables = variables;
        Ok(Flow::Continue(()))
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, Failure> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, value, dot)?);
        }
        let value = value.unwrap_or(Value::Nil);
        // A range gives its variables the elements.
        for name in &pipe.variables {
            if pipe.is_assignment {
                self.set(name, value.clone())?;
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, command: &Command, last: Option<Value>, dot: &Value) -> Result<Value, Failure> {
        let Some((first, arguments)) = command.operands.split_first() else { return Ok(Value::Nil) };
        match first {
            Operand::Function(name) => return self.call(name, arguments, last, dot),
            Operand::Field(names) => return self.fields(dot.clone(), names, (arguments, last), dot),
            Operand::Variable(name, names) if !names.is_empty() => {
                return self.fields(self.variable(name), names, (arguments, last), dot);
            }
            Operand::Chain(whole, names) => {
                let receiver = self.operand(whole, dot)?;
                return self.fields(receiver, names, (arguments, last), dot);
            }
            _ => {}
        }
        if !arguments.is_empty() || last.is_some() {
            return Err("can't give argument to non-function".to_owned());
        }
        match first {
            Operand::Nil => Err("nil is not a command".to_owned()),
            other => self.operand(other, dot),
        }
    }

    /// What an operand comes to where it is given something.
    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, Failure> {
        let value = match operand {
            Operand::Nil => Value::Nil,
            Operand::Dot => dot.clone(),
            Operand::Bool(value) => Value::Bool(*value),
            Operand::Text(text) => Value::Text(text.clone()),
            Operand::Number(Number::Int(number), _) => Value::Int(*number),
            Operand::Number(Number::Float(number), _) => Value::Float(*number),
            Operand::Number(Number::TooLarge, literal) => return Err(format!("{literal} overflows int")),
            Operand::Field(names) => self.fields(dot.clone(), names, (&[], None), dot)?,
            Operand::Variable(name, names) => self.fields(self.variable(name), names, (&[], None), dot)?,
            Operand::Function(name) => self.call(name, &[], None, dot)?,
            Operand::Pipe(pipe) => self.pipe(pipe, dot)?,
            Operand::Chain(whole, names) => {
                let receiver = self.operand(whole, dot)?;
                self.fields(receiver, names, (&[], None), dot)?
            }
        };
        self.handed(value)
    }

    fn variable(&self, name: &str) -> Value {
        self.variables.iter().rfind(|(known, _)| known == name).map_or(Value::Nil, |(_, value)| value.clone())
    }

    /// Fields of fields; only the last can be a method that is given something.
    fn fields(
        &mut self,
        mut receiver: Value,
        names: &[String],
        (arguments, last): (&[Operand], Option<Value>),
        dot: &Value,
    ) -> Result<Value, Failure> {
        let Some((method, before)) = names.split_last() else { return Ok(receiver) };
        for name in before {
            let next = if is_moment(&receiver) { times::method(&receiver, name, &[])? } else { receiver.field(name)? };
            if matches!(next, Value::Nil) && !matches!(receiver, Value::Nil) {
                return Err(format!("nil pointer evaluating interface {{}}.{method}"));
            }
            receiver = next;
        }
        let mut given = Vec::new();
        for argument in arguments {
            given.push(self.operand(argument, dot)?);
        }
        given.extend(last);
        if is_moment(&receiver) {
            return times::method(&receiver, method, &given);
        }
        if !given.is_empty() && !matches!(receiver, Value::Nil) {
            receiver.field(method)?;
            return Err(format!("{method} is not a method but has arguments"));
        }
        receiver.field(method)
    }

    fn call(&mut self, name: &str, arguments: &[Operand], last: Option<Value>, dot: &Value) -> Result<Value, Failure> {
        let function = functions::named(name).ok_or_else(|| format!("\"{name}\" is not a defined function"))?;
        function.check_count(arguments.len() + usize::from(last.is_some()))?;
        self.step(if matches!(name, "query" | "match" | "reReplaceAll") { STEPS_OF_READING } else { 1 })?;
        let mut given = Vec::new();
        for (index, argument) in arguments.iter().enumerate() {
            let value = function.kind(index).admit(self.operand(argument, dot)?)?;
            // What decides is enough.
            if matches!(name, "and" | "or") && value.is_true() == (name == "or") {
                return Ok(value);
            }
            given.push(value);
        }
        if let Some(last) = last {
            let kind: Kind = function.kind(given.len());
            given.push(kind.admit(last)?);
        }
        let value = (function.call)(&given, self.scene)?;
        match &value {
            Value::Text(text) if text.len() > LONGEST => Err(too_long()),
            _ => self.handed(value),
        }
    }
}

fn too_long() -> Failure {
    format!("a text longer than {LONGEST} bytes")
}

fn is_moment(value: &Value) -> bool {
    matches!(value, Value::Time(_) | Value::Duration(_))
}
