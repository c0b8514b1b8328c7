//! From a tree and data to text.

use super::functions::{self, Arity, Expected};
use super::parse::Templates;
use super::tree::{self, Branch, Command, Condition, Effect, Node, Operand, Pipe, Term};
use super::value::{Val, View};
use super::{Limits, print};

/// How deep templates may call one another, and whatever else is nested.
const DEPTH: usize = 400;

/// What is to be done after a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// Where we are, for errors.
#[derive(Clone, Copy)]
enum Spot<'t> {
    Operand(&'t Operand),
    Command(&'t Command),
    Pipe(&'t Pipe),
    Branch(&'t Branch),
    Call(usize, &'t str, Option<&'t Pipe>),
}

type Outcome<T> = Result<T, String>;

/// What is known of the cluster: a name to a value.
pub(super) type Config<'c> = &'c dyn Fn(&str) -> Result<String, String>;

/// Where Go is when a pipeline has its value.
fn last_word(pipe: &Pipe) -> Spot<'_> {
    let word = pipe
        .commands
        .last()
        .and_then(|command| command.words.last());
    word.map_or(Spot::Pipe(pipe), Spot::Operand)
}

struct Machine<'t, 'd, 'c> {
    source: &'t str,
    templates: &'t Templates,
    limits: Limits,
    config: Config<'c>,
    /// The template we are in.
    name: &'t str,
    root: &'t str,
    variables: Vec<(&'t str, Val<'d>)>,
    depth: usize,
    steps: usize,
    out: String,
}

/// Carries a template out.
pub(super) fn run(
    name: &str,
    source: &str,
    templates: &Templates,
    data: &Val<'_>,
    limits: Limits,
    config: Config<'_>,
) -> Outcome<String> {
    let mut machine = Machine {
        source,
        templates,
        limits,
        config,
        name,
        root: name,
        variables: vec![("$", data.clone())],
        depth: 0,
        steps: 0,
        out: String::new(),
    };
    if let Some(nodes) = templates.get(name) {
        machine.list(data, nodes)?;
    }
    Ok(machine.out)
}

impl<'t, 'd> Machine<'t, 'd, '_> {
    fn fail<T>(&self, spot: Spot<'t>, why: impl std::fmt::Display) -> Outcome<T> {
        let (at, shown) = match spot {
            Spot::Operand(operand) => (operand.at, operand.to_string()),
            Spot::Command(command) => (command.at, command.to_string()),
            Spot::Pipe(pipe) => (pipe.at, pipe.to_string()),
            Spot::Branch(branch) => (branch.pipe.at, format!("range {}", branch.pipe)),
            Spot::Call(at, name, pipe) => (at, tree::call(name, pipe)),
        };
        let before = self.source.get(..at).unwrap_or(self.source);
        let line = 1 + before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        let name = super::quote::quote(self.name);
        Err(format!(
            "template: {}:{line}:{column}: executing {name} at <{shown}>: {why}",
            self.root
        ))
    }

    /// Says no to templates that go on and on.
    fn step(&mut self, spot: Spot<'t>) -> Outcome<()> {
        self.steps += 1;
        if self.steps > self.limits.steps {
            let steps = self.limits.steps;
            return self.fail(spot, format!("the template takes more than {steps} steps"));
        }
        Ok(())
    }

    fn nested<T>(
        &mut self,
        spot: Spot<'t>,
        inner: impl FnOnce(&mut Self) -> Outcome<T>,
    ) -> Outcome<T> {
        if self.depth == DEPTH {
            return self.fail(spot, format!("exceeded maximum template depth ({DEPTH})"));
        }
        self.depth += 1;
        let outcome = inner(self);
        self.depth -= 1;
        outcome
    }

    fn print(&mut self, spot: Option<Spot<'t>>, text: &str) -> Outcome<()> {
        let most = self.limits.output;
        if self.out.len() + text.len() > most {
            let why = format!("the output is longer than {most} bytes");
            return match spot {
                Some(spot) => self.fail(spot, why),
                None => Err(format!("template: {}: {why}", self.root)),
            };
        }
        self.out.push_str(text);
        Ok(())
    }

    fn list(&mut self, dot: &Val<'d>, nodes: &'t [Node]) -> Outcome<Flow> {
        for node in nodes {
            let flow = self.node(dot, node)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, dot: &Val<'d>, node: &'t Node) -> Outcome<Flow> {
        match node {
            Node::Text(text) => self.print(None, text)?,
            Node::Action(pipe) => {
                let value = self.pipe(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.print(Some(Spot::Pipe(pipe)), &print::shown(&value))?;
                }
            }
            Node::Branch(branch) => {
                let known = self.variables.len();
                let flow = match branch.condition {
                    Condition::If | Condition::With => self.choose(dot, branch)?,
                    Condition::Range => self.range(dot, branch)?,
                };
                self.variables.truncate(known);
                return Ok(flow);
            }
            Node::Call { at, name, pipe } => {
                let spot = Spot::Call(*at, name, pipe.as_ref());
                self.nested(spot, |machine| machine.call(dot, name, pipe.as_ref(), spot))?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn choose(&mut self, dot: &Val<'d>, branch: &'t Branch) -> Outcome<Flow> {
        let value = self.pipe(dot, &branch.pipe)?;
        let spot = Spot::Pipe(&branch.pipe);
        if !value.truth() {
            let otherwise = branch.otherwise.as_deref().unwrap_or_default();
            return self.nested(spot, |machine| machine.list(dot, otherwise));
        }
        let inner = match branch.condition {
            Condition::With => &value,
            Condition::If | Condition::Range => dot,
        };
        self.nested(spot, |machine| machine.list(inner, &branch.body))
    }

    fn range(&mut self, dot: &Val<'d>, branch: &'t Branch) -> Outcome<Flow> {
        let value = self.pipe(dot, &branch.pipe)?;
        let number = |index: usize| Val::Int(i64::try_from(index).unwrap_or(i64::MAX));
        let pairs: Box<dyn Iterator<Item = (Val<'d>, Val<'d>)>> = match value.view() {
            View::Nothing | View::Nil => Box::new(std::iter::empty()),
            View::Items(items) => Box::new(
                items
                    .into_iter()
                    .enumerate()
                    .map(move |(i, item)| (number(i), item)),
            ),
            View::Map(ty, map) => {
                let mut entries: Vec<_> = map.into_iter().flatten().collect();
                entries.sort_by_key(|(key, _)| *key);
                Box::new(entries.into_iter().map(move |(key, json)| {
                    let json = Some(json);
                    (Val::text(key.as_str()), Val::Data { ty, json })
                }))
            }
            View::Int(_) | View::Uint(_) if branch.pipe.variables.len() > 1 => {
                let shown = print::plain(&value);
                let why = format!("can't use {shown} to iterate over more than one variable");
                return self.fail(last_word(&branch.pipe), why);
            }
            View::Int(end) => Box::new((0..end).map(|i| (Val::Nothing, Val::Int(i)))),
            View::Uint(end) => {
                let end = i64::try_from(end).unwrap_or(i64::MAX);
                Box::new((0..end).map(|i| (Val::Nothing, Val::Int(i))))
            }
            View::Bool(_) | View::Float(_) | View::Text(_) | View::Struct(..) | View::Named(..) => {
                let shown = print::plain(&value);
                let why = format!("range can't iterate over {shown}");
                return self.fail(last_word(&branch.pipe), why);
            }
        };
        let mut ran = false;
        let mark = self.variables.len();
        for (index, item) in pairs {
            ran = true;
            self.step(Spot::Branch(branch))?;
            self.assign_pair(branch, mark, index, item.clone())?;
            let spot = Spot::Branch(branch);
            let flow = self.nested(spot, |machine| machine.list(&item, &branch.body))?;
            self.variables.truncate(mark);
            if flow == Flow::Break {
                return Ok(Flow::On);
            }
        }
        if ran {
            return Ok(Flow::On);
        }
        let otherwise = branch.otherwise.as_deref().unwrap_or_default();
        self.nested(Spot::Branch(branch), |machine| machine.list(dot, otherwise))
    }

    /// Gives a range's variables their values; those it declares are the topmost.
    fn assign_pair(
        &mut self,
        branch: &'t Branch,
        mark: usize,
        index: Val<'d>,
        item: Val<'d>,
    ) -> Outcome<()> {
        let values = match branch.pipe.variables.len() {
            0 => return Ok(()),
            1 => vec![item],
            _ => vec![index, item],
        };
        let names = &branch.pipe.variables;
        for (place, (name, value)) in names.iter().zip(values).enumerate() {
            match branch.pipe.effect {
                Effect::Assigns => self.assign(Spot::Branch(branch), name, value)?,
                Effect::Declares => {
                    let top = mark - names.len() + place;
                    if let Some(slot) = self.variables.get_mut(top) {
                        slot.1 = value;
                    }
                }
            }
        }
        Ok(())
    }

    fn assign(&mut self, spot: Spot<'t>, name: &str, value: Val<'d>) -> Outcome<()> {
        let slot = self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| *known == name);
        match slot {
            Some(slot) => {
                slot.1 = value;
                Ok(())
            }
            None => self.fail(spot, format!("undefined variable: {name}")),
        }
    }

    fn call(
        &mut self,
        dot: &Val<'d>,
        name: &'t str,
        pipe: Option<&'t Pipe>,
        spot: Spot<'t>,
    ) -> Outcome<()> {
        self.step(spot)?;
        let Some((name, nodes)) = self.templates.get_key_value(name) else {
            let name = super::quote::quote(name);
            return self.fail(spot, format!("template {name} not defined"));
        };
        let dot = match pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Val::Nothing,
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        let caller = std::mem::replace(&mut self.name, name);
        self.list(&dot, nodes)?;
        self.name = caller;
        self.variables = outer;
        Ok(())
    }

    fn pipe(&mut self, dot: &Val<'d>, pipe: &'t Pipe) -> Outcome<Val<'d>> {
        self.step(Spot::Pipe(pipe))?;
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Val::Nothing);
        for name in &pipe.variables {
            match pipe.effect {
                Effect::Declares => self.variables.push((name, value.clone())),
                Effect::Assigns => self.assign(last_word(pipe), name, value.clone())?,
            }
        }
        Ok(value)
    }

    /// A command; `last` is the value that a pipeline has for it.
    fn command(
        &mut self,
        dot: &Val<'d>,
        command: &'t Command,
        last: Option<Val<'d>>,
    ) -> Outcome<Val<'d>> {
        let Some((first, args)) = command.words.split_first() else {
            return Ok(Val::Nothing);
        };
        if let Term::Function(name) = &first.term {
            let spot = Spot::Command(command);
            return self.function(dot, name, first, args, last, spot);
        }
        if args.is_empty() && last.is_none() {
            return match &first.term {
                Term::Nil => self.fail(Spot::Operand(first), "nil is not a command"),
                Term::Dot
                | Term::Bool(_)
                | Term::Number(_)
                | Term::Text { .. }
                | Term::Function(_)
                | Term::Field(_)
                | Term::Variable(..)
                | Term::Chain(..)
                | Term::Pipe(_) => self.operand(dot, first),
            };
        }
        let (receiver, path) = match &first.term {
            Term::Field(path) | Term::Chain(_, path) => (self.receiver(dot, first)?, path),
            Term::Variable(name, path) => (self.variable(name, first)?, path),
            Term::Dot
            | Term::Nil
            | Term::Bool(_)
            | Term::Number(_)
            | Term::Text { .. }
            | Term::Function(_)
            | Term::Pipe(_) => return self.not_a_function(first),
        };
        let Some((field, path)) = path.split_last() else {
            return self.not_a_function(first);
        };
        let holder = self.fields(receiver, path, first)?;
        self.not_callable(&holder, field, first)
    }

    fn not_a_function(&self, operand: &'t Operand) -> Outcome<Val<'d>> {
        let why = format!("can't give argument to non-function {operand}");
        self.fail(Spot::Operand(operand), why)
    }

    /// Fields are no methods: there is nothing to give arguments to.
    fn not_callable(
        &self,
        holder: &Val<'d>,
        field: &str,
        operand: &'t Operand,
    ) -> Outcome<Val<'d>> {
        let spot = Spot::Operand(operand);
        match (holder.field(field), holder.view()) {
            (Err(why), _) => self.fail(spot, why),
            (Ok(_), View::Nothing) => Ok(Val::Nothing),
            (Ok(_), View::Map(..)) => {
                self.fail(spot, format!("{field} is not a method but has arguments"))
            }
            (Ok(_), _) => self.fail(
                spot,
                format!("{field} has arguments but cannot be invoked as function"),
            ),
        }
    }

    /// What the fields of an operand are fields of.
    fn receiver(&mut self, dot: &Val<'d>, operand: &'t Operand) -> Outcome<Val<'d>> {
        if let Term::Chain(inner, _) = &operand.term {
            let spot = Spot::Operand(operand);
            return self.nested(spot, |machine| machine.operand(dot, inner));
        }
        Ok(dot.clone())
    }

    fn operand(&mut self, dot: &Val<'d>, operand: &'t Operand) -> Outcome<Val<'d>> {
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Val::Nothing),
            Term::Bool(value) => Ok(Val::Bool(*value)),
            Term::Text { text, .. } => Ok(Val::text(text.as_str())),
            Term::Number(number) if number.is_float() => Ok(Val::Float(number.float)),
            Term::Number(number) => match number.int {
                Some(int) => Ok(Val::Int(int)),
                None => {
                    let why = format!("{} overflows int", number.text);
                    self.fail(Spot::Operand(operand), why)
                }
            },
            Term::Function(name) => {
                let spot = Spot::Operand(operand);
                self.function(dot, name, operand, &[], None, spot)
            }
            Term::Field(path) | Term::Chain(_, path) => {
                let receiver = self.receiver(dot, operand)?;
                self.fields(receiver, path, operand)
            }
            Term::Variable(name, path) => {
                let value = self.variable(name, operand)?;
                self.fields(value, path, operand)
            }
            Term::Pipe(pipe) => self.nested(Spot::Pipe(pipe), |machine| machine.pipe(dot, pipe)),
        }
    }

    fn variable(&self, name: &str, operand: &'t Operand) -> Outcome<Val<'d>> {
        let found = self
            .variables
            .iter()
            .rev()
            .find(|(known, _)| *known == name);
        match found {
            Some((_, value)) => Ok(value.clone()),
            None => self.fail(
                Spot::Operand(operand),
                format!("undefined variable: {name}"),
            ),
        }
    }

    fn fields(&self, value: Val<'d>, path: &[String], operand: &'t Operand) -> Outcome<Val<'d>> {
        let mut value = value;
        for name in path {
            value = match value.field(name) {
                Ok(value) => value,
                Err(why) => return self.fail(Spot::Operand(operand), why),
            };
        }
        Ok(value)
    }

    fn function(
        &mut self,
        dot: &Val<'d>,
        name: &'t str,
        word: &'t Operand,
        args: &'t [Operand],
        last: Option<Val<'d>>,
        spot: Spot<'t>,
    ) -> Outcome<Val<'d>> {
        self.step(spot)?;
        let given = args.len() + usize::from(last.is_some());
        let wrong = match functions::arity(name) {
            Some(Arity::Exactly(count)) if given != count => {
                Some(format!("want {count} got {given}"))
            }
            Some(Arity::AtLeast(count)) if given < count => {
                Some(format!("want at least {count} got {}", args.len()))
            }
            Some(_) => None,
            None => Some("it is not defined".to_owned()),
        };
        if let Some(wrong) = wrong {
            let why = format!("wrong number of args for {name}: {wrong}");
            return self.fail(Spot::Operand(word), why);
        }
        if matches!(name, "and" | "or") {
            return self.and_or(dot, name, args, last);
        }
        let mut values = Vec::with_capacity(given);
        for (place, arg) in args.iter().enumerate() {
            let value = self.operand(dot, arg)?;
            values.push(self.fitting(name, place, value, Some(arg), Spot::Operand(arg))?);
        }
        if let Some(last) = last {
            let at = args.last().map_or(Spot::Operand(word), Spot::Operand);
            values.push(self.fitting(name, args.len(), last, None, at)?);
        }
        match functions::call(name, &values, self.config) {
            Ok(Val::Text(text)) if text.len() > self.limits.output => {
                let why = format!("a text longer than {} bytes", self.limits.output);
                self.fail(spot, format!("error calling {name}: {why}"))
            }
            Ok(value) => Ok(value),
            Err(why) => self.fail(spot, format!("error calling {name}: {why}")),
        }
    }

    /// The first argument that settles it, or the last one; those after it are not looked at.
    fn and_or(
        &mut self,
        dot: &Val<'d>,
        name: &str,
        args: &'t [Operand],
        last: Option<Val<'d>>,
    ) -> Outcome<Val<'d>> {
        let mut value = Val::Nothing;
        for arg in args {
            value = self.operand(dot, arg)?;
            if value.truth() == (name == "or") {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// An argument that is what the function takes.
    fn fitting(
        &self,
        name: &str,
        place: usize,
        value: Val<'d>,
        arg: Option<&'t Operand>,
        spot: Spot<'t>,
    ) -> Outcome<Val<'d>> {
        let wanted = match (functions::expected(name, place), value.view()) {
            (Expected::Anything, _)
            | (Expected::Text, View::Text(_))
            | (Expected::Integer, View::Int(_)) => return Ok(value),
            (Expected::Text, _) => ("string", "string"),
            (Expected::Integer, _) => ("integer", "int"),
        };
        let constant = arg.filter(|arg| {
            matches!(
                arg.term,
                Term::Bool(_) | Term::Number(_) | Term::Text { .. }
            )
        });
        let why = match (constant, &value) {
            (Some(constant), _) => format!("expected {}; found {constant}", wanted.0),
            (None, Val::Nothing) => format!("invalid value; expected {}", wanted.1),
            (None, _) => {
                let ty = value.type_name();
                format!("wrong type for value; expected {}; got {ty}", wanted.1)
            }
        };
        self.fail(spot, why)
    }
}
