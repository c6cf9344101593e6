//! Two hundred pods come and go while Neutron is flaky.

use crate::{PERCENT, put_between, spoilt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kuryr_e2e::{Ending, seconds, story_within, until};
use kuryr_testkit::proxy::{Faulty, Plan};

const WAVES: usize = 8;
const CROWD: usize = 25;
const SEED: u64 = 3;

#[tokio::test]
async fn two_hundred_pods_while_neutron_is_flaky() -> Ending {
    story_within(seconds(600), "soak of 200 pods with a tenth of the requests spoilt", async |stage| {
        let proxy = Faulty::start(&stage.facts.openstack.neutron, Plan::harmless()).await?;
        put_between(stage, "neutron", &proxy).await?;
        proxy.set_plan(Plan { delay: seconds(2), ..Plan::evenly(PERCENT, SEED) });
        stage.deployment("crowd", CROWD).await?;
        stage.all_ready("crowd", CROWD, seconds(120)).await?;
        let crowd = ListParams::default().labels("app=crowd");
        for _ in 1..WAVES {
            // The next pods start while these go.
            stage.api::<Pod>().delete_collection(&DeleteParams::default(), &crowd).await?;
            let pods = stage.all_ready("crowd", CROWD, seconds(120)).await?;
            stage.ports_of_all(&pods).await?;
        }
        stage.scale("crowd", 0).await?;
        until("all of it is gone", seconds(90), async || stage.nothing_left().await).await?;
        spoilt(&proxy, 20)
    })
    .await
}
