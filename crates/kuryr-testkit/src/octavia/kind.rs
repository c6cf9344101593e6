//! The kinds of objects that Octavia keeps, and what they are called where.

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A load balancer.
    LoadBalancer,
    /// A listener.
    Listener,
    /// A pool.
    Pool,
    /// A member of a pool.
    Member,
    /// A pool's health monitor.
    HealthMonitor,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::LoadBalancer, Self::Listener, Self::Pool, Self::Member, Self::HealthMonitor];

    /// What a path calls its list; members have none of their own.
    pub(super) fn of_list(list: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind != Self::Member && kind.list() == list)
    }

    /// What an answer calls its list.
    pub(super) fn list(self) -> &'static str {
        match self {
            Self::LoadBalancer => "loadbalancers",
            Self::Listener => "listeners",
            Self::Pool => "pools",
            Self::Member => "members",
            Self::HealthMonitor => "healthmonitors",
        }
    }

    /// What a body calls one.
    pub(super) fn one(self) -> &'static str {
        self.list().trim_end_matches('s')
    }

    /// What messages call it.
    pub(super) fn spoken(self) -> &'static str {
        match self {
            Self::LoadBalancer => "Load Balancer",
            Self::Listener => "Listener",
            Self::Pool => "Pool",
            Self::Member => "Member",
            Self::HealthMonitor => "Health Monitor",
        }
    }

    /// What quotas call it, besides [`Kind::one`].
    pub(super) fn quota(self) -> &'static str {
        match self {
            Self::LoadBalancer => "load_balancer",
            Self::HealthMonitor => "health_monitor",
            kind => kind.one(),
        }
    }
}
