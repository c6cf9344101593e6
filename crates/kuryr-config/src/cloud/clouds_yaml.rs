//! `clouds.yaml`: where it is, and the entry of one cloud in it, with what `secure.yaml` adds.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{CloudError, Place};

/// The entry of a cloud.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) cloud: String,
    pub(crate) path: PathBuf,
    fields: BTreeMap<String, Node>,
}

/// YAML, as far as these files use it. Numbers and truths are kept as text: a password may look like a number.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    Map(BTreeMap<String, Node>),
    Other,
}

/// Finds a cloud in the first `clouds.yaml` of the usual places.
pub(crate) fn find(cloud: &str, env: &BTreeMap<String, String>) -> Result<Entry, CloudError> {
    find_under(Path::new("/"), cloud, env)
}

fn find_under(root: &Path, cloud: &str, env: &BTreeMap<String, String>) -> Result<Entry, CloudError> {
    let looked = candidates(root, env, "OS_CLIENT_CONFIG_FILE", "clouds");
    let Some(path) = looked.iter().find(|path| path.exists()) else {
        return Err(CloudError::FindFile { cloud: cloud.to_owned(), looked });
    };
    let mut clouds = read(path)?;
    if let Some(path) =
        candidates(root, env, "OS_CLIENT_SECURE_FILE", "secure").iter().find(|path| path.exists())
    {
        clouds.overlay(read(path)?);
    }
    let clouds = clouds.into_map().remove("clouds").map(Node::into_map).unwrap_or_default();
    let known = clouds.keys().cloned().collect();
    let found = clouds.into_iter().find(|(name, _)| name == cloud);
    let (_, entry) =
        found.ok_or_else(|| CloudError::FindCloud { cloud: cloud.to_owned(), path: path.clone(), known })?;
    let fields = entry.into_map().into_iter().map(|(key, node)| (underscored(&key), node)).collect();
    Ok(Entry { cloud: cloud.to_owned(), path: path.clone(), fields })
}

impl Entry {
    /// A field of the entry itself.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.fields.get(name).and_then(Node::text)
    }

    /// A field of the entry's `auth`; older files have them in the entry itself.
    pub(crate) fn auth(&self, name: &str) -> Option<String> {
        let older = match name {
            "project_name" => Some("tenant_name"),
            "project_id" => Some("tenant_id"),
            _ => None,
        };
        let names = [Some(name), older];
        let in_auth = |name: &str| match self.fields.get("auth") {
            Some(Node::Map(auth)) => {
                auth.iter().find(|(key, _)| underscored(key) == name).and_then(|(_, node)| node.text())
            }
            _ => None,
        };
        names.into_iter().flatten().find_map(|name| in_auth(name).or_else(|| self.get(name)))
    }

    /// A time in seconds.
    pub(crate) fn seconds(&self, name: &'static str, place: Place) -> Result<Option<Duration>, CloudError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let refused =
            || CloudError::ReadOption { place, option: name, value: text, allowed: "a number of seconds" };
        seconds.map(Some).ok_or_else(refused)
    }
}

impl Node {
    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    }

    fn into_map(self) -> BTreeMap<String, Self> {
        match self {
            Self::Map(map) => map,
            Self::Text(_) | Self::Other => BTreeMap::new(),
        }
    }

    /// Puts another tree over this one: maps are merged, everything else is replaced.
    fn overlay(&mut self, over: Self) {
        match (self, over) {
            (Self::Map(map), Self::Map(over)) => {
                for (key, node) in over {
                    map.entry(key).or_insert(Self::Other).overlay(node);
                }
            }
            (this, over) => *this = over,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
        Ok(Node::Text(truth.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Text(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Text(number.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Node, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, node)) = pairs.next_entry()? {
            map.insert(key, node);
        }
        Ok(Node::Map(map))
    }
}

/// Where a file may be: named by a variable, else in the working directory, the user's and the system's configuration.
fn candidates(root: &Path, env: &BTreeMap<String, String>, variable: &str, name: &str) -> Vec<PathBuf> {
    let user = env.get("XDG_CONFIG_HOME").map(PathBuf::from);
    let user = user.or_else(|| env.get("HOME").map(|home| Path::new(home).join(".config")));
    let dirs =
        [Some(PathBuf::new()), user.map(|dir| dir.join("openstack")), Some(root.join("etc/openstack"))];
    let named = env.get(variable).map(PathBuf::from).into_iter();
    let found = dirs.into_iter().flatten();
    named
        .chain(found.flat_map(|dir| ["yaml", "yml", "json"].map(|end| dir.join(format!("{name}.{end}")))))
        .collect()
}

fn read(path: &Path) -> Result<Node, CloudError> {
    let text =
        fs::read_to_string(path).map_err(|source| CloudError::ReadFile { path: path.to_owned(), source })?;
    // No snippet: an error must not show the password that stands on the line beside it.
    let options = serde_saphyr::options! {
        with_snippet: false,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
    };
    serde_saphyr::from_str_with_options(&text, options)
        .map_err(|why| CloudError::ParseFile { path: path.to_owned(), why: why.to_string() })
}

/// The client libraries take `project-name` for `project_name`.
fn underscored(key: &str) -> String {
    key.replace('-', "_")
}
