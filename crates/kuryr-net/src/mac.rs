//! MAC addresses.

use std::{fmt, str::FromStr};

/// A 48-bit MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacAddr([u8; 6]);

/// The text is not a MAC address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a MAC address")]
pub struct ParseMacError(String);

impl MacAddr {
    /// The six bytes.
    pub fn octets(self) -> [u8; 6] {
        self.0
    }

    /// The same but for its first byte.
    pub(crate) fn with_first(self, first: u8) -> Self {
        let mut octets = self.0;
        octets[0] = first;
        Self(octets)
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let wrong = || ParseMacError(text.to_owned());
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self(octets)) }
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|octet| write!(f, ":{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_and_written() {
        let mac: MacAddr = "FA:16:3e:80:d4:21".parse().unwrap();
        assert_eq!(mac.to_string(), "fa:16:3e:80:d4:21");
        assert_eq!(mac.octets()[0], 0xfa);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "fa:16:3e:80:d4",
            "fa:16:3e:80:d4:21:00",
            "fa:16:3e:80:d4:2",
            "fa-16-3e-80-d4-21",
            "+a:16:3e:80:d4:2g",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(ParseMacError(text.to_owned())));
        }
    }
}
