//! `cni_service_account.yml`: the daemons' rights, and what ties each to its node.

use anyhow::Result;
use serde_json::Value;

use super::{
    admission,
    parameters::Parameters,
    rights::{self, Account},
};

pub(super) const NAME: &str = "kuryr-cni";

pub(super) fn documents(parameters: &Parameters) -> Result<Vec<Value>> {
    let account = Account { name: NAME, everywhere: rights::daemon(), at_home: Vec::new() };
    let mut documents = account.documents(parameters)?;
    if parameters.admission_policy {
        documents.push(serde_json::to_value(admission::policy(parameters))?);
        documents.push(serde_json::to_value(admission::binding())?);
    }
    Ok(documents)
}
