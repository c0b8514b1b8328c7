//! What a template is made of, and how errors show a part of it: as Go writes it.

use std::fmt::{self, Display, Formatter};

use super::quote::{Number, quote};

/// Text or an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    Branch(Box<Branch>),
    /// Another template, with what it is to be about.
    Call {
        at: usize,
        name: String,
        pipe: Option<Pipe>,
    },
    Break,
    Continue,
}

/// What decides in a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    If,
    With,
    Range,
}

/// `if`, `with` or `range`, to its `end`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Branch {
    pub(super) condition: Condition,
    pub(super) pipe: Pipe,
    pub(super) body: Vec<Node>,
    /// What comes after `else`.
    pub(super) otherwise: Option<Vec<Node>>,
}

/// Commands, each of which gets the value of the one before; and the variables that get the value of the last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipe {
    pub(super) at: usize,
    pub(super) variables: Vec<String>,
    pub(super) effect: Effect,
    pub(super) commands: Vec<Command>,
}

/// What becomes of the variables of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Declares,
    Assigns,
}

/// An operand, or a function with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    /// Where it begins.
    pub(super) at: usize,
    /// Never empty.
    pub(super) words: Vec<Operand>,
}

/// A word of a command.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) term: Term,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Term {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    /// As it is written, and what that stands for.
    Text {
        quoted: String,
        text: String,
    },
    Function(String),
    Field(Vec<String>),
    /// The name with its `$`, and fields.
    Variable(String, Vec<String>),
    /// Fields of something else.
    Chain(Box<Operand>, Vec<String>),
    Pipe(Pipe),
}

fn fields(fields: &[String], f: &mut Formatter<'_>) -> fmt::Result {
    fields.iter().try_for_each(|field| write!(f, ".{field}"))
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Dot => f.write_str("."),
            Term::Nil => f.write_str("nil"),
            Term::Bool(value) => write!(f, "{value}"),
            Term::Number(number) => f.write_str(&number.text),
            Term::Text { quoted, .. } => f.write_str(quoted),
            Term::Function(name) => f.write_str(name),
            Term::Field(path) => fields(path, f),
            Term::Variable(name, path) => {
                f.write_str(name)?;
                fields(path, f)
            }
            Term::Chain(operand, path) => {
                operand.in_command(f)?;
                fields(path, f)
            }
            Term::Pipe(pipe) => write!(f, "{pipe}"),
        }
    }
}

impl Operand {
    /// Pipelines stand in parentheses where there is more around them.
    fn in_command(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Pipe(pipe) => write!(f, "({pipe})"),
            Term::Dot
            | Term::Nil
            | Term::Bool(_)
            | Term::Number(_)
            | Term::Text { .. }
            | Term::Function(_)
            | Term::Field(_)
            | Term::Variable(..)
            | Term::Chain(..) => write!(f, "{self}"),
        }
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            word.in_command(f)?;
        }
        Ok(())
    }
}

impl Display for Pipe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = match self.effect {
                Effect::Declares => ":=",
                Effect::Assigns => "=",
            };
            write!(f, "{} {sign} ", self.variables.join(", "))?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            if index > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{command}")?;
        }
        Ok(())
    }
}

/// A call of a template as errors show it.
pub(super) fn call(name: &str, pipe: Option<&Pipe>) -> String {
    let pipe = pipe.map_or_else(String::new, |pipe| format!(" {pipe}"));
    format!("{{{{template {}{pipe}}}}}", quote(name))
}

/// Whether there is nothing but spaces.
pub(super) fn is_empty(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| match node {
        Node::Text(text) => text.trim().is_empty(),
        Node::Action(_) | Node::Branch(_) | Node::Call { .. } | Node::Break | Node::Continue => {
            false
        }
    })
}
