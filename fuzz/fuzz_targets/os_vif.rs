//! A VIF of a KuryrPort may be anything: it is read or refused with a reason. What was read is written as it can be read again.

#![no_main]

use kuryr_api::vif::Vif;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let vif: Vif = match serde_json::from_slice(bytes) {
        Ok(vif) => vif,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(vif.class().starts_with("VIF"));
    let written = serde_json::to_string(&vif).expect("what was read can be written");
    assert_eq!(serde_json::from_str::<Vif>(&written).expect("and read again"), vif);
});
