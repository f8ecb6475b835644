//! Arithmetic over named columns, for pipelines: `norm^2 * trace`, `100 * (1 - test_error / 100)`.
//!
//! ```text
//! sum     = product { ("+" | "-") product }
//! product = unary { ("*" | "/") unary }
//! unary   = "-" unary | power
//! power   = atom [ "^" unary ]
//! atom    = number | name | function "(" sum { "," sum } ")" | "(" sum ")"
//! ```
//!
//! So `-a^2` is −(a²), `a^b^c` is a^(b^c), and `2^-1` is ½. A number is `12`, `0.5` or `1e-3`; a name is
//! `[a-z_][a-z0-9_]*` except the names of functions: `sqrt`, `log` (natural), `exp` and `abs` with one argument,
//! `min` and `max` with two.
//!
//! Values are the same to the bit on every platform: `+ - * /` and `sqrt` are exactly rounded, and `log`, `exp` and `^`
//! come from the crate `libm`, not from the system.

mod parse;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

/// Maximum length of the text, in bytes.
const MAX_LENGTH: usize = 1000;
/// Maximum nesting depth of parentheses, functions, signs and exponents.
const MAX_DEPTH: usize = 64;
/// Largest integer exponent that is computed by multiplication.
const MAX_WHOLE: f64 = 16.0;

/// A parsed expression. Its `Display` output is again an expression, with the same value and only the necessary
/// parentheses.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr(Node);

/// Why a text is not an expression. Positions count characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExprError {
    /// The text is longer than allowed.
    #[error("the expression has {0} bytes, but the limit is {MAX_LENGTH}")]
    Long(usize),
    /// The text is nested deeper than allowed.
    #[error("at character {0}: the expression is nested deeper than {MAX_DEPTH} levels")]
    Deep(usize),
    /// Something else is expected at this position.
    #[error("at character {position}: expected {expected}, found {found}")]
    Unexpected {
        /// Position of the error.
        position: usize,
        /// What is allowed there.
        expected: String,
        /// What was found.
        found: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// Finite and not negative.
    Number(f64),
    Name(String),
    Negate(Box<Node>),
    Binary(Op, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Op {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Sqrt,
    Log,
    Exp,
    Abs,
    Min,
    Max,
}

/// All functions: name and number of arguments.
const FUNCTIONS: [(&str, Function, usize); 6] = [
    ("sqrt", Function::Sqrt, 1),
    ("log", Function::Log, 1),
    ("exp", Function::Exp, 1),
    ("abs", Function::Abs, 1),
    ("min", Function::Min, 2),
    ("max", Function::Max, 2),
];

impl Expr {
    /// Parses an expression.
    ///
    /// # Errors
    /// If the text is not an expression, is longer than 1000 bytes or nested deeper than 64 levels.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        if text.len() > MAX_LENGTH {
            return Err(ExprError::Long(text.len()));
        }
        parse::parse(text).map(Self)
    }

    /// Returns the names in the expression.
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.0.collect(&mut names);
        names
    }

    /// Returns the value of the expression; `value_of` returns the value of every name. NaN if a required name has no
    /// value. A NaN input gives NaN: NaN^0, 1^NaN and min(1, NaN) are NaN too, so that diverged values do not become
    /// numbers again.
    pub fn eval(&self, value_of: &dyn Fn(&str) -> Option<f64>) -> f64 {
        let value = self.0.eval(value_of);
        // Sign and payload of a computed NaN differ between processors.
        if value.is_nan() { f64::NAN } else { value }
    }
}

impl Node {
    fn collect<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        match self {
            Self::Number(_) => (),
            Self::Name(name) => {
                names.insert(name);
            }
            Self::Negate(node) => node.collect(names),
            Self::Binary(_, left, right) => [left, right].into_iter().for_each(|node| node.collect(names)),
            Self::Call(_, arguments) => arguments.iter().for_each(|node| node.collect(names)),
        }
    }

    fn eval(&self, value_of: &dyn Fn(&str) -> Option<f64>) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Name(name) => value_of(name).unwrap_or(f64::NAN),
            Self::Negate(node) => -node.eval(value_of),
            Self::Binary(op, left, right) => op.apply(left.eval(value_of), right.eval(value_of)),
            Self::Call(function, arguments) => {
                let mut values = arguments.iter().map(|node| node.eval(value_of));
                let first = values.next().unwrap_or(f64::NAN);
                function.apply(first, values.next())
            }
        }
    }

    /// Returns the binding strength: the level of the grammar that the node belongs to.
    fn level(&self) -> u8 {
        match self {
            Self::Binary(op, ..) => op.look().1,
            Self::Negate(_) => 3,
            Self::Number(_) | Self::Name(_) | Self::Call(..) => 5,
        }
    }

    /// Writes the node, in parentheses if it binds less tightly than its position requires.
    fn write(&self, f: &mut fmt::Formatter<'_>, least: u8) -> fmt::Result {
        if self.level() < least {
            f.write_str("(")?;
            self.write(f, 0)?;
            return f.write_str(")");
        }
        match self {
            Self::Number(number) => {
                // The shortest digits that read back as the same number, with an exponent if that is shorter.
                let text = format!("{number:?}");
                f.write_str(text.strip_suffix(".0").unwrap_or(&text))
            }
            Self::Name(name) => f.write_str(name),
            Self::Negate(node) => {
                f.write_str("-")?;
                node.write(f, 3)
            }
            Self::Binary(op, left, right) => {
                let (sign, level) = op.look();
                // The left operand of `^` must bind more tightly. For the other operators, the right operand must bind more
                // tightly.
                let (of_left, of_right) = if *op == Op::Power { (5, 3) } else { (level, level + 1) };
                left.write(f, of_left)?;
                f.write_str(sign)?;
                right.write(f, of_right)
            }
            Self::Call(function, arguments) => {
                f.write_str(function.name())?;
                for (i, argument) in arguments.iter().enumerate() {
                    f.write_str(if i == 0 { "(" } else { ", " })?;
                    argument.write(f, 0)?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, 0)
    }
}

impl Op {
    /// Returns the operator as written, and its level of the grammar.
    fn look(self) -> (&'static str, u8) {
        match self {
            Self::Add => (" + ", 1),
            Self::Subtract => (" - ", 1),
            Self::Multiply => (" * ", 2),
            Self::Divide => (" / ", 2),
            Self::Power => ("^", 4),
        }
    }

    fn apply(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Power => power(left, right),
        }
    }
}

fn power(base: f64, exponent: f64) -> f64 {
    if base.is_nan() || exponent.is_nan() {
        return f64::NAN;
    }
    if exponent.trunc() != exponent || exponent.abs() > MAX_WHOLE {
        return libm::pow(base, exponent);
    }
    let product = (0..exponent.abs() as u32).fold(1.0, |product, _| product * base);
    if exponent < 0.0 { 1.0 / product } else { product }
}

impl Function {
    fn name(self) -> &'static str {
        FUNCTIONS.iter().find(|(_, function, _)| *function == self).map_or("", |(name, ..)| name)
    }

    fn apply(self, first: f64, second: Option<f64>) -> f64 {
        match (self, second) {
            (Self::Sqrt, _) => first.sqrt(),
            (Self::Log, _) => libm::log(first),
            (Self::Exp, _) => libm::exp(first),
            (Self::Abs, _) => first.abs(),
            // Compare the numbers, because the system's minimum of 0 and −0 is not defined.
            (Self::Min, Some(second)) if first <= second => first,
            (Self::Min, Some(second)) if first > second => second,
            (Self::Max, Some(second)) if first >= second => first,
            (Self::Max, Some(second)) if first < second => second,
            (Self::Min | Self::Max, _) => f64::NAN,
        }
    }
}
