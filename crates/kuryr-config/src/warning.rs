//! What an operator should know about a configuration that is otherwise good.

use std::fmt;

use crate::error::Origin;

/// Something in the configuration that does not do what its writer may think.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands.
    pub origin: Origin,
    /// The group.
    pub group: String,
    /// What it is about.
    pub what: What,
}

/// What a warning is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Nobody knows this group.
    UnknownGroup {
        /// A known one that is spelt nearly so.
        near: Option<&'static str>,
    },
    /// Nobody knows this option of a known group.
    UnknownOption {
        /// Its name.
        option: String,
        /// A known one that is spelt nearly so.
        near: Option<&'static str>,
    },
    /// The option has a newer name.
    Renamed {
        /// Its name as found.
        option: String,
        /// Its group and name now.
        to: (String, &'static str),
    },
    /// The option belongs to a feature that is not there yet.
    Later {
        /// Its name.
        option: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// The option has no meaning any more.
    Obsolete {
        /// Its name.
        option: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The value asks for a feature that is not there yet.
    LaterValue {
        /// The option's name.
        option: &'static str,
        /// The value.
        value: &'static str,
        /// The feature.
        feature: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, group, what } = self;
        write!(f, "{origin}: [{group}]")?;
        match what {
            What::UnknownGroup { near } => {
                f.write_str(" is not a known group and is ignored")?;
                near.map_or(Ok(()), |near| write!(f, "; did you mean [{near}]?"))
            }
            What::UnknownOption { option, near } => {
                write!(f, " {option} is not a known option and is ignored")?;
                near.map_or(Ok(()), |near| write!(f, "; did you mean {near}?"))
            }
            What::Renamed { option, to: (group, name) } => {
                write!(f, " {option} is now called [{group}] {name}")
            }
            What::Later { option, feature } => write!(f, " {option} has no effect yet ({feature})"),
            What::Obsolete { option, why } => write!(f, " {option} has no effect any more: {why}"),
            What::LaterValue { option, value, feature } => {
                write!(f, " {option} = {value} has no effect yet ({feature})")
            }
        }
    }
}

/// The known name nearest to `name`, if it is near enough to be a slip: a third of it may differ, at most three characters.
pub(crate) fn nearest(name: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let slack = (name.chars().count() / 3).clamp(1, 3);
    let measured =
        known.into_iter().map(|known| (distance(&name.to_lowercase(), &known.to_lowercase()), known));
    measured.filter(|(distance, _)| *distance <= slack).min().map(|(_, known)| known)
}

/// How many characters have to be put in, taken out or changed to come from one name to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (b, above) in to.iter().zip(row.iter_mut().skip(1)) {
            let changed = corner + usize::from(a != *b);
            corner = *above;
            left = changed.min(left + 1).min(corner + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_changes() {
        for (from, to, count) in
            [("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2)]
        {
            assert_eq!(distance(from, to), count, "{from} {to}");
        }
    }

    #[test]
    fn only_a_slip_is_near() {
        let known = ["pod_subnet", "pod_subnets", "project"];
        assert_eq!(nearest("pod_subnt", known), Some("pod_subnet"));
        assert_eq!(nearest("Project", known), Some("project"));
        assert_eq!(nearest("signing_dir", known), None);
    }
}
