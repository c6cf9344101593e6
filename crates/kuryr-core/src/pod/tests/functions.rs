//! Pods that are to have virtual functions.

use super::cases::{at, names, seen};
use super::*;

#[test]
fn a_pod_with_a_virtual_function() {
    let network = network();
    let bound = |vif_type: &str| Binding::Bound(Bound { vif_type: vif_type.into(), ..Bound::default() });
    let port = |vif_type: &str| Port { vnic: Vnic::Direct, binding: bound(vif_type), ..port("1", "a") };
    let on =
        |carrier: Carrier, ports| Observed { carrier, ..seen(&network, at(Stage::Starting), None, ports) };
    let unfit = || Carrier::Missing(Lack { needs: Needs::Function, why: "it asks for none".into() });
    let failed = || Port { binding: Binding::Failed, ..port("") };
    let cases: Vec<(&str, Observed<'_>, &[&str])> = vec![
        ("new", on(Carrier::Function, vec![]), &["create port"]),
        ("port made", on(Carrier::Function, vec![port("hw_veb")]), &["record"]),
        (
            "offloaded",
            on(Carrier::Function, vec![port("ovs")]),
            &["tell PortNotPluggable", "retry NotPluggable"],
        ),
        (
            "without an agent",
            on(Carrier::Function, vec![failed()]),
            &["delete 1", "tell PortBindingFailed", "retry BindingFailed"],
        ),
        (
            "for another driver",
            on(Carrier::Function, vec![super::port("1", "a")]),
            &["delete 1", "create port"],
        ),
        ("now by another driver", on(Carrier::Host, vec![port("hw_veb")]), &["delete 1", "create port"]),
        ("asks for none", on(unfit(), vec![]), &["tell PodWithoutVirtualFunction"]),
        ("asked for one", on(unfit(), vec![port("hw_veb")]), &["tell PodWithoutVirtualFunction"]),
        (
            "gone",
            seen(&network, None, Some(record("a", "1")), vec![port("hw_veb")]),
            &["delete record", "delete 1", "release record"],
        ),
    ];
    for (case, seen, expected) in cases {
        assert_eq!(names(&plan(&seen)), expected, "{case}");
    }
    let asked = plan(&on(Carrier::Function, vec![]));
    assert!(
        matches!(&asked[..], [Action::CreatePort(PortRequest { vnic: Vnic::Direct, host: Some(_), .. })]),
        "{asked:?}"
    );
    let told = plan(&on(Carrier::Function, vec![failed()]));
    assert!(format!("{told:?}").contains("sriovnicswitch"), "{told:?}");
}
