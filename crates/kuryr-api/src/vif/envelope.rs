//! The wrapper that oslo.versionedobjects puts around every object.

use super::{FixedIp, FixedIpList, Network, Route, RouteList, Subnet, SubnetList};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

/// An object with its class and version spelled out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// Class.
    #[serde(rename = "versioned_object.name")]
    pub name: Cow<'static, str>,
    /// Package of the class; `os_vif` for all that Kuryr writes.
    #[serde(rename = "versioned_object.namespace", default = "os_vif")]
    pub namespace: Cow<'static, str>,
    /// `major.minor` of the class.
    #[serde(rename = "versioned_object.version")]
    pub version: Cow<'static, str>,
    /// The object's fields.
    #[serde(rename = "versioned_object.data")]
    pub data: T,
}

impl<T> Envelope<T> {
    /// Wraps `data` as class `name` of os-vif.
    pub fn new(name: &'static str, version: &'static str, data: T) -> Self {
        Self { name: name.into(), namespace: os_vif(), version: version.into(), data }
    }

    /// Refuses another major version, which by os-vif's rules may give old fields a new meaning.
    pub(super) fn require_major(&self, major: u32) -> Result<(), String> {
        let found = self.version.split('.').next().and_then(|number| number.parse::<u32>().ok());
        if found == Some(major) {
            return Ok(());
        }
        Err(format!("version {} of {} is not {major}.x", self.version, self.name))
    }
}

fn os_vif() -> Cow<'static, str> {
    Cow::Borrowed("os_vif")
}

/// The class and version that we write for a type.
pub trait Class {
    /// Class.
    const NAME: &'static str;
    /// Version written.
    const VERSION: &'static str;
}

macro_rules! classes {
    ($($type:ty => $name:literal $version:literal),+ $(,)?) => {$(
        impl Class for $type {
            const NAME: &'static str = $name;
            const VERSION: &'static str = $version;
        }
    )+};
}

classes! {
    Network => "Network" "1.1",
    SubnetList => "SubnetList" "1.0",
    Subnet => "Subnet" "1.0",
    FixedIpList => "FixedIPList" "1.0",
    FixedIp => "FixedIP" "1.0",
    RouteList => "RouteList" "1.0",
    Route => "Route" "1.0",
}

/// An object whose class is fixed by its place, wrapped on the wire and bare in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Versioned<T>(pub T);

impl<T> Deref for Versioned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Versioned<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Versioned<T> {
    fn from(data: T) -> Self {
        Self(data)
    }
}

impl<T: Class + Serialize> Serialize for Versioned<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Envelope::new(T::NAME, T::VERSION, &self.0).serialize(serializer)
    }
}

impl<'de, T: Class + Deserialize<'de>> Deserialize<'de> for Versioned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Envelope::<T>::deserialize(deserializer)?;
        if object.name != T::NAME {
            return Err(D::Error::custom(format!("found {} where {} belongs", object.name, T::NAME)));
        }
        object.require_major(1).map_err(D::Error::custom)?;
        Ok(Self(object.data))
    }
}
