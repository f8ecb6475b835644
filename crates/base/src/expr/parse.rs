//! Parsing an expression.

use super::{ExprError, FUNCTIONS, MAX_DEPTH, Node, Op};

/// Parses the whole text as one sum.
pub(super) fn parse(text: &str) -> Result<Node, ExprError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let node = parser.sum()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.unexpected("an operator or the end")),
    }
}

/// Recursive descent parser, with one method per line of the grammar.
struct Parser<'a> {
    text: &'a str,
    /// Number of bytes read.
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn sum(&mut self) -> Result<Node, ExprError> {
        let mut left = self.product()?;
        while let Some(op) = self.operator(&[('+', Op::Add), ('-', Op::Subtract)]) {
            left = Node::Binary(op, Box::new(left), Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Node, ExprError> {
        let mut left = self.unary()?;
        while let Some(op) = self.operator(&[('*', Op::Multiply), ('/', Op::Divide)]) {
            left = Node::Binary(op, Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    /// Every nesting passes through this method, so the depth is counted here.
    fn unary(&mut self) -> Result<Node, ExprError> {
        if self.depth > MAX_DEPTH {
            return Err(ExprError::Deep(self.position()));
        }
        self.depth += 1;
        let node = if self.take('-') { Node::Negate(Box::new(self.unary()?)) } else { self.power()? };
        self.depth -= 1;
        Ok(node)
    }

    fn power(&mut self) -> Result<Node, ExprError> {
        let base = self.atom()?;
        match self.operator(&[('^', Op::Power)]) {
            Some(op) => Ok(Node::Binary(op, Box::new(base), Box::new(self.unary()?))),
            None => Ok(base),
        }
    }

    fn atom(&mut self) -> Result<Node, ExprError> {
        match self.peek() {
            Some('(') => {
                self.take('(');
                let inner = self.sum()?;
                self.closing()?;
                Ok(inner)
            }
            Some(c) if c.is_ascii_digit() => self.number(),
            Some(c) if c.is_ascii_lowercase() || c == '_' => self.name(),
            _ => Err(self.unexpected("a number, a name, `-` or `(`")),
        }
    }

    fn number(&mut self) -> Result<Node, ExprError> {
        let start = self.at;
        self.digits()?;
        if self.rest().starts_with('.') {
            self.at += 1;
            self.digits()?;
        }
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            if self.rest().starts_with(['+', '-']) {
                self.at += 1;
            }
            self.digits()?;
        }
        match self.text[start..self.at].parse() {
            Ok(number) if f64::is_finite(number) => Ok(Node::Number(number)),
            _ => {
                self.at = start;
                Err(self.unexpected("a number below 1.8e308"))
            }
        }
    }

    fn digits(&mut self) -> Result<(), ExprError> {
        if !self.rest().starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.unexpected("a digit"));
        }
        self.skip(|c| c.is_ascii_digit());
        Ok(())
    }

    fn name(&mut self) -> Result<Node, ExprError> {
        let start = self.at;
        self.skip(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let name = &self.text[start..self.at];
        let called = self.peek() == Some('(');
        let Some(&(_, function, count)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            if !called {
                return Ok(Node::Name(name.to_owned()));
            }
            self.at = start;
            return Err(self.unexpected("a function (sqrt, log, exp, abs, min, max) before `(`"));
        };
        if !self.take('(') {
            return Err(self.unexpected(&format!("`(` after the function `{name}`")));
        }
        let mut arguments = vec![self.sum()?];
        while arguments.len() < count {
            if !self.take(',') {
                return Err(self.unexpected(&format!("`,` and another argument of `{name}`")));
            }
            arguments.push(self.sum()?);
        }
        self.closing()?;
        Ok(Node::Call(function, arguments))
    }

    fn closing(&mut self) -> Result<(), ExprError> {
        if self.take(')') { Ok(()) } else { Err(self.unexpected("an operator or `)`")) }
    }

    fn operator(&mut self, known: &[(char, Op)]) -> Option<Op> {
        known.iter().find(|(sign, _)| self.take(*sign)).map(|(_, op)| *op)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    /// Returns the next character that is not a space.
    fn peek(&mut self) -> Option<char> {
        self.skip(|c| c.is_ascii_whitespace());
        self.rest().chars().next()
    }

    fn skip(&mut self, passes: impl Fn(char) -> bool) {
        self.at += self.rest().chars().take_while(|c| passes(*c)).map(char::len_utf8).sum::<usize>();
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn position(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }

    fn unexpected(&self, expected: &str) -> ExprError {
        let rest = self.rest();
        // A whole word or number, or one character.
        let word: String =
            rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.')).take(20).collect();
        let found = match rest.chars().next() {
            None => "the end".to_owned(),
            Some(c) if word.is_empty() => format!("`{}`", c.escape_debug()),
            Some(_) => format!("`{word}`"),
        };
        ExprError::Unexpected { position: self.position(), expected: expected.to_owned(), found }
    }
}
