//! From the text of a template to its tokens. A function: text in, tokens out; the last one is [`Sort::End`] or [`Sort::Wrong`].

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// The scan stops here; the text says why.
    Wrong,
    /// The end of the template.
    End,
    /// What is between actions.
    Text,
    LeftDelim,
    RightDelim,
    LeftParen,
    RightParen,
    Space,
    Pipe,
    /// `=`
    Assign,
    /// `:=`
    Declare,
    /// Any other printable ASCII character.
    Char,
    CharConstant,
    Number,
    /// A number with an imaginary part.
    Complex,
    /// In double quotes.
    Quoted,
    /// In backquotes.
    Raw,
    Bool,
    Identifier,
    /// `.name`
    Field,
    /// `$` or `$name`
    Variable,
    Dot,
    Nil,
    Keyword(Keyword),
}

/// The words that are no functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) sort: Sort,
    /// Where it begins, in bytes.
    pub(super) at: usize,
    /// The line it begins in, from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

impl Token {
    /// As errors show it.
    pub(super) fn describe(&self) -> String {
        match self.sort {
            Sort::End => "EOF".to_owned(),
            Sort::Wrong => self.text.clone(),
            Sort::Keyword(_) | Sort::Dot | Sort::Nil => format!("<{}>", self.text),
            Sort::Text
            | Sort::LeftDelim
            | Sort::RightDelim
            | Sort::LeftParen
            | Sort::RightParen
            | Sort::Space
            | Sort::Pipe
            | Sort::Assign
            | Sort::Declare
            | Sort::Char
            | Sort::CharConstant
            | Sort::Number
            | Sort::Complex
            | Sort::Quoted
            | Sort::Raw
            | Sort::Bool
            | Sort::Identifier
            | Sort::Field
            | Sort::Variable => {
                let cut: String = self.text.chars().take(10).collect();
                let quoted = super::quote::quote(&cut);
                // Go measures the whole in bytes and cuts in characters.
                if self.text.len() > 10 {
                    quoted + "..."
                } else {
                    quoted
                }
            }
        }
    }
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

struct Lexer<'a> {
    text: &'a str,
    /// Where the next token begins.
    start: usize,
    /// Where we read.
    at: usize,
    /// The line of `start`.
    line: usize,
    parens: usize,
    tokens: Vec<Token>,
}

/// A scan ends early, with the reason.
type Step = Result<(), String>;

/// The tokens of a template.
pub(super) fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        start: 0,
        at: 0,
        line: 1,
        parens: 0,
        tokens: Vec::new(),
    };
    match lexer.text() {
        Ok(()) => lexer.emit(Sort::End),
        Err(why) => lexer.tokens.push(Token {
            sort: Sort::Wrong,
            at: lexer.start,
            line: lexer.line,
            text: why,
        }),
    }
    lexer.tokens
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn ignore(&mut self) {
        self.line += self.text[self.start..self.at].matches('\n').count();
        self.start = self.at;
    }

    fn emit(&mut self, sort: Sort) {
        self.tokens.push(Token {
            sort,
            at: self.start,
            line: self.line,
            text: self.text[self.start..self.at].to_owned(),
        });
        self.ignore();
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches(SPACES).len();
        self.ignore();
    }

    /// Text and actions, to the end.
    fn text(&mut self) -> Step {
        while let Some(offset) = self.rest().find("{{") {
            let delim = self.at + offset;
            let trims = trims_left(&self.text[delim + 2..]);
            let text = &self.text[self.at..delim];
            let kept = if trims {
                text.trim_end_matches(SPACES)
            } else {
                text
            };
            self.at += kept.len();
            if !kept.is_empty() {
                self.emit(Sort::Text);
            }
            self.at = delim;
            self.ignore();
            let inside = delim + 2 + if trims { 2 } else { 0 };
            if self.text[inside..].starts_with("/*") {
                self.at = inside;
                self.ignore();
                self.comment()?;
            } else {
                self.at = delim + 2;
                self.emit(Sort::LeftDelim);
                self.at = inside;
                self.ignore();
                self.parens = 0;
                self.action()?;
            }
        }
        self.at = self.text.len();
        if self.at > self.start {
            self.emit(Sort::Text);
        }
        Ok(())
    }

    fn comment(&mut self) -> Step {
        let end = self.rest().find("*/").ok_or("unclosed comment")?;
        self.at += end + 2;
        let trims = self
            .right_delim()
            .ok_or("comment ends before closing delimiter")?;
        self.at += if trims { 4 } else { 2 };
        self.ignore();
        if trims {
            self.skip_spaces();
        }
        Ok(())
    }

    /// Whether the action ends here, and if so whether it trims what follows.
    fn right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        if trims_right(rest) && rest[2..].starts_with("}}") {
            return Some(true);
        }
        rest.starts_with("}}").then_some(false)
    }

    fn close(&mut self, trims: bool) {
        if trims {
            self.at += 2;
            self.ignore();
        }
        self.at += 2;
        self.emit(Sort::RightDelim);
        if trims {
            self.skip_spaces();
        }
    }

    fn action(&mut self) -> Step {
        loop {
            if let Some(trims) = self.right_delim() {
                if self.parens > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                self.close(trims);
                return Ok(());
            }
            let Some(c) = self.peek() else {
                return Err("unclosed action".to_owned());
            };
            self.element(c)?;
        }
    }

    /// One token inside an action, which begins with `c`.
    fn element(&mut self, c: char) -> Step {
        if SPACES.contains(&c) {
            self.spaces();
            return Ok(());
        }
        self.next();
        match c {
            '=' => self.emit(Sort::Assign),
            ':' => {
                if self.next() != Some('=') {
                    return Err("expected :=".to_owned());
                }
                self.emit(Sort::Declare);
            }
            '|' => self.emit(Sort::Pipe),
            '"' => {
                self.quoted('"', "unterminated quoted string")?;
                self.emit(Sort::Quoted);
            }
            '`' => {
                let end = self.rest().find('`');
                self.at += end.ok_or("unterminated raw quoted string")? + 1;
                self.emit(Sort::Raw);
            }
            '\'' => {
                self.quoted('\'', "unterminated character constant")?;
                self.emit(Sort::CharConstant);
            }
            '$' => self.name(Sort::Variable, Sort::Variable)?,
            '.' if !self.rest().starts_with(|c: char| c.is_ascii_digit()) => {
                self.name(Sort::Field, Sort::Dot)?;
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.at = self.start;
                self.number()?;
            }
            c if alphanumeric(c) => self.identifier()?,
            '(' => {
                self.parens += 1;
                self.emit(Sort::LeftParen);
            }
            ')' => {
                self.parens = self.parens.checked_sub(1).ok_or("unexpected right paren")?;
                self.emit(Sort::RightParen);
            }
            c if c.is_ascii_graphic() => self.emit(Sort::Char),
            c => {
                return Err(format!(
                    "unrecognized character in action: {}",
                    super::quote::code_point(c)
                ));
            }
        }
        Ok(())
    }

    /// A run of spaces, of which the last may belong to ` -}}`.
    fn spaces(&mut self) {
        let run = self.rest().len() - self.rest().trim_start_matches(SPACES).len();
        self.at += run;
        if self.rest().starts_with("-}}") {
            self.at -= 1;
        }
        if self.at > self.start {
            self.emit(Sort::Space);
        }
    }

    fn quoted(&mut self, end: char, unterminated: &str) -> Step {
        loop {
            let mut c = self.next();
            if c == Some('\\') {
                // Whatever is escaped, but for a line break.
                c = self.next().filter(|c| *c != '\n');
                if c.is_some() {
                    continue;
                }
            }
            match c {
                None | Some('\n') => return Err(unterminated.to_owned()),
                Some(c) if c == end => return Ok(()),
                Some(_) => {}
            }
        }
    }

    /// A field or variable, whose mark has been read.
    fn name(&mut self, sort: Sort, bare: Sort) -> Step {
        if self.at_end_of_word() {
            self.emit(bare);
            return Ok(());
        }
        self.word();
        self.end_of_word()?;
        self.emit(sort);
        Ok(())
    }

    fn identifier(&mut self) -> Step {
        self.word();
        self.end_of_word()?;
        let sort = match &self.text[self.start..self.at] {
            "block" => Sort::Keyword(Keyword::Block),
            "break" => Sort::Keyword(Keyword::Break),
            "continue" => Sort::Keyword(Keyword::Continue),
            "define" => Sort::Keyword(Keyword::Define),
            "else" => Sort::Keyword(Keyword::Else),
            "end" => Sort::Keyword(Keyword::End),
            "if" => Sort::Keyword(Keyword::If),
            "range" => Sort::Keyword(Keyword::Range),
            "template" => Sort::Keyword(Keyword::Template),
            "with" => Sort::Keyword(Keyword::With),
            "nil" => Sort::Nil,
            "true" | "false" => Sort::Bool,
            _ => Sort::Identifier,
        };
        self.emit(sort);
        Ok(())
    }

    fn word(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches(alphanumeric).len();
    }

    fn at_end_of_word(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => SPACES.contains(&c) || self.rest().starts_with("}}"),
        }
    }

    fn end_of_word(&self) -> Step {
        match self.peek() {
            Some(c) if !self.at_end_of_word() => {
                Err(format!("bad character {}", super::quote::code_point(c)))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Anything that looks like a number; the parser finds out whether it is one.
    fn number(&mut self) -> Step {
        self.real()?;
        if !matches!(self.peek(), Some('+' | '-')) {
            self.emit(Sort::Number);
            return Ok(());
        }
        self.real()?;
        if !self.text[self.start..self.at].ends_with('i') {
            return Err(self.bad_number());
        }
        self.emit(Sort::Complex);
        Ok(())
    }

    fn real(&mut self) -> Step {
        self.accept("+-");
        let mut digits = "0123456789_";
        let mut exponent = "eE";
        if self.accept("0") {
            if self.accept("xX") {
                (digits, exponent) = ("0123456789abcdefABCDEF_", "pP");
            } else if self.accept("oO") {
                (digits, exponent) = ("01234567_", "");
            } else if self.accept("bB") {
                (digits, exponent) = ("01_", "");
            }
        }
        self.run(digits);
        if self.accept(".") {
            self.run(digits);
        }
        if self.accept(exponent) {
            self.accept("+-");
            self.run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(alphanumeric) {
            self.next();
            return Err(self.bad_number());
        }
        Ok(())
    }

    fn bad_number(&self) -> String {
        let text = &self.text[self.start..self.at];
        format!("bad number syntax: {}", super::quote::quote(text))
    }

    fn accept(&mut self, valid: &str) -> bool {
        let accepted = self.peek().is_some_and(|c| valid.contains(c));
        if accepted {
            self.next();
        }
        accepted
    }

    fn run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }
}

fn alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// `{{- `
fn trims_left(after: &str) -> bool {
    after
        .strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(SPACES))
}

/// ` -}}`
fn trims_right(rest: &str) -> bool {
    rest.strip_prefix(SPACES)
        .is_some_and(|rest| rest.starts_with('-'))
}
