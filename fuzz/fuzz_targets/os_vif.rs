//! `KuryrPort.status.vifs` may hold anything: it is read, or kept as it is with the reason. What was read is written as it can be read.

#![no_main]

use kuryr_api::port::Vifs;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let vifs: Vifs = serde_json::from_value(value.clone()).expect("nothing is refused");
    let written = serde_json::to_value(&vifs).expect("what was read can be written");
    match &vifs {
        Vifs::Unreadable { error, .. } => {
            assert_eq!(written, value);
            assert!(!error.is_empty());
        }
        Vifs::Read(_) => assert_eq!(serde_json::from_value::<Vifs>(written).expect("and read again"), vifs),
    }
});
