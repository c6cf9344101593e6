//! The versions of the specification.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    error::{CniError, Code},
    request::Command,
};

/// A version of the specification that is spoken here, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0.3.0
    V0_3_0,
    /// 0.3.1
    V0_3_1,
    /// 0.4.0, which brought CHECK.
    V0_4_0,
    /// 1.0.0, which dropped the family from addresses.
    V1_0_0,
    /// 1.1.0, which brought STATUS and GC, and the MTU of interfaces.
    V1_1_0,
}

/// The answer to VERSION.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// The version that this answer is in.
    pub cni_version: String,
    /// All versions that are spoken.
    pub supported_versions: Vec<String>,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Refuses a command that the version does not know yet.
    pub fn allow(self, command: Command) -> Result<(), CniError> {
        let since = match command {
            Command::Add | Command::Del | Command::Version => Self::V0_3_0,
            Command::Check => Self::V0_4_0,
            Command::Status | Command::Gc => Self::V1_1_0,
        };
        if self >= since {
            return Ok(());
        }
        let message =
            format!("{command} exists since CNI {since}, and the configuration's cniVersion is {self}");
        Err(CniError::new(Code::IncompatibleVersion, message))
    }
}

impl FromStr for Version {
    type Err = CniError;

    fn from_str(text: &str) -> Result<Self, CniError> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or_else(|| {
            let spoken = Self::ALL.map(Self::as_str).join(", ");
            let message = format!("the configuration's cniVersion is {text:?}; kuryr-cni speaks {spoken}");
            CniError::new(Code::IncompatibleVersion, message)
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl VersionInfo {
    /// The answer to a runtime that asked in a version, which need not be one that is spoken here.
    pub fn asked_in(version: Option<&str>) -> Self {
        let spoken = version.and_then(|text| text.parse().ok()).unwrap_or(Version::V1_1_0);
        Self {
            cni_version: spoken.to_string(),
            supported_versions: Version::ALL.iter().map(ToString::to_string).collect(),
        }
    }
}
