//! Errors as the specification wants them printed.

use serde::{Deserialize, Serialize};

/// What kind of error it is: the specification's numbers up to 99, ours from 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The configuration is in a version that is not spoken here.
    IncompatibleVersion,
    /// The runtime need not call DEL: there is no such container (any more).
    UnknownContainer,
    /// A variable of the environment is missing or wrong.
    InvalidEnvironment,
    /// Input or output failed.
    Io,
    /// The input is not JSON, or not the JSON that was expected.
    Decoding,
    /// The network configuration is wrong.
    InvalidConfig,
    /// Nothing is wrong that time could not mend.
    TryAgainLater,
    /// STATUS: ADD would fail.
    NotAvailable,
    /// STATUS: ADD would fail, and pods that run may have lost connections.
    LimitedConnectivity,
    /// The KuryrPort of the pod cannot be plugged as it stands.
    BadRecord,
    /// An interface could not be set up or removed.
    Plugging,
    /// CHECK: something is not as ADD left it.
    CheckFailed,
}

/// An error as it is printed for the runtime, which shows it to people as an event of the pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CniError {
    /// The version of the configuration, as far as it was understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni_version: Option<String>,
    /// The error's number.
    pub code: u32,
    /// What went wrong and what can be done about it.
    pub msg: String,
    /// More for those who search the cause.
    #[serde(default)]
    pub details: String,
}

impl Code {
    /// The number in the specification.
    pub fn number(self) -> u32 {
        match self {
            Self::IncompatibleVersion => 1,
            Self::UnknownContainer => 3,
            Self::InvalidEnvironment => 4,
            Self::Io => 5,
            Self::Decoding => 6,
            Self::InvalidConfig => 7,
            Self::TryAgainLater => 11,
            Self::NotAvailable => 50,
            Self::LimitedConnectivity => 51,
            Self::BadRecord => 100,
            Self::Plugging => 101,
            Self::CheckFailed => 102,
        }
    }
}

impl CniError {
    /// An error without details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { cni_version: None, code: code.number(), msg: message.into(), details: String::new() }
    }

    /// The same error with details.
    #[must_use]
    pub fn with_details(self, details: impl Into<String>) -> Self {
        Self { details: details.into(), ..self }
    }

    /// The same error as an answer in a version.
    #[must_use]
    pub fn in_version(self, version: impl Into<String>) -> Self {
        Self { cni_version: Some(version.into()), ..self }
    }
}
