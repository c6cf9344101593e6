//! Actions of the planner in words.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use kuryr_api::{LoadBalancerId, PoolId};
use kuryr_core::{
    news,
    service::{Action, AddressCall, Balancer, Call, Socket},
};

use super::report::Report;

/// Tells what is to be done in the words of `report`.
pub(super) fn tell(plan: Vec<Action>, balancers: &[Arc<Balancer>], report: &mut Report) {
    for action in plan {
        match action {
            Action::Tell(news) => {
                let text = format!("{}: {}", news.reason, news.message);
                match news.kind {
                    news::Kind::Normal => report.notes.push(text),
                    news::Kind::Warning => report.wrong.push(text),
                }
            }
            Action::Await(ids) => {
                report
                    .waits
                    .extend(ids.iter().map(|id| format!("until Octavia is done with load balancer {id}")));
            }
            Action::Call(call) => report.next.push(octavia(&call, balancers)),
            Action::Address(call) => report.next.push(neutron(&call, balancers)),
            Action::SetIngress(addresses) => report.next.push(ingress(&addresses)),
            Action::CreateRecord(_) => report.next.push("make the KuryrLoadBalancer".to_owned()),
            Action::UpdateRecord(_) => report.next.push("bring the KuryrLoadBalancer up to date".to_owned()),
            Action::DeleteRecord => report.next.push("delete the KuryrLoadBalancer".to_owned()),
            Action::ReleaseRecord => {
                report.next.push("take the finalizer off the KuryrLoadBalancer".to_owned());
            }
            Action::HoldService => report.next.push("put Kuryr's finalizer on the Service".to_owned()),
            Action::ReleaseService => report.next.push("take Kuryr's finalizer off the Service".to_owned()),
        }
    }
}

fn octavia(call: &Call, balancers: &[Arc<Balancer>]) -> String {
    match call {
        Call::CreateBalancer(new) => format!("make a load balancer at {}", new.vip),
        Call::TagBalancer(id) => format!("adopt load balancer {id}, which the Python Kuryr has made"),
        Call::DeleteBalancer(id) => format!("delete load balancer {id}"),
        Call::FailOver(id) => format!("have Octavia make load balancer {id} anew behind its address"),
        Call::CreateListener(_, new) => format!("make listener {}", new.front),
        Call::UpdateListener(_, id, new) => format!("change listener {id} ({})", new.front),
        Call::DeleteListener(_, id) => format!("delete listener {id}"),
        Call::CreatePool(_, _, new) => format!("make pool {}", new.name),
        Call::UpdatePool(_, id, new) => format!("change pool {id} ({})", new.name),
        Call::DeletePool(_, id) => format!("delete pool {id}"),
        Call::CreateMonitor(_, pool, _) => format!("watch the members of pool {pool}"),
        Call::UpdateMonitor(_, pool, ..) => format!("change how the members of pool {pool} are watched"),
        Call::DeleteMonitor(_, pool, _) => format!("watch the members of pool {pool} no more"),
        Call::SetMembers(id, pool, members) => {
            let now = members_of(balancers, id, pool);
            let then: BTreeSet<Socket> = members.keys().copied().collect();
            let changes = [("add", then.difference(&now)), ("take away", now.difference(&then))];
            let changes: Vec<_> = changes.into_iter().filter_map(|(verb, some)| change(verb, some)).collect();
            format!("set the members of pool {pool}: {}", changes.join(", "))
        }
    }
}

fn members_of(balancers: &[Arc<Balancer>], id: &LoadBalancerId, pool: &PoolId) -> BTreeSet<Socket> {
    let balancer = balancers.iter().find(|one| one.id == *id);
    let pool = balancer.and_then(|balancer| balancer.pools.get(pool));
    pool.into_iter().flat_map(|pool| pool.members.keys().copied()).collect()
}

fn change<'s>(verb: &str, sockets: impl Iterator<Item = &'s Socket>) -> Option<String> {
    let sockets: Vec<_> = sockets.map(|one| place(one.address, one.port)).collect();
    (!sockets.is_empty()).then(|| format!("{verb} {}", sockets.join(" ")))
}

/// Address and port; brackets tell an address of IPv6 from its port.
pub(super) fn place(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

fn neutron(call: &AddressCall, balancers: &[Arc<Balancer>]) -> String {
    match call {
        AddressCall::Make(new) => {
            let wanted = new.wanted.map(|address| format!(" {address}")).unwrap_or_default();
            format!("make a floating IP{wanted} on network {}", new.external.network)
        }
        AddressCall::Lead(id, port) => {
            let vip = balancers.iter().find(|one| one.port.as_ref() == Some(port)).map(|one| one.vip);
            let to = vip.map_or_else(|| port.to_string(), |vip| vip.to_string());
            format!("let floating IP {id} lead to {to}")
        }
        AddressCall::Detach(id) => format!("detach floating IP {id}"),
        AddressCall::Leave(id) => format!("detach floating IP {id}, and keep it"),
        AddressCall::Delete(id) => format!("delete floating IP {id}"),
    }
}

fn ingress(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "take the address outside out of the Service's status".to_owned();
    }
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    format!("say in the Service's status that it is reached at {}", addresses.join(" "))
}
