//! From text to tree: `!` binds tightest, then `&&`, then `||`.
//!
//! Open parentheses are kept on a stack of our own, so the depth of a text costs memory in proportion and no call stack.

use super::error::ParseError;
use super::expr::{Expr, ValueSet};
use super::lexer::{Lexer, Operator};

/// The longest text that is read, in bytes.
pub const MAX_LENGTH: usize = 64 * 1024;

/// How many parentheses may be open at once.
pub const MAX_DEPTH: usize = 512;

/// An expression being read: the whole text, or what stands after an open parenthesis.
#[derive(Default)]
struct Group {
    /// Operands of `||` that are complete.
    alternatives: Vec<Expr>,
    /// Operands of `&&` in the alternative being read.
    terms: Vec<Expr>,
    /// Whether the parenthesis was preceded by an odd number of `!`.
    negation: Negation,
}

#[derive(Default, Clone, Copy)]
enum Negation {
    #[default]
    Plain,
    Negated,
}

impl Negation {
    fn flipped(self) -> Self {
        match self {
            Self::Plain => Self::Negated,
            Self::Negated => Self::Plain,
        }
    }

    fn of(self, operand: Expr) -> Expr {
        match self {
            Self::Plain => operand,
            Self::Negated => Expr::Not(Box::new(operand)),
        }
    }
}

impl Group {
    /// Ends the alternative being read.
    fn end_alternative(&mut self) {
        let term = one_or(std::mem::take(&mut self.terms), Expr::And);
        self.alternatives.push(term);
    }

    fn finish(mut self) -> Expr {
        self.end_alternative();
        self.negation.of(one_or(self.alternatives, Expr::Or))
    }
}

fn one_or(mut operands: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    match operands.pop() {
        Some(only) if operands.is_empty() => only,
        Some(last) => {
            operands.push(last);
            join(operands)
        }
        None => join(operands),
    }
}

pub(super) fn parse(text: &str) -> Result<Expr, ParseError> {
    if text.len() > MAX_LENGTH {
        return Err(ParseError {
            position: MAX_LENGTH,
            found: format!("{} bytes", text.len()),
            expected: "a selector of at most 65536 bytes",
            hint: None,
        });
    }
    let mut lexer = Lexer::new(text);
    if lexer.at_end() {
        return Ok(Expr::All);
    }
    let mut enclosing: Vec<Group> = Vec::new();
    let mut group = Group::default();
    loop {
        let mut negation = Negation::Plain;
        while lexer.take_not() {
            negation = negation.flipped();
        }
        if lexer.take("(") {
            if enclosing.len() == MAX_DEPTH {
                return Err(lexer.error("at most 512 open parentheses", None));
            }
            enclosing.push(std::mem::replace(
                &mut group,
                Group {
                    negation,
                    ..Group::default()
                },
            ));
            continue;
        }
        group.terms.push(negation.of(operand(&mut lexer)?));
        while lexer.take(")") {
            let Some(outer) = enclosing.pop() else {
                return Err(stray_parenthesis(lexer.position() - 1));
            };
            let inner = std::mem::replace(&mut group, outer);
            group.terms.push(inner.finish());
        }
        if lexer.take("||") {
            group.end_alternative();
        } else if !lexer.take("&&") {
            break;
        }
    }
    if enclosing.is_empty() && lexer.at_end() {
        return Ok(group.finish());
    }
    let expected = if enclosing.is_empty() {
        "&&, || or the end"
    } else {
        "&&, || or )"
    };
    let hint = (!lexer.at_end()).then_some("expressions are joined by && or ||");
    Err(lexer.error(expected, hint))
}

fn stray_parenthesis(position: usize) -> ParseError {
    ParseError {
        position,
        found: "')'".to_owned(),
        expected: "&&, || or the end",
        hint: Some("there is no ( for this one"),
    }
}

/// `has(label)`, `all()`, `global()`, or a label with an operator and its value.
fn operand(lexer: &mut Lexer<'_>) -> Result<Expr, ParseError> {
    // The parenthesis belongs to the word: `has (a)` would be the label `has`, as upstream reads it.
    if lexer.take("has(") {
        let Some(label) = lexer.take_label()? else {
            return Err(lexer.error(
                "the name of a label",
                Some("names are written without quotes"),
            ));
        };
        return closed(lexer, Expr::Has(label.into()));
    }
    if lexer.take("all(") {
        return closed(lexer, Expr::All);
    }
    if lexer.take("global(") {
        return closed(lexer, Expr::Global);
    }
    match lexer.take_label()? {
        Some(label) => comparison(lexer, label),
        None => Err(lexer.error(
            "a label, has(label), all() or (",
            Some("the label stands on the left, without quotes; the value on the right, in quotes"),
        )),
    }
}

fn closed(lexer: &mut Lexer<'_>, operand: Expr) -> Result<Expr, ParseError> {
    if lexer.take(")") {
        Ok(operand)
    } else {
        Err(lexer.error("a closing parenthesis", None))
    }
}

fn comparison(lexer: &mut Lexer<'_>, label: &str) -> Result<Expr, ParseError> {
    let label = label.into();
    Ok(match lexer.take_operator()? {
        Operator::Equals => Expr::Equals(label, value(lexer)?),
        Operator::NotEquals => Expr::NotEquals(label, value(lexer)?),
        Operator::Contains => Expr::Contains(label, value(lexer)?),
        Operator::StartsWith => Expr::StartsWith(label, value(lexer)?),
        Operator::EndsWith => Expr::EndsWith(label, value(lexer)?),
        Operator::In => Expr::In(label, values(lexer)?),
        Operator::NotIn => Expr::NotIn(label, values(lexer)?),
    })
}

fn value(lexer: &mut Lexer<'_>) -> Result<Box<str>, ParseError> {
    match lexer.take_string()? {
        Some(value) => Ok(value.into()),
        None => Err(lexer.error("a value in quotes", Some("values are written 'in quotes'"))),
    }
}

/// A set literal: none or more strings, a comma after the last one is permitted.
fn values(lexer: &mut Lexer<'_>) -> Result<ValueSet, ParseError> {
    if !lexer.take("{") {
        return Err(lexer.error("a set", Some("sets are written {'a', 'b'}")));
    }
    let mut values = Vec::new();
    while let Some(value) = lexer.take_string()? {
        values.push(value);
        if !lexer.take(",") {
            break;
        }
    }
    if !lexer.take("}") {
        return Err(lexer.error(
            "} or a value in quotes",
            Some("sets are written {'a', 'b'}"),
        ));
    }
    Ok(values.into_iter().collect())
}
