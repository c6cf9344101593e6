//! Any file may be offered as a `kuryr.conf`: it is read or refused, and what is read reads the same again.

#![no_main]

use kuryr_config::{Layers, Loaded, ini::Document};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(layers) = Layers::from_text("kuryr.conf".into(), text) else { return };
    let shown = match Loaded::from_layers(&layers) {
        Ok(loaded) => loaded.warnings.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    };
    let again = Document::parse(&rewritten(text)).expect("what was read can be written");
    assert_eq!(again, rewritten_document(text), "a file and its plain form read alike");
    assert!(shown.iter().all(|line| !line.is_empty()));
});

/// The text with every line ended by one newline, and one more at the end.
fn rewritten(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n") + "\n"
}

fn rewritten_document(text: &str) -> Document {
    Document::parse(text).expect("it was read before")
}
