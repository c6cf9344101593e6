//! Names that a runtime gives, checked once where they come in.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest name that Linux allows for a link.
const IFNAME_MAX: usize = 15;

/// The runtime's name for a pod's sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// A link's name inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IfName(String);

/// A name that the specification or the kernel does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidId {
    text: String,
    rule: &'static str,
}

impl ContainerId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl IfName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let starts_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        let goes_on_well = text.chars().all(|other| other.is_ascii_alphanumeric() || "_.-".contains(other));
        if starts_well && goes_on_well {
            return Ok(Self(text.to_owned()));
        }
        let rule = "must begin with a letter or digit and go on with letters, digits, '_', '.' or '-'";
        Err(InvalidId { text: text.to_owned(), rule })
    }
}

impl FromStr for IfName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits = (1..=IFNAME_MAX).contains(&text.len()) && !matches!(text, "." | "..");
        // The kernel would put a number in the place of a '%'.
        let wrong = |found: char| "/:%".contains(found) || found.is_whitespace() || found.is_control();
        if fits && !text.contains(wrong) {
            return Ok(Self(text.to_owned()));
        }
        let rule =
            "must have 1 to 15 characters, none of them '/', ':', '%' or a blank, and not be '.' or '..'";
        Err(InvalidId { text: text.to_owned(), rule })
    }
}

impl TryFrom<String> for ContainerId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl TryFrom<String> for IfName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> Self {
        name.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.text, self.rule)
    }
}

impl std::error::Error for InvalidId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_ids_follow_the_specification() {
        for good in ["a", "0123abcd", "cni-1_2.3"] {
            assert_eq!(good.parse::<ContainerId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", ".", "a/b", "a b", "ä", "a\n"] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn interface_names_follow_the_kernel() {
        for good in ["e", "eth0", "eth0.100", "123456789012345"] {
            assert_eq!(good.parse::<IfName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "1234567890123456", "a/b", "a:b", "a b", "a\tb", "a\0", "eth%d"] {
            assert!(bad.parse::<IfName>().is_err(), "{bad:?}");
        }
    }
}
