//! `controller_service_account.yml`: the controller's rights, in front of them the kinds of objects that they speak of, behind them what makes
//! the scheduler count by what the controller says.

use anyhow::Result;
use kuryr_api::crds;
use serde_json::Value;

use super::{
    parameters::Parameters,
    rights::{self, Account},
    scheduling,
};

pub(super) const NAME: &str = "kuryr-controller";

pub(super) fn documents(parameters: &Parameters) -> Result<Vec<Value>> {
    let mut documents = crds().iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    let account = Account { name: NAME, everywhere: rights::controller(), at_home: rights::election() };
    documents.extend(account.documents(parameters)?);
    if parameters.schedule_by_ports {
        documents.extend(scheduling::documents());
    }
    Ok(documents)
}
