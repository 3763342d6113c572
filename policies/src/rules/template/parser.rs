//! Tokens made a tree, by the rules of Go's `text/template/parse`.

use super::fault::Fault;
use super::lexer::{self, Token};
use super::literals::{self, Number};
use super::tree::{Branch, Command, Node, Operand, Pipe, Tree};

/// At most so many parentheses within each other, and so many blocks, so that no text exhausts the stack.
const MOST_PARENTHESES: usize = 32;
const MOST_BLOCKS: usize = 100;

/// The tree of a text; `has_function` tells which functions there are.
pub(super) fn parse(text: &str, has_function: fn(&str) -> bool) -> Result<Tree, Fault> {
    let mut parser = Parser {
        tokens: lexer::tokens(text)?,
        at: 0,
        has_function,
        tree: Tree::default(),
        variables: vec!["$".to_owned()],
        ranges: 0,
        blocks: 0,
        parentheses: 0,
    };
    let body = parser.top()?;
    parser.define(String::new(), body)?;
    Ok(parser.tree)
}

struct Parser {
    tokens: Vec<Token>,
    /// The next token.
    at: usize,
    has_function: fn(&str) -> bool,
    tree: Tree,
    /// Variables that can be named here.
    variables: Vec<String>,
    /// Ranges, blocks and parentheses around.
    ranges: usize,
    blocks: usize,
    parentheses: usize,
}

/// How a list of nodes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    End,
    Else,
}

/// What an action opens, if it opens anything.
enum Item {
    Node(Node),
    Ending(Ending),
    Definition,
}

impl Parser {
    fn top(&mut self) -> Result<Vec<Node>, Fault> {
        let mut nodes = Vec::new();
        while *self.peek() != Token::End {
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Definition => self.definition()?,
                Item::Ending(Ending::End) => return Err(Fault::go("unexpected {{end}}")),
                Item::Ending(Ending::Else) => return Err(Fault::go("unexpected {{else}}")),
            }
        }
        Ok(nodes)
    }

    /// Nodes until an `end` or an `else`.
    fn list(&mut self) -> Result<(Vec<Node>, Ending), Fault> {
        let mut nodes = Vec::new();
        while *self.peek() != Token::End {
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(ending) => return Ok((nodes, ending)),
                Item::Definition => return Err(Fault::go("unexpected {{define}}")),
            }
        }
        Err(Fault::go("unexpected EOF"))
    }

    fn item(&mut self) -> Result<Item, Fault> {
        if let Token::Text(text) = self.peek().clone() {
            self.next();
            return Ok(Item::Node(Node::Text(text)));
        }
        self.expect(&Token::Left, "input")?;
        let Token::Word(word) = self.peek_beyond_space().clone() else { return self.output() };
        let is_control =
            matches!(word.as_str(), "if" | "with" | "range" | "else" | "end" | "template" | "block" | "define" | "break" | "continue");
        if !is_control {
            return self.output();
        }
        self.next();
        Ok(Item::Node(match word.as_str() {
            "if" => Node::If(self.branch("if")?),
            "with" => Node::With(self.branch("with")?),
            "range" => Node::Range(self.branch("range")?),
            "template" => self.template()?,
            "block" => self.block()?,
            "break" | "continue" => self.jump(&word)?,
            "define" => return Ok(Item::Definition),
            "end" => {
                self.expect(&Token::Right, "end")?;
                return Ok(Item::Ending(Ending::End));
            }
            _ => {
                if !matches!(self.peek_beyond_space(), Token::Word(word) if word == "if" || word == "with") {
                    self.expect(&Token::Right, "else")?;
                }
                return Ok(Item::Ending(Ending::Else));
            }
        }))
    }

    fn output(&mut self) -> Result<Item, Fault> {
        let pipe = self.pipeline("command", &Token::Right)?;
        if pipe.variables.is_empty() && writes_addresses(&pipe) {
            return Err(Fault::ours("the result of a query is written whole, as addresses in memory"));
        }
        Ok(Item::Node(Node::Action(pipe)))
    }

    fn branch(&mut self, context: &str) -> Result<Branch, Fault> {
        self.blocks += 1;
        if self.blocks > MOST_BLOCKS {
            return Err(Fault::ours(format!("more than {MOST_BLOCKS} blocks within each other")));
        }
        let known = self.variables.len();
        let pipe = self.pipeline(context, &Token::Right)?;
        self.ranges += usize::from(context == "range");
        let (body, ending) = self.list()?;
        self.ranges -= usize::from(context == "range");
        let otherwise = match ending {
            Ending::End => Vec::new(),
            Ending::Else => self.otherwise(context)?,
        };
        self.variables.truncate(known);
        self.blocks -= 1;
        Ok(Branch { pipe, body, otherwise })
    }

    /// What follows an `else`.
    fn otherwise(&mut self, context: &str) -> Result<Vec<Node>, Fault> {
        match self.peek_beyond_space().clone() {
            // One `end` ends both.
            Token::Word(word) if word == context => {
                self.next();
                let branch = self.branch(context)?;
                return Ok(vec![if context == "if" { Node::If(branch) } else { Node::With(branch) }]);
            }
            Token::Word(word) => return Err(Fault::go(format!("unexpected {word} after else of {context}"))),
            _ => {}
        }
        match self.list()? {
            (nodes, Ending::End) => Ok(nodes),
            (_, Ending::Else) => Err(Fault::go("expected end; found {{else}}")),
        }
    }

    fn jump(&mut self, word: &str) -> Result<Node, Fault> {
        self.expect(&Token::Right, word)?;
        if self.ranges == 0 {
            return Err(Fault::go(format!("{{{{{word}}}}} outside {{{{range}}}}")));
        }
        Ok(if word == "break" { Node::Break } else { Node::Continue })
    }

    fn template(&mut self) -> Result<Node, Fault> {
        let name = self.name("template clause")?;
        let pipe = if *self.peek_beyond_space() == Token::Right {
            self.next();
            None
        } else {
            Some(self.pipeline("template clause", &Token::Right)?)
        };
        Ok(Node::Template(name, pipe))
    }

    fn block(&mut self) -> Result<Node, Fault> {
        let name = self.name("block clause")?;
        let pipe = self.pipeline("block clause", &Token::Right)?;
        self.named_body(name.clone())?;
        Ok(Node::Template(name, Some(pipe)))
    }

    fn definition(&mut self) -> Result<(), Fault> {
        let name = self.name("define clause")?;
        self.expect(&Token::Right, "define clause")?;
        self.named_body(name)
    }

    /// The body of a template with a name of its own; it knows no variables of what is around it.
    fn named_body(&mut self, name: String) -> Result<(), Fault> {
        self.blocks += 1;
        if self.blocks > MOST_BLOCKS {
            return Err(Fault::ours(format!("more than {MOST_BLOCKS} blocks within each other")));
        }
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (body, ending) = self.list()?;
        if ending == Ending::Else {
            return Err(Fault::go("unexpected {{else}} in define clause"));
        }
        self.variables = variables;
        self.ranges = ranges;
        self.blocks -= 1;
        self.define(name, body)
    }

    /// Keeps a template. One that writes nothing replaces none and is replaced by any.
    fn define(&mut self, name: String, body: Vec<Node>) -> Result<(), Fault> {
        match self.tree.templates.get(&name) {
            Some(known) if !is_empty(known) => {
                if is_empty(&body) {
                    return Ok(());
                }
                Err(Fault::go(format!("multiple definition of template \"{name}\"")))
            }
            _ => {
                self.tree.templates.insert(name, body);
                Ok(())
            }
        }
    }

    fn name(&mut self, context: &str) -> Result<String, Fault> {
        self.peek_beyond_space();
        match self.next() {
            Token::Quoted(literal) => literals::text(&literal),
            other => Err(unexpected(&other, context)),
        }
    }

    fn pipeline(&mut self, context: &str, end: &Token) -> Result<Pipe, Fault> {
        let (variables, is_assignment) = self.declaration(context)?;
        let mut commands = Vec::new();
        loop {
            let next = self.peek_beyond_space().clone();
            if next == *end {
                self.next();
                break;
            }
            if !begins_operand(&next) {
                return Err(unexpected(&next, context));
            }
            commands.push(self.command()?);
        }
        if commands.is_empty() {
            return Err(Fault::go(format!("missing value for {context}")));
        }
        let is_constant = |command: &Command| {
            matches!(
                command.operands.first(),
                Some(Operand::Bool(_) | Operand::Dot | Operand::Nil | Operand::Number(..) | Operand::Text(_))
            )
        };
        if let Some(at) = commands.iter().skip(1).position(is_constant) {
            return Err(Fault::go(format!("non executable command in pipeline stage {}", at + 2)));
        }
        Ok(Pipe { variables, is_assignment, commands })
    }

    /// `$x :=`, `$x =`, or in a range `$i, $x :=`.
    fn declaration(&mut self, context: &str) -> Result<(Vec<String>, bool), Fault> {
        let mut variables = Vec::new();
        loop {
            // What follows decides whether a variable is declared, so the tokens are looked at before any is taken.
            self.peek_beyond_space();
            let Token::Variable(name) = self.peek().clone() else { return Ok((variables, false)) };
            let after = self.tokens.iter().skip(self.at + 1).position(|token| *token != Token::Space).map(|skipped| self.at + 1 + skipped);
            let next = after.and_then(|after| self.tokens.get(after)).cloned();
            match next {
                Some(Token::Assign | Token::Declare) => {
                    variables.push(name.clone());
                    self.variables.push(name);
                    self.at = after.map_or(self.at, |after| after + 1);
                    return Ok((variables, next == Some(Token::Assign)));
                }
                Some(Token::Comma) => {
                    variables.push(name.clone());
                    self.variables.push(name);
                    self.at = after.map_or(self.at, |after| after + 1);
                    if context != "range" || variables.len() > 1 {
                        return Err(Fault::go(format!("too many declarations in {context}")));
                    }
                    if !matches!(self.peek_beyond_space(), Token::Variable(_) | Token::Right | Token::Close) {
                        return Err(Fault::go("range can only initialize variables"));
                    }
                }
                _ => return Ok((variables, false)),
            }
        }
    }

    fn command(&mut self) -> Result<Command, Fault> {
        let mut operands = Vec::new();
        loop {
            self.peek_beyond_space();
            operands.extend(self.operand()?);
            match self.peek() {
                Token::Space => {}
                Token::Right | Token::Close => break,
                Token::Pipe => {
                    self.next();
                    break;
                }
                other => return Err(unexpected(other, "operand")),
            }
        }
        if operands.is_empty() { Err(Fault::go("empty command")) } else { Ok(Command { operands }) }
    }

    /// A term with the fields behind it.
    fn operand(&mut self) -> Result<Option<Operand>, Fault> {
        let Some(term) = self.term()? else { return Ok(None) };
        let mut fields = Vec::new();
        while let Token::Field(name) = self.peek().clone() {
            self.next();
            fields.push(name);
        }
        if fields.is_empty() {
            return Ok(Some(term));
        }
        Ok(Some(match term {
            Operand::Field(mut names) => {
                names.extend(fields);
                Operand::Field(names)
            }
            Operand::Variable(variable, mut names) => {
                names.extend(fields);
                Operand::Variable(variable, names)
            }
            Operand::Function(_) | Operand::Pipe(_) => Operand::Chain(Box::new(term), fields),
            _ => return Err(Fault::go("unexpected . after a constant")),
        }))
    }

    fn term(&mut self) -> Result<Option<Operand>, Fault> {
        let token = self.peek().clone();
        let term = match &token {
            Token::Word(word) => match word.as_str() {
                "true" | "false" => Operand::Bool(word == "true"),
                "nil" => Operand::Nil,
                "if" | "with" | "range" | "else" | "end" | "template" | "block" | "define" | "break" | "continue" => return Ok(None),
                function if (self.has_function)(function) => Operand::Function(word.clone()),
                unknown => return Err(Fault::go(format!("function {unknown} not defined"))),
            },
            Token::Dot => Operand::Dot,
            Token::Variable(name) if self.variables.contains(name) => Operand::Variable(name.clone(), Vec::new()),
            Token::Variable(name) => return Err(Fault::go(format!("undefined variable {name}"))),
            Token::Field(name) => Operand::Field(vec![name.clone()]),
            Token::Character(literal) => Operand::Number(Number::Int(literals::character(literal)?), literal.clone()),
            Token::Number(literal) => Operand::Number(literals::number(literal)?, literal.clone()),
            Token::Quoted(literal) => Operand::Text(literals::text(literal)?),
            Token::Open => {
                self.next();
                return self.parenthesized().map(Some);
            }
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(term))
    }

    fn parenthesized(&mut self) -> Result<Operand, Fault> {
        self.parentheses += 1;
        if self.parentheses > MOST_PARENTHESES {
            return Err(Fault::ours(format!("more than {MOST_PARENTHESES} parentheses within each other")));
        }
        let pipe = self.pipeline("parenthesized pipeline", &Token::Close)?;
        self.parentheses -= 1;
        Ok(Operand::Pipe(pipe))
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn peek_beyond_space(&mut self) -> &Token {
        while *self.peek() == Token::Space {
            self.at += 1;
        }
        self.peek()
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn expect(&mut self, expected: &Token, context: &str) -> Result<(), Fault> {
        self.peek_beyond_space();
        let found = self.next();
        if found == *expected { Ok(()) } else { Err(unexpected(&found, context)) }
    }
}

/// Whether a pipeline's value is the result of a query as a whole, whatever else.
fn writes_addresses(pipe: &Pipe) -> bool {
    let last = pipe.commands.last().and_then(|command| command.operands.first());
    match last {
        Some(Operand::Function(name)) => matches!(name.as_str(), "query" | "sortByLabel"),
        Some(Operand::Pipe(inner)) => pipe.commands.len() == 1 && writes_addresses(inner),
        _ => false,
    }
}

fn is_empty(body: &[Node]) -> bool {
    body.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}

fn begins_operand(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            !matches!(word.as_str(), "if" | "with" | "range" | "else" | "end" | "template" | "block" | "define" | "break" | "continue")
        }
        Token::Dot | Token::Field(_) | Token::Variable(_) | Token::Character(_) | Token::Number(_) | Token::Quoted(_) | Token::Open => true,
        _ => false,
    }
}

fn unexpected(token: &Token, context: &str) -> Fault {
    let found = match token {
        Token::End => "EOF",
        Token::Text(text)
        | Token::Word(text)
        | Token::Variable(text)
        | Token::Character(text)
        | Token::Quoted(text)
        | Token::Number(text) => {
            return Fault::go(format!("unexpected {text} in {context}"));
        }
        Token::Field(name) => return Fault::go(format!("unexpected .{name} in {context}")),
        Token::Left => "{{",
        Token::Right => "}}",
        Token::Space => "space",
        Token::Open => "(",
        Token::Close => ")",
        Token::Pipe => "|",
        Token::Comma => ",",
        Token::Assign => "=",
        Token::Declare => ":=",
        Token::Dot => ".",
    };
    if *token == Token::End { Fault::go("unexpected EOF") } else { Fault::go(format!("unexpected {found} in {context}")) }
}
