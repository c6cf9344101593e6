//! How many load balancers more there may be.

use super::Services;
use crate::context::Context;
use crate::metrics::Resource;
use kuryr_core::service::Site;

/// Reads the quota. Octavia does not tell how many there are, which the list has just shown.
pub async fn count(context: &Context, services: &Services, site: &Site) {
    match services.octavia.quotas(&site.project).await {
        Ok(quotas) => {
            let all = services.balancers.all();
            let used = all.iter().filter(|one| one.project == site.project).count();
            let used = i64::try_from(used).unwrap_or(i64::MAX);
            let resource = Resource { resource: "load_balancers" };
            context.metrics.quota_free.get_or_create(&resource).set(free(quotas.load_balancer, used));
        }
        Err(error) => tracing::debug!(error = error.chain(), "failed to read the quota of load balancers"),
    }
}

fn free(limit: i64, used: i64) -> i64 {
    if limit < 0 { -1 } else { limit.saturating_sub(used).max(0) }
}

#[cfg(test)]
mod tests {
    use super::free;

    #[test]
    fn what_is_left_is_never_negative_unless_there_is_no_limit() {
        assert_eq!([free(10, 3), free(10, 12), free(-1, 12)], [7, 0, -1]);
    }
}
