//! What can go wrong in a call to OpenStack, and what a caller may do about it.
//!
//! A caller matches on [`Error::kind`] to learn what happened, on [`Error::class`] to learn whether trying again helps,
//! and on [`Error::effect`] before it repeats a call that is not idempotent.

mod octavia;
mod refusal;

pub use refusal::Refusal;

use crate::Service;
use http::Method;
use kuryr_api::cloud::Interface;
use std::{fmt, sync::Arc, time::Duration};

/// The result of a call to OpenStack.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call. Cheap to clone, because the requests that were joined into one call share its failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// OpenStack answered, with an error status.
    #[error("{0}")]
    Refused(Arc<Refusal>),

    /// The request could not be sent, or its answer did not arrive.
    #[error("no answer to {call}")]
    Exchange {
        /// What was asked.
        call: Target,
        /// How it failed: [`Kind::Unreachable`], [`Kind::TimedOut`] or [`Kind::Interrupted`].
        kind: Kind,
        /// What the HTTP client says.
        #[source]
        source: Arc<reqwest::Error>,
    },

    /// The answer is not what the API documents.
    #[error("the answer to {call} cannot be read")]
    Decode {
        /// What was asked.
        call: Target,
        /// What is wrong with it.
        #[source]
        source: Arc<serde_json::Error>,
    },

    /// A request body or address could not be made from what the caller gave.
    #[error("{call} cannot be expressed as a request")]
    Encode {
        /// What was to be asked.
        call: Target,
        /// What stands in the way.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },

    /// Keystone gave no token.
    #[error("cannot sign in to OpenStack")]
    SignIn {
        /// Why not.
        #[source]
        source: Arc<Error>,
    },

    /// Keystone's answer to a sign-in lacks what the API promises.
    #[error("keystone's answer has no {missing}")]
    ReadToken {
        /// The missing part.
        missing: &'static str,
    },

    /// The service catalogue has no such endpoint.
    #[error("the service catalogue has no {interface} endpoint for {service}{}", in_region(.region.as_deref()))]
    FindEndpoint {
        /// The service that was looked for.
        service: Service,
        /// The interface that was asked for.
        interface: Interface,
        /// The region that was asked for.
        region: Option<String>,
    },

    /// The task that was to make the call has ended: the process is shutting down.
    #[error("the call was given up because the process is stopping")]
    Stopped,

    /// The gate was closed: this process may not write now.
    #[error("{call} was not let out: this process is not the leader any more")]
    Fenced {
        /// What was to be asked.
        call: Target,
        /// Whether it was under way when the gate closed.
        effect: Effect,
    },

    /// A created resource is not in the server's answer.
    #[error("the answer to {call} lacks what it should have created")]
    MatchAnswer {
        /// What was asked.
        call: Target,
    },
}

/// A call's name in messages: method and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The service that was called.
    pub service: Service,
    /// The HTTP method.
    pub method: Method,
    /// The path below the service's endpoint, without the query.
    pub path: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What was asked for, or something that the request names, does not exist.
    NotFound,
    /// The state of things does not allow it now: immutable, taken, already there.
    Conflict,
    /// It can't be deleted while something else needs it.
    InUse,
    /// The object has changed since the revision that the request named.
    Stale,
    /// The project's quota is used up, or a limit of the object.
    OverQuota,
    /// The subnet has no free address.
    NoFreeAddress,
    /// The credentials were not accepted.
    Unauthorized,
    /// The credentials do not allow it.
    Forbidden,
    /// The request makes no sense to the server.
    Invalid,
    /// Too many requests.
    RateLimited,
    /// The service, or what it depends on, is down.
    Unavailable,
    /// The server failed in a way that it did not foresee (500).
    Fault,
    /// No connection could be made.
    Unreachable,
    /// No answer came in time.
    TimedOut,
    /// The connection broke before the answer was complete.
    Interrupted,
    /// This process may not write now.
    Fenced,
    /// The answer could not be understood.
    Unreadable,
    /// The catalogue has no such service.
    NoEndpoint,
    /// The server, or what stands behind it (an Octavia provider, say), has no such feature.
    Unsupported,
}

/// What a caller should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Try again with backoff: it goes over by itself.
    Retry,
    /// Try again at leisure and tell a user: someone has to free, raise or repair something.
    Wait,
    /// The same request fails for ever.
    Permanent,
}

/// Whether a failed request may have taken effect all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It certainly did not.
    None,
    /// It may have: look before repeating.
    Unknown,
}

impl Error {
    /// What happened.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused(refusal) => refusal.kind,
            Self::Exchange { kind, .. } => *kind,
            // An unknown application credential is answered 404, a malformed one 400: all mean "not with these".
            Self::SignIn { source } => match source.kind() {
                Kind::NotFound | Kind::Invalid | Kind::Forbidden => Kind::Unauthorized,
                kind => kind,
            },
            Self::Stopped => Kind::Interrupted,
            Self::Fenced { .. } => Kind::Fenced,
            Self::Encode { .. } => Kind::Invalid,
            Self::Decode { .. } | Self::ReadToken { .. } | Self::MatchAnswer { .. } => Kind::Unreadable,
            Self::FindEndpoint { .. } => Kind::NoEndpoint,
        }
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        match self.kind() {
            Kind::OverQuota
            | Kind::NoFreeAddress
            | Kind::Unauthorized
            | Kind::Forbidden
            | Kind::NoEndpoint => Class::Wait,
            Kind::NotFound | Kind::Invalid | Kind::Unsupported => Class::Permanent,
            _ => Class::Retry,
        }
    }

    /// Whether the request may have taken effect.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Exchange { kind, .. } if *kind == Kind::Unreachable => Effect::None,
            Self::Exchange { .. } | Self::Decode { .. } | Self::MatchAnswer { .. } | Self::Stopped => {
                Effect::Unknown
            }
            Self::Encode { .. }
            | Self::SignIn { .. }
            | Self::ReadToken { .. }
            | Self::FindEndpoint { .. } => Effect::None,
            Self::Fenced { effect, .. } => *effect,
            Self::Refused(refusal) => refusal.effect(),
        }
    }

    /// What OpenStack said, if it answered.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::SignIn { source } => source.refusal(),
            _ => None,
        }
    }

    /// Neutron's name for what happened, if it gave one: what a kind has in common is too little for some advice.
    pub fn neutron_type(&self) -> Option<&str> {
        self.refusal()?.neutron_type.as_deref()
    }

    /// The request's id in the logs of the service that answered.
    pub fn request_id(&self) -> Option<&str> {
        self.refusal()?.request_id.as_deref()
    }

    /// The message and those of all its causes, in one line.
    pub fn chain(&self) -> String {
        let causes = std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    /// How long the server asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal()?.retry_after
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.method, self.path, self.service)
    }
}

fn in_region(region: Option<&str>) -> String {
    region.map_or_else(String::new, |region| format!(" in region {region}"))
}
