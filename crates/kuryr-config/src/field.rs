//! How the value of an option becomes the field of a struct.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::{
    Secret,
    kind::{DICT, INT, Kind, LIST, Value},
};

/// A type that a field of the configuration may have.
pub trait Field: Default {
    /// The option type that goes with it.
    const KIND: Kind;

    /// The field, if the value is one that it can hold.
    fn from_value(value: Value) -> Option<Self>;
}

impl Field for String {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Field for PathBuf {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Option<Self> {
        String::from_value(value).map(Self::from)
    }
}

impl Field for Secret {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Option<Self> {
        String::from_value(value).map(Self::new)
    }
}

impl Field for bool {
    const KIND: Kind = Kind::Bool;

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }
}

impl Field for i64 {
    const KIND: Kind = INT;

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }
}

impl Field for u32 {
    // Lossless; `From` is not const.
    #[allow(clippy::cast_lossless)]
    const KIND: Kind = Kind::Int { min: 0, max: u32::MAX as i64 };

    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value)?.try_into().ok()
    }
}

impl Field for u16 {
    // Lossless; `From` is not const.
    #[allow(clippy::cast_lossless)]
    const KIND: Kind = Kind::Int { min: 0, max: u16::MAX as i64 };

    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value)?.try_into().ok()
    }
}

/// Seconds.
impl Field for Duration {
    const KIND: Kind = Kind::Int { min: 0, max: i64::MAX };

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Int(seconds) => seconds.try_into().ok().map(Self::from_secs),
            Value::Float(seconds) => Self::try_from_secs_f64(seconds).ok(),
            _ => None,
        }
    }
}

impl Field for Vec<String> {
    const KIND: Kind = LIST;

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::List(items) => items.into_iter().map(String::from_value).collect(),
            _ => None,
        }
    }
}

impl Field for BTreeMap<String, String> {
    const KIND: Kind = DICT;

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Dict(pairs) => {
                pairs.into_iter().map(|(key, value)| Some((key, String::from_value(value)?))).collect()
            }
            _ => None,
        }
    }
}

/// `None` is an option that is not set, or set to nothing.
impl<T: Field> Field for Option<T> {
    const KIND: Kind = T::KIND;

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Unset => Some(None),
            Value::Text(text) if text.is_empty() => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}
