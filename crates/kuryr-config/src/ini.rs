//! The INI dialect of oslo.config: sections, `key = value` or `key: value`, continuation lines, comments, quotes.
//!
//! Nothing here knows an option: a file becomes a list of assignments in file order, each with the line it began on.
//! What oslo.config refuses is refused here, for the same reason and in the same order.

use thiserror::Error;

use crate::python::{lines, lstrip, rstrip, strip};

/// One `key = value` of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Section as written, without its brackets.
    pub section: String,
    /// Key as written.
    pub key: String,
    /// Value without surrounding space and quotes; continuation lines are joined by a newline.
    pub value: String,
    /// Line of the key, from 1.
    pub line: usize,
}

/// Why a file is not in the dialect. Reading stops at the first fault, as it does in oslo.config.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {fault}")]
pub struct SyntaxError {
    /// Line of the fault, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// Neither a section, nor a comment, nor an assignment.
    #[error("no '=' or ':' in the line")]
    NoSeparator,
    /// `= value`.
    #[error("the option's name is missing")]
    EmptyKey,
    /// An indented line that continues nothing.
    #[error("an indented line continues the value before it, and there is none")]
    NothingToContinue,
    /// `[section` without its end.
    #[error("a section must end with ']'")]
    UnclosedSection,
    /// `[]`.
    #[error("the section's name is missing")]
    EmptySection,
    /// An assignment above the first section.
    #[error("there is no [section] above this option")]
    NoSection,
}

/// A file, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// Every assignment in file order.
    pub assignments: Vec<Assignment>,
    /// Every section header with its line, in file order.
    pub sections: Vec<(String, usize)>,
}

/// An assignment whose continuation lines may still follow.
struct Open {
    key: String,
    value: String,
    line: usize,
}

impl Document {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut document = Self::default();
        let mut open: Option<Open> = None;
        for (line, text) in (1..).zip(lines(text)) {
            document.line(rstrip(text), line, &mut open).map_err(|fault| SyntaxError { line, fault })?;
        }
        document.close(&mut open).map_err(|(fault, line)| SyntaxError { line, fault })?;
        Ok(document)
    }

    fn line(&mut self, text: &str, line: usize, open: &mut Option<Open>) -> Result<(), Fault> {
        if text.starts_with([' ', '\t']) {
            let open = open.as_mut().ok_or(Fault::NothingToContinue)?;
            open.value.push('\n');
            open.value.push_str(lstrip(text));
            return Ok(());
        }
        self.close(open).map_err(|(fault, _)| fault)?;
        if text.is_empty() || text.starts_with(['#', ';']) {
            return Ok(());
        }
        if text.starts_with('[') {
            self.sections.push((section(text)?.to_owned(), line));
            return Ok(());
        }
        let (key, value) = assignment(text)?;
        *open = Some(Open { key: key.to_owned(), value: value.to_owned(), line });
        Ok(())
    }

    fn close(&mut self, open: &mut Option<Open>) -> Result<(), (Fault, usize)> {
        let Some(Open { key, value, line }) = open.take() else { return Ok(()) };
        let Some((section, _)) = self.sections.last() else { return Err((Fault::NoSection, line)) };
        self.assignments.push(Assignment { section: section.clone(), key, value, line });
        Ok(())
    }
}

fn section(text: &str) -> Result<&str, Fault> {
    let name =
        text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).ok_or(Fault::UnclosedSection)?;
    if name.is_empty() { Err(Fault::EmptySection) } else { Ok(name) }
}

fn assignment(text: &str) -> Result<(&str, &str), Fault> {
    let (key, value) = text.split_once(['=', ':']).ok_or(Fault::NoSeparator)?;
    let key = strip(key);
    if key.is_empty() { Err(Fault::EmptyKey) } else { Ok((key, unquote(strip(value)))) }
}

/// Takes one pair of equal quotes off. A lone quote is its own pair, as in oslo.config.
fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote) {
            if inner.is_empty() {
                return inner;
            }
            return inner.strip_suffix(quote).unwrap_or(value);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Vec<(String, String, String)> {
        let document = Document::parse(text).expect("parses");
        document.assignments.into_iter().map(|a| (a.section, a.key, a.value)).collect()
    }

    fn fault(text: &str) -> (usize, Fault) {
        let error = Document::parse(text).expect_err("does not parse");
        (error.line, error.fault)
    }

    #[test]
    fn reads_sections_quotes_and_continuations() {
        let text = "[a]\nx = 'one'\n  two\n\n# c\n; c\ny: \"q\nz==\n[a b]\nx=#no comment";
        let expected =
            [("a", "x", "one\ntwo"), ("a", "y", "\"q"), ("a", "z", "="), ("a b", "x", "#no comment")];
        let found = values(text);
        let found: Vec<_> = found.iter().map(|(s, k, v)| (s.as_str(), k.as_str(), v.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn names_the_fault_and_its_line() {
        assert_eq!(fault("[a]\nx"), (2, Fault::NoSeparator));
        assert_eq!(fault("[a]\n= 1"), (2, Fault::EmptyKey));
        assert_eq!(fault("[a]\n\n x = 1"), (3, Fault::NothingToContinue));
        assert_eq!(fault("[a"), (1, Fault::UnclosedSection));
        assert_eq!(fault("[]"), (1, Fault::EmptySection));
        assert_eq!(fault("x = 1"), (1, Fault::NoSection));
    }

    #[test]
    fn a_lone_quote_is_an_empty_value() {
        assert_eq!(values("[a]\nx = \"\ny = ''")[0].2, "");
        assert_eq!(values("[a]\nx = \"\ny = '''")[1].2, "'");
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]=:#; \\n\\r\\t\"'a-c$é]{0,80}") {
            let _ = Document::parse(&text);
        }

        #[test]
        fn every_written_assignment_is_read_back(key in "[a-z_]{1,8}", value in "[a-z0-9 ,:=]{0,20}") {
            let found = values(&format!("[group]\n{key} = {value}"));
            prop_assert_eq!(&found[0].1, &key);
            prop_assert_eq!(&found[0].2, value.trim());
        }
    }
}
