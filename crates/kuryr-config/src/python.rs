//! The few rules of Python's text and numbers that decide how a `kuryr.conf` reads.
//!
//! oslo.config is Python, so what is a space, what is a number and what `$option` expands to are Python's answers.

use std::fmt::Write as _;

/// Python's `str.isspace` for one character: Unicode's white space and the four ASCII separators.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Python's `str.strip()`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Python's `str.rstrip()`.
pub(crate) fn rstrip(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// Python's `str.lstrip()`.
pub(crate) fn lstrip(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// The lines of a text file as Python's universal newlines give them: `\n`, `\r` and `\r\n` end a line, nothing else does.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
        Some(line)
    })
}

/// Python's `int(text)` for ASCII digits: a sign and single underscores between digits are allowed.
pub(crate) fn int(text: &str) -> Option<i64> {
    let text = strip(text);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    joined_digits(digits)?;
    text.replace('_', "").parse().ok()
}

/// Python's `float(text)`.
pub(crate) fn float(text: &str) -> Option<f64> {
    let text = strip(text);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !matches!(unsigned.to_ascii_lowercase().as_str(), "inf" | "infinity" | "nan") {
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        if let Some(exponent) = exponent {
            joined_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))?;
        }
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let parts = [whole, fraction];
        let mut given = parts.iter().filter(|part| !part.is_empty()).peekable();
        given.peek()?;
        given.try_for_each(|part| joined_digits(part))?;
    }
    text.replace('_', "").parse().ok()
}

/// Python's `repr(text)`, as it shows in the text of a list that another option refers to.
pub(crate) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if c == quote => shown.extend(['\\', c]),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{a0}' | '\u{ad}' => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\x{:02x}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown.push(quote);
    shown
}

/// Python's `repr(number)`: the shortest digits that read back equal, an exponent below 1e-4 and from 1e16.
pub(crate) fn float_repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if number == 0.0 || (1e-4..1e16).contains(&number.abs()) {
        return format!("{number:?}");
    }
    let shown = format!("{number:e}");
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `Some` when `text` is one or more digits with at most one underscore between two of them.
fn joined_digits(text: &str) -> Option<()> {
    let ok = text.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    ok.then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_pythons() {
        for (text, number) in [("1_000", 1000), ("+5", 5), (" 7 ", 7), ("-0", 0), ("007", 7)] {
            assert_eq!(int(text), Some(number), "{text}");
        }
        for text in ["_1", "1__0", "1_", "- 5", "0x10", "", "+", "1.0"] {
            assert_eq!(int(text), None, "{text}");
        }
    }

    #[test]
    fn floats_are_pythons() {
        for (text, number) in
            [("1_0.5", 10.5), (".5", 0.5), ("5.", 5.0), ("1e5", 1e5), ("1.e1", 10.0), ("-2", -2.0)]
        {
            assert_eq!(float(text), Some(number), "{text}");
        }
        assert_eq!(float("-Infinity"), Some(f64::NEG_INFINITY));
        for text in ["1e", "_1.0", "1_.0", "0x1p3", ".", "", "infinit", "1._5"] {
            assert_eq!(float(text), None, "{text}");
        }
    }

    #[test]
    fn only_newlines_end_lines() {
        let found: Vec<_> = lines("a\r\nb\rc\n\u{2028}d\u{b}e\n\nf").collect();
        assert_eq!(found, ["a", "b", "c", "\u{2028}d\u{b}e", "", "f"]);
    }

    #[test]
    fn floats_show_as_in_python() {
        for (number, shown) in [
            (1.0, "1.0"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (-0.0, "-0.0"),
            (1e300, "1e+300"),
        ] {
            assert_eq!(float_repr(number), shown);
        }
    }

    #[test]
    fn repr_quotes_as_python_does() {
        assert_eq!(repr("it's"), "\"it's\"");
        assert_eq!(repr("it's \"x\"\n\u{7f}"), "'it\\'s \"x\"\\n\\x7f'");
    }
}
