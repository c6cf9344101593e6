//! `kuryrctl check` on the lab: it finds nothing where nothing is wrong, and each of ten planted mistakes.

mod command;
mod plant;

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::Command;

use command::{Check, Told};
use kuryr_e2e::{Context, Ending, Result, built, ensure, seconds, story, until};
use kuryr_testkit::proxy::{Faulty, Plan};
use plant::{external_subnet, small_quota, subnet_within_services, without_definition, without_tags};

#[tokio::test]
async fn nothing_is_wrong_with_the_lab() -> Ending {
    story("check of a good installation", async |stage| {
        let told = Check::new(stage)?.run().await?;
        ensure!(told.code == Some(0), "exit code {:?}: {}", told.code, told.report);
        ensure!(told.findings().is_empty(), "{:?}", told.findings());
        ensure!(told.report["summary"]["unknown"] == 0, "{}", told.report);
        let skipped = told.with_outcome("skipped");
        ensure!(told.with_outcome("ok").len() + skipped.len() == told.checks().len(), "{}", told.report);
        ensure!(!skipped.contains(&"controller's rights".to_owned()), "{skipped:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nothing_is_left_behind() -> Ending {
    story("check leaves nothing behind", async |stage| {
        let proxy = Faulty::start(&stage.facts.openstack.neutron, Plan::harmless()).await?;
        let told = Check::new(stage)?.with("neutron", "endpoint_override", &proxy.url()).run().await?;
        ensure!(told.code == Some(0), "{}", told.report);
        // The question for the right to bind ports, which is refused.
        ensure!(proxy.writes() == ["POST /v2.0/ports"], "{:?}", proxy.writes());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_wrong_password_hides_nothing_else() -> Ending {
    story("check with a wrong password", async |stage| {
        let told = Check::new(stage)?.with("neutron", "password", "wrong").run().await?;
        told.only("credentials-refused", &["[neutron]", "password"])?;
        let ok = told.with_outcome("ok");
        for other in ["definitions", "controller's rights", "free ports", "kuryr.conf"] {
            ensure!(ok.iter().any(|check| check == other), "{other} is hidden: {}", told.report);
        }
        let unknown = told.with_outcome("unknown");
        ensure!(unknown.iter().any(|check| check == "port quota"), "{unknown:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_user_without_the_right_to_bind_ports() -> Ending {
    story("check as a user who may not bind ports", async |stage| {
        let guest = stage.guest().await?;
        let check = Check::new(stage)?.with("neutron", "username", &guest.user).with(
            "neutron",
            "password",
            &guest.password,
        );
        check.run().await?.only("binding-denied", &["create_port:binding:host_id", "policy"])
    })
    .await
}

#[tokio::test]
async fn a_missing_extension() -> Ending {
    story("check of a Neutron without an extension", async |stage| {
        let proxy = without_tags(stage).await?;
        let check = Check::new(stage)?.with("neutron", "endpoint_override", &proxy.url());
        check.run().await?.only("extension-missing", &["standard-attr-tag", "neutron.conf"])
    })
    .await
}

#[tokio::test]
async fn a_quota_that_is_too_small() -> Ending {
    story("check with a quota that is too small", async |stage| {
        small_quota(stage).await?;
        let told = Check::new(stage)?.run().await?;
        told.only(
            "quota-too-small",
            &["openstack quota set --ports", stage.facts.openstack.project_id.as_str()],
        )
    })
    .await
}

#[tokio::test]
async fn subnets_that_overlap() -> Ending {
    story("check of subnets that overlap", async |stage| {
        let subnet = subnet_within_services(stage).await?;
        let check = Check::new(stage)?.with("neutron_defaults", "pod_subnets", &subnet);
        check.run().await?.only("ranges-overlap", &["10.97.64.0/18", "10.96.0.0/15", "choose a range"])
    })
    .await
}

#[tokio::test]
async fn mistakes_of_the_configuration() -> Ending {
    story("check of mistakes in kuryr.conf", async |stage| {
        let wrong = Check::new(stage)?.with("octavia_defaults", "lb_algorithm", "ROUND_ROBIN").run().await?;
        wrong.warns("lb-algorithm-wrong", &["ROUND_ROBIN", "lb_algorithm = SOURCE_IP_PORT"])?;
        let unreadable = Check::new(stage)?.with("neutron", "cafile", "/nowhere/ca.pem").run().await?;
        unreadable.only("ca-unreadable", &["/nowhere/ca.pem", "[neutron] cafile"])?;
        let outside = external_subnet(stage).await?;
        let wrong = Check::new(stage)?.with("neutron_defaults", "service_subnet", &outside).run().await?;
        wrong.only("service-subnet-wrong", &["10.96.0.0/16", "service-cluster-ip-range"])
    })
    .await
}

#[tokio::test]
async fn a_missing_definition() -> Ending {
    story("check of a cluster without a definition", async |stage| {
        let (_api, url) = stage.plain_api().await?;
        let proxy = without_definition(&url).await?;
        let check = Check::new(stage)?.in_cluster(&proxy)?;
        check.run().await?.only(
            "definition-missing",
            &["kuryrnetworkpolicies.openstack.org", "kuryrctl crds | kubectl apply"],
        )
    })
    .await
}

/// In a network of its own, where another program listens on the real port.
#[tokio::test]
async fn a_port_that_is_taken() -> Ending {
    story("check where port 8082 is taken", async |stage| {
        let check = Check::new(stage)?.saying(&["--only", "host"]);
        let listener = "ip link set lo up; python3 -m http.server 8082 >/dev/null 2>&1 & server=$!; \
                        until curl -s -o /dev/null http://127.0.0.1:8082/; do sleep 0.1; done; \
                        \"$@\"; code=$?; kill $server; exit $code";
        let words = ["unshare", "--net", "sh", "-c", listener, "sh"].map(ToOwned::to_owned);
        check.run_by(&words).await?.only("port-taken", &["8082", "[health_server] port", "ss -ltnp"])
    })
    .await
}

#[tokio::test]
async fn many_mistakes_at_once_are_all_found() -> Ending {
    story("check of many mistakes at once", async |stage| {
        let (_api, url) = stage.plain_api().await?;
        let (neutron, kubernetes) = (without_tags(stage).await?, without_definition(&url).await?);
        small_quota(stage).await?;
        let taken = TcpListener::bind("0.0.0.0:0")?;
        let told = Check::new(stage)?
            .in_cluster(&kubernetes)?
            .with("neutron", "endpoint_override", &neutron.url())
            .with("neutron_defaults", "service_subnet", &external_subnet(stage).await?)
            .with("octavia_defaults", "lb_algorithm", "ROUND_ROBIN")
            .with("health_server", "port", &taken.local_addr()?.port().to_string())
            .run()
            .await?;
        ensure!(told.code == Some(1), "exit code {:?}", told.code);
        let expected = [
            "extension-missing",
            "service-subnet-wrong",
            "quota-too-small",
            "lb-algorithm-wrong",
            "definition-missing",
            "port-taken",
        ];
        ensure!(told.ids() == expected, "{:?}", told.ids());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_is_looked_at_from_inside() -> Ending {
    story("check on a node", async |stage| {
        let node = stage.node("node1")?;
        let kuryrctl = built("kuryrctl")?.display().to_string();
        let words = ["check", "--only", "host", "--here", "node", "--config-file", "/etc/kuryr/kuryr.conf"];
        let told = node.run([kuryrctl.as_str()].into_iter().chain(words)).await?;
        for line in
            ["ok       free ports", "ok       kernel", "ok       Open vSwitch", "no problems, no warnings"]
        {
            ensure!(told.contains(line), "{line:?} is not in {told}");
        }
        let elsewhere = ["env", "OS_VIF_PLUG_OVS__OVSDB_CONNECTION=unix:/nowhere/db.sock", &kuryrctl];
        let told = node.run(elsewhere.into_iter().chain(words)).await;
        let told = told.err().context("a node without Open vSwitch is good")?.to_string();
        ensure!(told.contains("[ovs-unreachable]") && told.contains("/nowhere/db.sock"), "{told}");
        Ok(())
    })
    .await
}

/// The account of `deploy/check.yaml` may see all that is looked at, and no more than that is asked for.
#[tokio::test]
async fn the_job_may_look_at_everything() -> Ending {
    story("check with the rights of its Job", async |stage| {
        let file = stage.facts.repository.join("deploy/check.yaml").display().to_string();
        let account = ["-f", &file, "-l", "kuryr-check=account"];
        stage.kubectl_at_end(&[&["delete"], &account[..]].concat())?;
        stage.kubectl(&["apply", "--validate=strict", "--dry-run=server", "-f", &file]).await?;
        stage.kubectl(&[&["apply"], &account[..]].concat()).await?;
        let token = stage.kubectl(&["create", "token", "kuryr-check", "-n", "kube-system"]).await?;
        let told = Check::new(stage)?.with_token(stage, &token)?.run().await?;
        ensure!(told.code == Some(0) && told.report["summary"]["unknown"] == 0, "{}", told.report);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_daemons_rights_are_asked_for() -> Ending {
    story("check of the daemons' rights", async |stage| {
        let namespace = stage.namespace.as_str();
        stage.kubectl(&["create", "serviceaccount", "kuryr-cni", "-n", namespace]).await?;
        let check = Check::new(stage)?.saying(&["--namespace", namespace]);
        let daemons = |told: &Told| {
            let found = told.checks().iter().find(|check| check["check"] == "daemons' rights").cloned();
            found.context("they are not checked")
        };
        let lacking = daemons(&check.run().await?)?;
        let what = lacking["findings"][0]["what"].as_str().unwrap_or_default();
        ensure!(what.contains("watch kuryrports.openstack.org") && what.contains("list pods"), "{lacking}");
        let account = format!("{namespace}:kuryr-cni");
        let binding = ["clusterrolebinding", namespace];
        stage.kubectl_at_end(&[&["delete"], &binding[..]].concat())?;
        let role = ["--clusterrole", "cluster-admin", "--serviceaccount", &account];
        stage.kubectl(&[&["create"], &binding[..], &role[..]].concat()).await?;
        until("the binding is in force", seconds(10), async || {
            let told = daemons(&check.run().await?)?;
            ensure!(told["outcome"] == "ok", "{told}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn old_names_do_what_they_did() -> Ending {
    story("kuryr-k8s-sanity and kuryr-k8s-status", async |stage| {
        let check = Check::new(stage)?.with("vif_pool", "ports_pool_max", "3");
        let called = |name: &str| -> Result<Command> {
            let link = check.folder.join(name);
            if !link.exists() {
                symlink(built("kuryrctl")?, &link)?;
            }
            Ok(Command::new(link))
        };
        let conf = check.write()?;
        let sanity = |flags: &[&str]| -> Result<(Option<i32>, String)> {
            let output = called("kuryr-k8s-sanity")?.args(flags).arg("--config-file").arg(&conf).output()?;
            Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
        };
        ensure!(sanity(&[])? == (Some(0), String::new()), "without a flag nothing is checked");
        ensure!(sanity(&["--vif_pool_min_batch"])?.0 == Some(0), "5 <= 10");
        let (code, said) = sanity(&["--vif_pool_min_max", "--sanity_check_error"])?;
        ensure!(
            code == Some(1) && said.starts_with("ERROR: [vif_pool] ports_pool_max is 3"),
            "{code:?} {said}"
        );
        for name in ["kuryr-k8s-status", "kuryr-status"] {
            let mut upgrade = called(name)?;
            let output =
                upgrade.args(["upgrade", "check", "--kubeconfig"]).arg(&check.kubeconfig).output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            ensure!(output.status.code() == Some(0) && said.contains("Result: Success"), "{said}");
        }
        let nowhere =
            called("kuryr-k8s-status")?.args(["upgrade", "check", "--kubeconfig", "/nowhere"]).output()?;
        ensure!(nowhere.status.code() == Some(255), "{nowhere:?}");
        Ok(())
    })
    .await
}
