//! `$option`, `${group.option}` and `$$` in a value: Python's `string.Template` with oslo.config's names.

/// A piece of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text that stands for itself.
    Text(&'a str),
    /// The name of another option.
    Reference(&'a str),
}

/// The value with oslo.config's `\\$` in Python's own spelling, `$$`.
pub(crate) fn spelt(value: &str) -> String {
    value.replace("\\$", "$$")
}

/// Cuts a [`spelt`] value into its pieces. A dollar sign that begins no reference stands for itself.
pub(crate) fn pieces(value: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((text, after)) = rest.split_once('$') {
        let (piece, tail) = dollar(after);
        found.extend([Piece::Text(text), piece]);
        rest = tail;
    }
    found.push(Piece::Text(rest));
    found.retain(|piece| *piece != Piece::Text(""));
    found
}

/// What a dollar sign with this after it means, and what follows.
fn dollar(after: &str) -> (Piece<'_>, &str) {
    if let Some(tail) = after.strip_prefix('$') {
        return (Piece::Text("$"), tail);
    }
    if let Some((name, tail)) = after.strip_prefix('{').and_then(name)
        && let Some(tail) = tail.strip_prefix('}')
    {
        return (Piece::Reference(name), tail);
    }
    name(after).map_or((Piece::Text("$"), after), |(name, tail)| (Piece::Reference(name), tail))
}

/// The longest name that the text begins with, and what follows.
fn name(text: &str) -> Option<(&str, &str)> {
    let goes_on = |c: char| begins_name(c) || c == '.' || c.is_ascii_digit();
    text.starts_with(begins_name).then(|| text.split_at(text.find(|c| !goes_on(c)).unwrap_or(text.len())))
}

/// Python compares without regard to case, by which four more letters are as good as an ASCII one.
fn begins_name(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic() || matches!(c, '\u{130}' | '\u{131}' | '\u{17f}' | '\u{212a}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        Piece::{Reference, Text},
        *,
    };

    #[test]
    fn finds_references() {
        let found = pieces("a$b ${c.d}e$f.g-");
        assert_eq!(
            found,
            [Text("a"), Reference("b"), Text(" "), Reference("c.d"), Text("e"), Reference("f.g"), Text("-")]
        );
    }

    #[test]
    fn dollars_are_escaped_as_in_python() {
        for (value, text) in [
            (r"\$a", "$a"),
            (r"\$$a", "$<a>"),
            (r"\\$a", r"\$a"),
            (r"$\$a", "$<a>"),
            (r"$$\$", "$$"),
            ("${a$b}", "${a<b>}"),
            ("$$$a", "$<a>"),
            (r"$a\$b", "<a>$b"),
            ("$5 ${} $", "$5 ${} $"),
        ] {
            assert_eq!(shown(value), text, "{value}");
        }
    }

    fn shown(value: &str) -> String {
        let show = |piece: &Piece<'_>| match piece {
            Text(text) => (*text).to_owned(),
            Reference(name) => format!("<{name}>"),
        };
        pieces(&spelt(value)).iter().map(show).collect()
    }

    proptest! {
        #[test]
        fn never_panics_and_keeps_plain_text(value in "[$\\\\{}a-c_.0é ]{0,30}", plain in "[^$]{0,30}") {
            let _ = pieces(&value);
            prop_assert_eq!(shown(&plain), plain);
        }
    }
}
