//! Ports for so many pods.

use std::io::Write;

use anyhow::{Context, Result};
use kuryr_api::{
    ProjectId,
    names::{DEVICE_OWNER, SRIOV_OWNER, SUBPORT_OWNER},
};
use kuryr_openstack::{
    Neutron,
    neutron::{PortFilter, Quota},
};

/// Raises the quota if it is too small and the user may, and says what is to be done if not.
pub(super) async fn see_to(
    neutron: &Neutron,
    project: &ProjectId,
    pods: u32,
    dry_run: bool,
    news: &mut impl Write,
) -> Result<()> {
    let quota = neutron.quotas(project).await.context("cannot read the quotas")?.port;
    let wanted = i64::from(pods) + others(neutron, project).await?;
    if is_enough(quota, wanted) {
        writeln!(news, "the quota of ports is enough for {pods} pods")?;
        return Ok(());
    }
    if dry_run {
        writeln!(news, "would raise the quota of ports from {} to {wanted}", quota.limit)?;
        return Ok(());
    }
    match neutron.set_port_quota(project, wanted).await {
        Ok(()) => writeln!(news, "raised the quota of ports from {} to {wanted}", quota.limit)?,
        Err(error) => writeln!(
            news,
            "warning: the quota of ports is {}, {pods} pods need {wanted}, and this user may not raise it ({}): \
             ask the cloud's administrator for `openstack quota set --ports {wanted} {project}`",
            quota.limit,
            error.chain()
        )?,
    }
    Ok(())
}

fn is_enough(quota: Quota, wanted: i64) -> bool {
    quota.limit < 0 || quota.limit >= wanted
}

/// Ports of the project that are not for pods.
async fn others(neutron: &Neutron, project: &ProjectId) -> Result<i64> {
    let all =
        PortFilter { project: Some(project.clone()), fields: &["device_owner"], ..PortFilter::default() };
    let ports = neutron.ports(&all).await.context("cannot list the project's ports")?;
    Ok(i64::try_from(
        ports
            .iter()
            .filter(|port| ![DEVICE_OWNER, SRIOV_OWNER, SUBPORT_OWNER].contains(&port.device_owner.as_str()))
            .count(),
    )?)
}
