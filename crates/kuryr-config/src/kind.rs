//! What an option's text may be, and what it becomes: oslo.config's types.

use std::{collections::BTreeSet, fmt};

use thiserror::Error;

use crate::python;

/// The type of an option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Any text; one pair of quotes around it is taken off, an open quote is an error.
    QuotedText,
    /// `true`, `1`, `on`, `yes` or `false`, `0`, `off`, `no`.
    Bool,
    /// A whole number between two bounds, both allowed.
    Int {
        /// Least allowed.
        min: i64,
        /// Greatest allowed.
        max: i64,
    },
    /// A number that is not below the bound.
    Float {
        /// Least allowed.
        min: f64,
    },
    /// Items separated by commas.
    List {
        /// Type of each item.
        item: &'static Kind,
        /// Whether the items stand between delimiters.
        bounds: Bounds,
    },
    /// `key:value` pairs separated by commas.
    Dict {
        /// Type of each value.
        value: &'static Kind,
        /// Whether the pairs stand between delimiters.
        bounds: Bounds,
    },
}

/// Whether a list must be written `[a,b]`, a dictionary `{a:1}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// Just the items.
    Bare,
    /// Brackets for a list, braces for a dictionary.
    Delimited,
}

/// The value of an option.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Not set and without default, or a number left empty.
    Unset,
    /// Text.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A list.
    List(Vec<Value>),
    /// A dictionary, in the order written.
    Dict(Vec<(String, Value)>),
}

/// What a text had to be, and was not. The text itself is not in it: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("only {allowed} is allowed here")]
pub struct Refused {
    /// What is allowed, to be put between "only" and "is allowed".
    pub allowed: String,
}

/// Any whole number.
pub const INT: Kind = Kind::Int { min: i64::MIN, max: i64::MAX };
/// A comma-separated list of texts.
pub const LIST: Kind = Kind::List { item: &Kind::Text, bounds: Bounds::Bare };
/// A dictionary of texts.
pub const DICT: Kind = Kind::Dict { value: &Kind::Text, bounds: Bounds::Bare };

impl Kind {
    /// Reads a text as oslo.config's type of the same name does.
    pub fn parse(&self, text: &str) -> Result<Value, Refused> {
        self.value(text).ok_or_else(|| Refused { allowed: self.to_string() })
    }

    /// What the type is called in a table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text | Self::QuotedText => "text",
            Self::Bool => "true or false",
            Self::Int { .. } => "whole number",
            Self::Float { .. } => "number",
            Self::List { .. } => "list",
            Self::Dict { .. } => "dictionary",
        }
    }

    fn value(&self, text: &str) -> Option<Value> {
        match *self {
            Self::Text => Some(Value::Text(text.to_owned())),
            Self::QuotedText => unquoted(text).map(|text| Value::Text(text.to_owned())),
            Self::Bool => truth(text).map(Value::Bool),
            Self::Int { .. } | Self::Float { .. } if python::strip(text).is_empty() => Some(Value::Unset),
            Self::Int { min, max } => {
                python::int(text).filter(|number| (min..=max).contains(number)).map(Value::Int)
            }
            // A NaN is not less than any bound, so that Python lets it pass.
            Self::Float { min } => {
                python::float(text).filter(|number| number.is_nan() || *number >= min).map(Value::Float)
            }
            Self::List { item, bounds } => list(text, item, bounds).map(Value::List),
            Self::Dict { value, bounds } => dict(text, value, bounds).map(Value::Dict),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Text => f.write_str("text"),
            Self::QuotedText => f.write_str("text, its quotes closed"),
            Self::Bool => f.write_str("true, yes, on, 1, false, no, off or 0"),
            Self::Int { min: i64::MIN, max: i64::MAX } => f.write_str("a whole number"),
            Self::Int { min, max: i64::MAX } => write!(f, "a whole number, {min} or more"),
            Self::Int { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Float { min: f64::NEG_INFINITY } => f.write_str("a number"),
            Self::Float { min } => write!(f, "a number, {min} or more"),
            Self::List { item, bounds } => {
                write!(f, "a comma-separated list{} of {item}", bounds.in_words("[", "]"))
            }
            Self::Dict { value, bounds } => {
                let bounds = bounds.in_words("{", "}");
                write!(
                    f,
                    "a comma-separated list{bounds} of different names, each as name:value, the value {value}"
                )
            }
        }
    }
}

impl Bounds {
    fn inner(self, text: &str, open: char, close: char) -> Option<&str> {
        match self {
            Self::Bare => Some(text),
            Self::Delimited if text.starts_with(open) && text.ends_with(close) => {
                Some(text.get(1..text.len() - 1).unwrap_or_default())
            }
            Self::Delimited => None,
        }
    }

    fn in_words(self, open: &str, close: &str) -> String {
        match self {
            Self::Bare => String::new(),
            Self::Delimited => format!(" between {open} and {close}"),
        }
    }
}

impl Value {
    /// The text that another option gets when it refers to this one: Python's `str()` of the value.
    pub fn as_reference(&self) -> String {
        match self {
            Self::Unset => String::new(),
            Self::Text(text) => text.clone(),
            other => other.repr(),
        }
    }

    fn repr(&self) -> String {
        match self {
            Self::Unset => "None".to_owned(),
            Self::Text(text) => python::repr(text),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => python::float_repr(*number),
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::repr).collect::<Vec<_>>().join(", "))
            }
            Self::Dict(pairs) => {
                let pairs =
                    pairs.iter().map(|(key, value)| format!("{}: {}", python::repr(key), value.repr()));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// Every text in the value: itself, the items of a list, the values of a dictionary.
    pub(crate) fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => vec![text],
            Self::List(items) => items.iter().flat_map(Self::texts).collect(),
            Self::Dict(pairs) => pairs.iter().flat_map(|(_, value)| value.texts()).collect(),
            Self::Unset | Self::Bool(_) | Self::Int(_) | Self::Float(_) => Vec::new(),
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Some(true),
        "false" | "0" | "off" | "no" => Some(false),
        _ => None,
    }
}

fn unquoted(text: &str) -> Option<&str> {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.strip_suffix(quote);
        }
    }
    Some(text)
}

/// Splits at commas; a part that its type refuses is joined with the next, since an item may hold commas itself.
fn list(text: &str, item: &Kind, bounds: Bounds) -> Option<Vec<Value>> {
    let inner = bounds.inner(python::strip(text).trim_end_matches(','), '[', ']')?;
    joined(inner, |part| item.value(python::strip(part)))
}

fn dict(text: &str, kind: &Kind, bounds: Bounds) -> Option<Vec<(String, Value)>> {
    let inner = bounds.inner(python::strip(text), '{', '}')?;
    let pairs = joined(inner, |part| {
        let (key, value) = part.split_once(':')?;
        Some((python::strip(key).to_owned(), kind.value(python::strip(value))?))
    })?;
    let keys: BTreeSet<_> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    (keys.len() == pairs.len() && !keys.contains("")).then_some(pairs)
}

fn joined<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut items = Vec::new();
    let mut start = 0;
    for (end, _) in text.match_indices(',').chain([(text.len(), "")]) {
        let part = text.get(start..end)?;
        if let Some(item) = read(part) {
            items.push(item);
            start = end + 1;
        }
    }
    (start > text.len()).then_some(items)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NUMBERS: Kind = Kind::List { item: &INT, bounds: Bounds::Delimited };
    const QUOTED: Kind = Kind::List { item: &Kind::QuotedText, bounds: Bounds::Bare };

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn lists_keep_empty_items_but_not_trailing_commas() {
        assert_eq!(LIST.parse("a,, b ,,"), Ok(Value::List(vec![text("a"), text(""), text("b")])));
        assert_eq!(LIST.parse(" "), Ok(Value::List(vec![])));
    }

    #[test]
    fn a_refused_item_is_joined_with_the_next() {
        assert_eq!(QUOTED.parse("'a,b', c"), Ok(Value::List(vec![text("a,b"), text("c")])));
        assert!(QUOTED.parse("'a,b").is_err());
    }

    #[test]
    fn delimited_lists_need_both_delimiters() {
        assert_eq!(NUMBERS.parse("[1, 2]"), Ok(Value::List(vec![Value::Int(1), Value::Int(2)])));
        assert_eq!(NUMBERS.parse("["), Err(Refused { allowed: NUMBERS.to_string() }));
        assert!(NUMBERS.parse("1,2").is_err());
    }

    #[test]
    fn dictionaries_refuse_doubled_and_empty_names() {
        let pairs = vec![("a".to_owned(), text("1:2")), ("b,c".to_owned(), text(""))];
        assert_eq!(DICT.parse("a : 1:2,b,c:"), Ok(Value::Dict(pairs)));
        assert!(DICT.parse("a:1,a:2").is_err());
        assert!(DICT.parse(":1").is_err());
        assert!(DICT.parse("a").is_err());
    }

    #[test]
    fn an_empty_number_is_unset_and_an_empty_truth_is_refused() {
        assert_eq!(INT.parse("  "), Ok(Value::Unset));
        assert!(Kind::Bool.parse("").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]{}:,'\" \\n0-9eE_.+a-cé-]{0,40}") {
            for kind in [INT, LIST, DICT, NUMBERS, QUOTED, Kind::Bool, Kind::Float { min: 0.0 }] {
                let _ = kind.parse(&text);
            }
        }
    }
}
