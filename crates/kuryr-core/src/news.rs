//! What a user should know of an object: the reason and what to do.

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// How bad it is.
    pub kind: Kind,
    /// `CamelCase`, for programs.
    pub reason: &'static str,
    /// What happened and what to do, for people.
    pub message: String,
}

/// How bad news is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For information.
    Normal,
    /// Something does not work.
    Warning,
}

impl News {
    /// News of something that does not work.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Kind::Warning, reason, message: message.into() }
    }
}
