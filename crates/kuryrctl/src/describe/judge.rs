//! From what was seen, and the planner's word, to what it means.

use std::sync::Arc;

use kuryr_controller::explain::{Said, Seen as Sight};
use kuryr_core::service::{self as core, Ownership, State, Unserved, plan, unserved};
use kuryr_k8s::slim;
use kuryr_openstack::octavia::{MemberStatus, PoolStatus, StatusTree, Statuses};

use super::{
    facts::{Cloud, Facts},
    report::{
        Balancer, Endpoints, FloatingIp, Listener, Member, Pool, Port, Record, Report, Service, Status,
    },
    words,
};

pub(super) fn judge(facts: &Facts) -> Report {
    let mut report = Report { name: facts.key.to_string(), ..Report::default() };
    match &facts.said {
        Ok(said) => kubernetes(said, &mut report),
        Err(why) => report.unknown.push(why.clone()),
    }
    match &facts.events {
        Ok(events) => report.events = Some(events.clone()),
        Err(why) => report.unknown.push(why.clone()),
    }
    match &facts.cloud {
        Ok(Some(cloud)) => openstack(cloud, &mut report),
        Ok(None) => report.notes.push(NOT_SERVED.to_owned()),
        Err(why) => report.unknown.push(why.clone()),
    }
    report
}

const NOT_SERVED: &str = "no Service is served: [neutron_defaults] service_subnets (or service_subnet) is not set, or [kubernetes] \
                          enabled_handlers lacks service, endpoints or kuryrloadbalancer";

fn kubernetes(said: &Said, report: &mut Report) {
    report.service = said.service.as_deref().map(service);
    report.record = said.record.as_deref().map(record);
    if said.service.is_none() {
        report.notes.push("there is no such Service".to_owned());
        return;
    }
    let endpoints = endpoints(&said.slices);
    if endpoints.ready + endpoints.draining == 0 {
        report.notes.push(format!("no endpoint takes connections ({} are not ready)", endpoints.not_ready));
    }
    report.endpoints = Some(endpoints);
}

fn service(service: &slim::Service) -> Service {
    let port = |port: &slim::ServicePort| Port {
        name: port.name.to_string(),
        front: format!("{}:{}", port.protocol, port.port),
        target: port.target.to_string(),
    };
    Service {
        kind: service.kind.to_string(),
        class: service.class.as_deref().map(ToOwned::to_owned),
        cluster_ips: service.cluster_ips.to_vec(),
        outside: service.ingress.to_vec(),
        ports: service.ports.iter().map(port).collect(),
        affinity: service.affinity,
        held: service.held.by_us,
        deleting: service.deleting,
    }
}

fn endpoints(slices: &[Arc<slim::EndpointSlice>]) -> Endpoints {
    let mut counted = Endpoints::default();
    for endpoint in slices.iter().flat_map(|slice| &slice.endpoints) {
        let count = match (endpoint.ready, endpoint.serving) {
            (true, _) => &mut counted.ready,
            (false, true) => &mut counted.draining,
            (false, false) => &mut counted.not_ready,
        };
        *count += 1;
    }
    counted
}

fn record(record: &slim::BalancerRecord) -> Record {
    Record {
        load_balancer: record.status.loadbalancer.as_ref().map(|one| one.id.clone()),
        floating_ip: record.status.service_pub_ip_info.as_ref().map(|info| info.ip_addr.clone()),
        deleting: record.deleting,
    }
}

fn openstack(cloud: &Cloud, report: &mut Report) {
    let seen = &cloud.seen;
    let name = report.name.clone();
    let view = seen.view(&name);
    if let Some((_, service)) = &seen.service {
        let unserved = unserved(&view, service);
        report.notes.extend(unserved.map(|why| reason(why).to_owned()));
        let is_exposed =
            service.exposure != core::Exposure::LoadBalancer || core::is_exposed(&seen.site, service);
        if unserved.is_none() && !is_exposed {
            report.notes.push(others_class(service));
        }
    }
    report.load_balancers = Some(seen.balancers.iter().map(|one| balancer(one, cloud)).collect());
    report.floating_ips = Some(seen.addresses.iter().map(|one| floating_ip(one, seen)).collect());
    let unseen = cloud.statuses.values().filter_map(|tree| tree.as_ref().err().cloned());
    report.unknown.extend(unseen);
    words::tell(plan(&view), &seen.balancers, report);
}

fn reason(why: Unserved) -> &'static str {
    match why {
        Unserved::Deleting => {
            "it is being deleted: its cluster IP is nobody else's until its load balancers are gone"
        }
        Unserved::ExternalName => "it is a name in DNS (ExternalName), and has no load balancer",
        Unserved::NoClusterIp => "it is headless, or has no cluster IP yet, and has no load balancer",
        Unserved::Installers => {
            "somebody else has made the load balancer of the API server's Service, and Kuryr leaves it alone"
        }
    }
}

fn others_class(service: &core::Service) -> String {
    let whose = service.class.as_deref().map_or_else(
        || "names no loadBalancerClass, and [octavia_defaults] serve_without_class is off".to_owned(),
        |class| format!("names the loadBalancerClass {class}"),
    );
    format!("it {whose}: somebody else gives it its address outside, and Kuryr serves its cluster IP")
}

fn floating_ip(address: &core::Address, seen: &Sight) -> FloatingIp {
    let leads_to = address.port.as_ref().map(|port| {
        let balancer = seen.balancers.iter().find(|one| one.port.as_ref() == Some(port));
        balancer.map_or_else(|| format!("port {port}"), |one| one.vip.to_string())
    });
    FloatingIp {
        id: address.id.to_string(),
        address: address.ip,
        ours: address.ownership == core::AddressOwnership::Ours,
        leads_to,
    }
}

fn balancer(one: &core::Balancer, cloud: &Cloud) -> Balancer {
    let tree = cloud.statuses.get(&one.id).and_then(|tree| tree.as_ref().ok());
    let listener = |(id, listener): (&kuryr_api::ListenerId, &core::Listener)| {
        let known = tree.and_then(|tree| tree.listeners.iter().find(|status| status.id == *id));
        let pool = listener.pool.as_ref().and_then(|pool| one.pools.get_key_value(pool));
        Listener {
            id: id.to_string(),
            front: listener.front.map_or_else(|| listener.name.clone(), |front| front.to_string()),
            status: status(known.map(|known| &known.own), listener.state),
            pool: pool.map(|(id, pool)| self::pool(id, pool, tree)),
        }
    };
    Balancer {
        id: one.id.to_string(),
        name: one.name.clone(),
        address: one.vip,
        provider: one.provider.clone(),
        owner: match one.ownership {
            Ownership::Ours => "this cluster's",
            Ownership::Kuryr => "the Python Kuryr's",
            Ownership::Foreign => "somebody else's",
        },
        status: status(tree.map(|tree| &tree.own), one.state),
        listeners: one.listeners.iter().map(listener).collect(),
    }
}

fn pool(id: &kuryr_api::PoolId, pool: &core::Pool, tree: Option<&StatusTree>) -> Pool {
    let all = tree.into_iter().flat_map(|tree| &tree.listeners).flat_map(|listener| &listener.pools);
    let known: Option<&PoolStatus> = all.into_iter().find(|status| status.id == *id);
    let member = |(socket, member): (&core::Socket, &core::Member)| {
        let is_it = |one: &&MemberStatus| one.address == socket.address && one.protocol_port == socket.port;
        let known = known.and_then(|pool| pool.members.iter().find(is_it));
        Member {
            address: socket.address,
            port: socket.port,
            name: member.name.clone(),
            status: status(known.map(|known| &known.own), pool.state),
        }
    };
    Pool {
        id: id.to_string(),
        algorithm: pool.algorithm.clone(),
        status: status(known.map(|known| &known.own), pool.state),
        members: pool.members.iter().map(member).collect(),
    }
}

/// As Octavia tells it, or else as it was when it was read.
fn status(told: Option<&Statuses>, state: State) -> Status {
    let read = match state {
        State::Active => "ACTIVE",
        State::Pending | State::Overdue => "PENDING_UPDATE",
        State::Deleting => "PENDING_DELETE",
        State::Error => "ERROR",
    };
    Status {
        provisioning: told.map_or_else(|| read.to_owned(), |told| told.provisioning_status.to_string()),
        operating: told.map(|told| told.operating_status.clone()),
    }
}
