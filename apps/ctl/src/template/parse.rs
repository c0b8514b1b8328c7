//! From tokens to a tree, with Go's messages for what is no template.

use std::collections::BTreeMap;

use super::functions;
use super::lex::{Keyword, Sort, Token, lex};
use super::quote::{Number, unquote};
use super::tree::{self, Branch, Command, Condition, Effect, Node, Operand, Pipe, Term};

/// How deep actions and parentheses may be nested.
const DEPTH: usize = 100;

/// What a command, and each of its words, begins with.
const OPERANDS: [Sort; 12] = [
    Sort::Bool,
    Sort::CharConstant,
    Sort::Complex,
    Sort::Dot,
    Sort::Field,
    Sort::Identifier,
    Sort::Number,
    Sort::Nil,
    Sort::Raw,
    Sort::Quoted,
    Sort::Variable,
    Sort::LeftParen,
];

/// All templates of a text, by name.
pub(super) type Templates = BTreeMap<String, Vec<Node>>;

struct Parser<'a> {
    name: &'a str,
    tokens: Vec<Token>,
    at: usize,
    /// The furthest token that was looked at: errors name its line.
    seen: usize,
    variables: Vec<String>,
    /// How many ranges we are in.
    ranges: usize,
    depth: usize,
    /// The line where the action began that we are in.
    action: usize,
    templates: Templates,
}

type Parsed<T> = Result<T, String>;

/// What ended a list of nodes.
enum Stop {
    End,
    Else,
}

/// The templates of a text; the text itself is the one of this name.
pub(super) fn parse(name: &str, text: &str) -> Parsed<Templates> {
    let mut parser = Parser {
        name,
        tokens: lex(text),
        at: 0,
        seen: 0,
        variables: vec!["$".to_owned()],
        ranges: 0,
        depth: 0,
        action: 0,
        templates: Templates::new(),
    };
    let root = parser.root()?;
    parser.add(name.to_owned(), root)?;
    Ok(parser.templates)
}

impl Parser<'_> {
    fn error<T>(&self, why: impl std::fmt::Display) -> Parsed<T> {
        let line = self.tokens.get(self.seen).map_or(0, |token| token.line);
        Err(format!("template: {}:{line}: {why}", self.name))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        if token.sort != Sort::Wrong {
            return self.error(format!("unexpected {} in {context}", token.describe()));
        }
        let mut text = token.text.clone();
        if self.action != 0 && self.action != token.line {
            if !text.ends_with(" action") {
                text += " in action";
            }
            text += &format!(" started at {}:{}", self.name, self.action);
        }
        self.error(text)
    }

    fn next(&mut self) -> Token {
        // The last token, an end or an error, is there for ever.
        let at = self.at.min(self.tokens.len() - 1);
        self.at = at + 1;
        self.seen = self.seen.max(at);
        self.tokens[at].clone()
    }

    fn back(&mut self) {
        self.at -= 1;
    }

    fn peek(&mut self) -> Token {
        let token = self.next();
        self.back();
        token
    }

    fn next_word(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.sort != Sort::Space {
                return token;
            }
        }
    }

    fn peek_word(&mut self) -> Token {
        let token = self.next_word();
        self.back();
        token
    }

    fn expect(&mut self, sort: Sort, context: &str) -> Parsed<Token> {
        let token = self.next_word();
        if token.sort == sort {
            Ok(token)
        } else {
            self.unexpected(&token, context)
        }
    }

    /// One level deeper.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH {
            return self.error(format!("nested deeper than {DEPTH} levels"));
        }
        self.depth += 1;
        let parsed = inner(self);
        self.depth -= 1;
        parsed
    }

    /// Adds a template; spaces alone do not take the place of one, nor count as one.
    fn add(&mut self, name: String, body: Vec<Node>) -> Parsed<()> {
        match self.templates.get(&name) {
            Some(old) if !tree::is_empty(old) => {
                if !tree::is_empty(&body) {
                    let name = super::quote::quote(&name);
                    return self.error(format!("template: multiple definition of template {name}"));
                }
            }
            Some(_) | None => {
                self.templates.insert(name, body);
            }
        }
        Ok(())
    }

    fn root(&mut self) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            let before = self.at;
            let token = self.next();
            if token.sort == Sort::End {
                return Ok(nodes);
            }
            if token.sort == Sort::LeftDelim
                && self.next_word().sort == Sort::Keyword(Keyword::Define)
            {
                self.definition()?;
                continue;
            }
            self.at = before;
            match self.text_or_action()? {
                Ok(node) => nodes.push(node),
                Err(Stop::End) => return self.error("unexpected {{end}}"),
                Err(Stop::Else) => return self.error("unexpected {{else}}"),
            }
        }
    }

    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_word();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(Sort::RightDelim, CONTEXT)?;
        let body = self.apart(CONTEXT)?;
        self.add(name, body)
    }

    /// The body of a template of its own, to its end: it sees none of the variables around it.
    fn apart(&mut self, context: &str) -> Parsed<Vec<Node>> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let (ranges, action) = (self.ranges, self.action);
        (self.ranges, self.action) = (0, 0);
        let (body, stop) = self.nested(Self::list)?;
        if let Stop::Else = stop {
            return self.error(format!("unexpected {{{{else}}}} in {context}"));
        }
        self.variables = variables;
        (self.ranges, self.action) = (ranges, action);
        Ok(body)
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Parsed<String> {
        if ![Sort::Quoted, Sort::Raw].contains(&token.sort) {
            return self.unexpected(token, context);
        }
        match unquote(&token.text) {
            Some(name) => Ok(name),
            None => self.error("invalid syntax"),
        }
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        let mut nodes = Vec::new();
        while self.peek_word().sort != Sort::End {
            match self.text_or_action()? {
                Ok(node) => nodes.push(node),
                Err(stop) => return Ok((nodes, stop)),
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Parsed<Result<Node, Stop>> {
        let token = self.next_word();
        if token.sort == Sort::Text {
            return Ok(Ok(Node::Text(token.text)));
        }
        if token.sort != Sort::LeftDelim {
            return self.unexpected(&token, "input");
        }
        self.action = token.line;
        let parsed = self.nested(Self::action);
        if parsed.is_ok() {
            self.action = 0;
        }
        parsed
    }

    fn action(&mut self) -> Parsed<Result<Node, Stop>> {
        let token = self.next_word();
        let Sort::Keyword(keyword) = token.sort else {
            self.back();
            return Ok(Ok(Node::Action(
                self.pipeline("command", Sort::RightDelim)?,
            )));
        };
        let node = match keyword {
            Keyword::Block => self.block()?,
            Keyword::Break => self.jump("{{break}}", Node::Break)?,
            Keyword::Continue => self.jump("{{continue}}", Node::Continue)?,
            Keyword::Else => {
                let word = self.peek_word().sort;
                let chained = [Keyword::If, Keyword::With].map(Sort::Keyword);
                if !chained.contains(&word) {
                    self.expect(Sort::RightDelim, "else")?;
                }
                return Ok(Err(Stop::Else));
            }
            Keyword::End => {
                self.expect(Sort::RightDelim, "end")?;
                return Ok(Err(Stop::End));
            }
            Keyword::If => self.branch(Condition::If)?,
            Keyword::Range => self.branch(Condition::Range)?,
            Keyword::With => self.branch(Condition::With)?,
            Keyword::Template => self.call()?,
            Keyword::Define => return self.unexpected(&token, "command"),
        };
        Ok(Ok(node))
    }

    fn jump(&mut self, context: &str, node: Node) -> Parsed<Node> {
        self.expect(Sort::RightDelim, context)?;
        if self.ranges == 0 {
            return self.error(format!("{context} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn branch(&mut self, condition: Condition) -> Parsed<Node> {
        let context = match condition {
            Condition::If => "if",
            Condition::With => "with",
            Condition::Range => "range",
        };
        let known = self.variables.len();
        let pipe = self.pipeline(context, Sort::RightDelim)?;
        let inner = usize::from(condition == Condition::Range);
        self.ranges += inner;
        let (body, stop) = self.list()?;
        self.ranges -= inner;
        let otherwise = match stop {
            Stop::End => None,
            Stop::Else => Some(self.otherwise(condition)?),
        };
        self.variables.truncate(known);
        Ok(Node::Branch(Box::new(Branch {
            condition,
            pipe,
            body,
            otherwise,
        })))
    }

    /// What comes after `else`: another condition, whose `end` is ours as well, or nodes.
    fn otherwise(&mut self, condition: Condition) -> Parsed<Vec<Node>> {
        let chained = match condition {
            Condition::If => Some(Keyword::If),
            Condition::With => Some(Keyword::With),
            Condition::Range => None,
        };
        if chained.is_some_and(|keyword| self.peek().sort == Sort::Keyword(keyword)) {
            self.next_word();
            return Ok(vec![self.nested(|parser| parser.branch(condition))?]);
        }
        match self.list()? {
            (nodes, Stop::End) => Ok(nodes),
            (_, Stop::Else) => self.error("expected end; found {{else}}"),
        }
    }

    fn block(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.next_word();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Sort::RightDelim)?;
        let body = self.apart(CONTEXT)?;
        self.add(name.clone(), body)?;
        Ok(Node::Call {
            at: token.at,
            name,
            pipe: Some(pipe),
        })
    }

    fn call(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_word();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = if self.next_word().sort == Sort::RightDelim {
            None
        } else {
            self.back();
            Some(self.pipeline(CONTEXT, Sort::RightDelim)?)
        };
        Ok(Node::Call {
            at: token.at,
            name,
            pipe,
        })
    }

    fn pipeline(&mut self, context: &str, end: Sort) -> Parsed<Pipe> {
        let at = self.peek_word().at;
        let (variables, effect) = self.declarations(context)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let token = self.next_word();
            if token.sort == end {
                break;
            }
            if !OPERANDS.contains(&token.sort) {
                return self.unexpected(&token, context);
            }
            self.back();
            commands.push(self.command()?);
        }
        if commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (index, command) in commands.iter().enumerate().skip(1) {
            let first = command.words.first().map(|word| &word.term);
            if let Some(
                Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Text { .. },
            ) = first
            {
                let stage = index + 1;
                return self.error(format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(Pipe {
            at,
            variables,
            effect,
            commands,
        })
    }

    /// `$a :=`, `$a =`, and in ranges `$a, $b :=`.
    fn declarations(&mut self, context: &str) -> Parsed<(Vec<String>, Effect)> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let before = self.at;
            let variable = self.next_word();
            if variable.sort != Sort::Variable {
                self.at = before;
                return Ok((names, Effect::Declares));
            }
            let next = self.next_word();
            let ends = [Sort::Assign, Sort::Declare].contains(&next.sort);
            if !ends && (next.sort != Sort::Char || next.text != ",") {
                self.at = before;
                return Ok((names, Effect::Declares));
            }
            names.push(variable.text.clone());
            self.variables.push(variable.text);
            if ends {
                let assigns = next.sort == Sort::Assign;
                let effect = if assigns {
                    Effect::Assigns
                } else {
                    Effect::Declares
                };
                return Ok((names, effect));
            }
            if context != "range" || names.len() > 1 {
                return self.error(format!("too many declarations in {context}"));
            }
            let after = self.peek_word().sort;
            if ![Sort::Variable, Sort::RightDelim, Sort::RightParen].contains(&after) {
                return self.error("range can only initialize variables");
            }
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let at = self.peek_word().at;
        let mut words = Vec::new();
        loop {
            self.peek_word();
            words.extend(self.operand()?);
            let token = self.next();
            if token.sort == Sort::Space {
                continue;
            }
            if [Sort::RightDelim, Sort::RightParen].contains(&token.sort) {
                self.back();
            } else if token.sort != Sort::Pipe {
                return self.unexpected(&token, "operand");
            }
            break;
        }
        if words.is_empty() {
            return self.error("empty command");
        }
        Ok(Command { at, words })
    }

    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(operand) = self.term()? else {
            return Ok(None);
        };
        let at = self.peek().at;
        let mut path = Vec::new();
        while self.peek().sort == Sort::Field {
            path.push(self.next().text.split_off(1));
        }
        if path.is_empty() {
            return Ok(Some(operand));
        }
        let term = match operand.term {
            Term::Field(mut fields) => {
                fields.extend(path);
                Term::Field(fields)
            }
            Term::Variable(name, mut fields) => {
                fields.extend(path);
                Term::Variable(name, fields)
            }
            Term::Bool(_) | Term::Text { .. } | Term::Number(_) | Term::Nil | Term::Dot => {
                let text = super::quote::quote(&operand.to_string());
                return self.error(format!("unexpected . after term {text}"));
            }
            Term::Function(_) | Term::Chain(..) | Term::Pipe(_) => {
                Term::Chain(Box::new(operand), path)
            }
        };
        Ok(Some(Operand { at, term }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.next_word();
        if !OPERANDS.contains(&token.sort) {
            self.back();
            return Ok(None);
        }
        let quoted = super::quote::quote(&token.text);
        let term = if token.sort == Sort::Identifier {
            if !functions::exists(&token.text) {
                return self.error(format!("function {quoted} not defined"));
            }
            Term::Function(token.text)
        } else if token.sort == Sort::Variable {
            if !self.variables.contains(&token.text) {
                return self.error(format!("undefined variable {quoted}"));
            }
            Term::Variable(token.text, Vec::new())
        } else if token.sort == Sort::Field {
            Term::Field(vec![token.text[1..].to_owned()])
        } else if token.sort == Sort::Dot {
            Term::Dot
        } else if token.sort == Sort::Nil {
            Term::Nil
        } else if token.sort == Sort::Bool {
            Term::Bool(token.text == "true")
        } else if token.sort == Sort::LeftParen {
            let inner =
                |parser: &mut Self| parser.pipeline("parenthesized pipeline", Sort::RightParen);
            Term::Pipe(self.nested(inner)?)
        } else {
            match constant(&token) {
                Ok(term) => term,
                Err(why) => return self.error(why),
            }
        };
        Ok(Some(Operand { at: token.at, term }))
    }
}

/// A string, a character or a number.
fn constant(token: &Token) -> Parsed<Term> {
    if token.sort == Sort::Complex || (token.sort == Sort::Number && token.text.ends_with('i')) {
        return Err("complex numbers are not supported".to_owned());
    }
    if token.sort == Sort::Number {
        return Number::parse(&token.text).map(Term::Number);
    }
    if token.sort == Sort::CharConstant {
        return Number::character(&token.text).map(Term::Number);
    }
    let text = unquote(&token.text).ok_or("invalid syntax")?;
    Ok(Term::Text {
        quoted: token.text.clone(),
        text,
    })
}
