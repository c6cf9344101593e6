//! `CNI_ARGS`: which pod a sandbox is for.

use std::{collections::BTreeMap, fmt};

/// What the kubelet's runtime says about the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodArgs {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid as the kubelet knows it; older runtimes do not tell it.
    pub uid: Option<String>,
}

/// `CNI_ARGS` does not say which pod it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodArgsError {
    /// A part is not of the form `KEY=VALUE`.
    Malformed(String),
    /// A key is missing or has no value.
    Missing(&'static str),
}

impl PodArgs {
    /// Reads `KEY=VALUE;KEY=VALUE`. Keys that are not Kubernetes' are left alone.
    pub fn parse(text: &str) -> Result<Self, PodArgsError> {
        let mut pairs = BTreeMap::new();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| PodArgsError::Malformed(part.to_owned()))?;
            pairs.insert(key, value);
        }
        let find =
            |key: &str| pairs.get(key).filter(|value| !value.is_empty()).map(|value| (*value).to_owned());
        Ok(Self {
            namespace: find("K8S_POD_NAMESPACE").ok_or(PodArgsError::Missing("K8S_POD_NAMESPACE"))?,
            name: find("K8S_POD_NAME").ok_or(PodArgsError::Missing("K8S_POD_NAME"))?,
            uid: find("K8S_POD_UID"),
        })
    }
}

impl fmt::Display for PodArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(part) => write!(f, "CNI_ARGS has {part:?} where KEY=VALUE was expected"),
            Self::Missing(key) => {
                write!(f, "CNI_ARGS has no {key}: kuryr-cni serves pods of Kubernetes only")
            }
        }
    }
}

impl std::error::Error for PodArgsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_containerd_and_crio_send() {
        let text = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=ab;K8S_POD_UID=u-1";
        let expected = PodArgs { namespace: "default".into(), name: "web-0".into(), uid: Some("u-1".into()) };
        assert_eq!(PodArgs::parse(text), Ok(expected));
        let old = PodArgs::parse("K8S_POD_NAMESPACE=n;K8S_POD_NAME=p;K8S_POD_UID=;").unwrap();
        assert_eq!(old.uid, None);
    }

    #[test]
    fn names_what_is_missing() {
        assert_eq!(PodArgs::parse(""), Err(PodArgsError::Missing("K8S_POD_NAMESPACE")));
        assert_eq!(PodArgs::parse("K8S_POD_NAMESPACE=n"), Err(PodArgsError::Missing("K8S_POD_NAME")));
        assert_eq!(PodArgs::parse("K8S_POD_NAME"), Err(PodArgsError::Malformed("K8S_POD_NAME".into())));
    }
}
