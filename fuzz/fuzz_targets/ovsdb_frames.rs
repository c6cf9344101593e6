//! Whatever a server sends, in whatever pieces: messages come out whole, and the same however the bytes were cut.

#![no_main]

use kuryr_ovsdb::FrameDecoder;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn decode(bytes: &[u8], piece: usize) -> (Vec<Value>, bool) {
    let mut decoder = FrameDecoder::with_limit(1 << 20);
    let mut messages = Vec::new();
    for chunk in bytes.chunks(piece) {
        decoder.push(chunk);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
    }
    (messages, true)
}

fuzz_target!(|bytes: &[u8]| {
    let at_once = decode(bytes, bytes.len().max(1));
    assert!(at_once.0.iter().all(Value::is_object));
    for piece in [1, 7] {
        assert_eq!(decode(bytes, piece), at_once);
    }
});
