//! Any file may be offered as a `kuryr.conf`: it is read or refused, however its lines end.

#![no_main]

use kuryr_config::{Layers, Loaded, ini::Document};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(layers) = Layers::from_text("kuryr.conf".into(), text) else { return };
    let shown = match Loaded::from_layers(&layers) {
        Ok(loaded) => loaded.warnings.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    };
    let document = Document::parse(text);
    let with_newlines = Document::parse(&(text.replace("\r\n", "\n").replace('\r', "\n") + "\n"));
    assert_eq!(with_newlines, document, "how lines end makes no difference");
    assert!(shown.iter().all(|line| !line.is_empty()));
});
