//! One call of a runtime, as the plugin passes it on to the daemon.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::{CniError, Code},
    ids::{ContainerId, IfName},
    result::AddResult,
    version::Version,
};

/// What a runtime wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Command {
    /// Connect a sandbox.
    Add,
    /// Disconnect it.
    Del,
    /// Is it still as ADD left it?
    Check,
    /// Could ADD be served now?
    Status,
    /// Remove whatever belongs to sandboxes that are not listed.
    Gc,
    /// Which versions are spoken?
    Version,
}

/// One call. Which of the fields are there depends on the command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What is wanted.
    pub command: Command,
    /// The sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<ContainerId>,
    /// The file of the sandbox's network namespace. A runtime may leave it out of DEL when the namespace is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// The name that the first link is to have inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ifname: Option<IfName>,
    /// `CNI_ARGS` as it came.
    #[serde(default)]
    pub args: String,
    /// The network configuration.
    pub config: Value,
}

/// A sandbox's link that the runtime knows, in the configuration of GC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The sandbox.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// The link.
    #[serde(default)]
    pub ifname: String,
}

impl Request {
    /// Reads a call from the variables of the environment and standard input, and checks what does not depend on the node.
    pub fn read(variable: impl Fn(&str) -> Option<String>, config: Value) -> Result<Self, CniError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let command = variable("CNI_COMMAND").ok_or_else(|| missing("CNI_COMMAND"))?.parse()?;
        let request = Self {
            command,
            container_id: variable("CNI_CONTAINERID")
                .map(|id| checked("CNI_CONTAINERID", &id))
                .transpose()?,
            netns: variable("CNI_NETNS"),
            ifname: variable("CNI_IFNAME").map(|name| checked("CNI_IFNAME", &name)).transpose()?,
            args: variable("CNI_ARGS").unwrap_or_default(),
            config,
        };
        request.complete()?;
        Ok(request)
    }

    /// Refuses a call that lacks what its command needs.
    pub fn complete(&self) -> Result<(), CniError> {
        self.version()?.allow(self.command)?;
        let needed = match self.command {
            Command::Add | Command::Check => [Some("CNI_CONTAINERID"), Some("CNI_IFNAME"), Some("CNI_NETNS")],
            Command::Del => [Some("CNI_CONTAINERID"), Some("CNI_IFNAME"), None],
            Command::Status | Command::Gc | Command::Version => [None; 3],
        };
        let given = [self.container_id.is_some(), self.ifname.is_some(), self.netns.is_some()];
        match needed.into_iter().zip(given).find_map(|(name, given)| name.filter(|_| !given)) {
            Some(name) => Err(missing(name)),
            None => Ok(()),
        }
    }

    /// The version that the configuration is in.
    pub fn version(&self) -> Result<Version, CniError> {
        self.config["cniVersion"].as_str().unwrap_or_default().parse()
    }

    /// What ADD said, for CHECK.
    pub fn previous_result(&self) -> Result<AddResult, CniError> {
        let previous = &self.config["prevResult"];
        if previous.is_null() {
            return Err(CniError::new(Code::InvalidConfig, "CHECK needs prevResult in the configuration"));
        }
        AddResult::deserialize(previous).map_err(|error| {
            CniError::new(Code::Decoding, format!("prevResult is no result of ADD: {error}"))
        })
    }

    /// The links that the runtime knows, for GC.
    pub fn valid_attachments(&self) -> Result<Vec<Attachment>, CniError> {
        let listed = &self.config["cni.dev/valid-attachments"];
        if listed.is_null() {
            // Without the list everything would be garbage.
            return Err(CniError::new(
                Code::InvalidConfig,
                "GC needs cni.dev/valid-attachments in the configuration",
            ));
        }
        Vec::deserialize(listed).map_err(|error| {
            CniError::new(
                Code::InvalidConfig,
                format!("cni.dev/valid-attachments is no list of attachments: {error}"),
            )
        })
    }
}

impl FromStr for Command {
    type Err = CniError;

    fn from_str(text: &str) -> Result<Self, CniError> {
        match text {
            "ADD" => Ok(Self::Add),
            "DEL" => Ok(Self::Del),
            "CHECK" => Ok(Self::Check),
            "STATUS" => Ok(Self::Status),
            "GC" => Ok(Self::Gc),
            "VERSION" => Ok(Self::Version),
            _ => Err(CniError::new(
                Code::InvalidEnvironment,
                format!("CNI_COMMAND is {text:?}; kuryr-cni knows ADD, DEL, CHECK, STATUS, GC and VERSION"),
            )),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Status => "STATUS",
            Self::Gc => "GC",
            Self::Version => "VERSION",
        })
    }
}

fn missing(variable: &str) -> CniError {
    CniError::new(Code::InvalidEnvironment, format!("the variable {variable} is not set"))
}

fn checked<T: FromStr<Err: fmt::Display>>(variable: &str, value: &str) -> Result<T, CniError> {
    value
        .parse()
        .map_err(|error| CniError::new(Code::InvalidEnvironment, format!("{variable} is wrong: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(variables: &[(&str, &str)], config: Value) -> Result<Request, CniError> {
        let find =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Request::read(find, config)
    }

    const ADD: [(&str, &str); 5] = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/x"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "K8S_POD_NAME=p"),
    ];

    fn without(name: &str) -> Vec<(&'static str, &'static str)> {
        ADD.into_iter().filter(|(key, _)| *key != name).collect()
    }

    #[test]
    fn a_whole_call_is_read_and_survives_the_way_to_the_daemon() {
        let request = read(&ADD, json!({"cniVersion": "1.0.0"})).unwrap();
        assert_eq!(request.command, Command::Add);
        let sent = serde_json::to_value(&request).unwrap();
        assert_eq!(serde_json::from_value::<Request>(sent).unwrap(), request);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for name in ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"] {
            let error = read(&without(name), json!({"cniVersion": "1.0.0"})).unwrap_err();
            assert!(error.code == 4 && error.msg.contains(name), "{error:?}");
        }
        let wrong = [&ADD[..3], &[("CNI_IFNAME", "a/b")]].concat();
        assert_eq!(read(&wrong, json!({"cniVersion": "1.0.0"})).unwrap_err().code, 4);
        assert_eq!(read(&ADD, json!({"cniVersion": "0.2.0"})).unwrap_err().code, 1);
        assert_eq!(read(&ADD, json!({})).unwrap_err().code, 1);
    }

    #[test]
    fn del_needs_no_namespace_and_status_no_sandbox() {
        let del =
            [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "c1"), ("CNI_IFNAME", "eth0"), ("CNI_NETNS", "")];
        assert_eq!(read(&del, json!({"cniVersion": "0.3.1"})).unwrap().netns, None);
        assert!(read(&[("CNI_COMMAND", "STATUS")], json!({"cniVersion": "1.1.0"})).is_ok());
    }

    #[test]
    fn commands_are_refused_in_versions_that_do_not_know_them() {
        for (command, version) in [("CHECK", "0.3.1"), ("STATUS", "1.0.0"), ("GC", "1.0.0")] {
            let variables = [&[("CNI_COMMAND", command)], &ADD[1..]].concat();
            let error = read(&variables, json!({"cniVersion": version})).unwrap_err();
            assert!(error.code == 1 && error.msg.contains(command), "{error:?}");
        }
    }

    #[test]
    fn gc_without_its_list_is_refused_since_everything_would_be_garbage() {
        let gc = |config: Value| read(&[("CNI_COMMAND", "GC")], config).unwrap().valid_attachments();
        assert_eq!(gc(json!({"cniVersion": "1.1.0"})).unwrap_err().code, 7);
        assert_eq!(
            gc(json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": [{"ifname": "eth0"}]}))
                .unwrap_err()
                .code,
            7
        );
        let listed = gc(
            json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]}),
        );
        assert_eq!(listed.unwrap()[0].container_id, "c1");
    }
}
