//! Cuts the byte stream of an OVSDB connection into JSON messages.
//!
//! OVSDB puts nothing between two messages, so their ends are where JSON ends. A message is always an object: with that known,
//! garbage is refused at its first byte, not after the buffer has filled.

use serde_json::Value;

/// Larger than any reply for a node (a thousand interfaces are about 1 MiB), small against the memory of one.
const DEFAULT_LIMIT: usize = 64 << 20;

/// The stream is not what an OVSDB server sends; the connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A message did not begin with a brace.
    #[error("expected a JSON object, got byte 0x{0:02x}")]
    NotAnObject(u8),
    /// The message is not JSON.
    #[error("parse a message")]
    Parse(#[source] serde_json::Error),
    /// The message is longer than this client is willing to hold.
    #[error("a message exceeds {0} bytes")]
    TooLong(usize),
}

/// Collects bytes and gives back whole messages.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    limit: usize,
    scan: Scan,
}

/// How far the buffer was searched for the end of its first message, so that no byte is looked at twice however small the pieces are.
#[derive(Debug, Default)]
struct Scan {
    position: usize,
    depth: usize,
    text: Text,
}

#[derive(Debug, Default, Clone, Copy)]
enum Text {
    #[default]
    Outside,
    Inside,
    AfterBackslash,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }
}

impl FrameDecoder {
    /// A decoder that refuses messages longer than `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self { buffer: Vec::new(), limit, scan: Scan::default() }
    }

    /// Appends what was read from the connection.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where to append what is read from the connection, with room for a usual read.
    pub(crate) fn spare(&mut self) -> &mut Vec<u8> {
        self.buffer.reserve(16 << 10);
        &mut self.buffer
    }

    /// The next whole message, or `None` when more bytes are needed. After an error the decoder must not be used any more.
    pub fn next_message(&mut self) -> Result<Option<Value>, FrameError> {
        if self.scan.position == 0 {
            let blank = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.buffer.drain(..blank);
        }
        match self.buffer.first() {
            None => return Ok(None),
            Some(b'{') => {}
            Some(other) => return Err(FrameError::NotAnObject(*other)),
        }
        let end = self.scan.find_end(&self.buffer);
        if end.unwrap_or(self.buffer.len()) > self.limit {
            return Err(FrameError::TooLong(self.limit));
        }
        end.map(|end| self.take(end)).transpose()
    }

    fn take(&mut self, end: usize) -> Result<Value, FrameError> {
        let value = serde_json::from_slice(&self.buffer[..end]).map_err(FrameError::Parse)?;
        self.buffer.drain(..end);
        self.scan = Scan::default();
        Ok(value)
    }
}

impl Scan {
    /// Where the first message ends, if it does. Looks at nesting and strings only: whether it is JSON is the parser's business.
    fn find_end(&mut self, buffer: &[u8]) -> Option<usize> {
        while let Some(byte) = buffer.get(self.position) {
            self.position += 1;
            self.text = match (self.text, byte) {
                (Text::Outside, b'"') | (Text::AfterBackslash, _) => Text::Inside,
                (Text::Inside, b'"') => Text::Outside,
                (Text::Inside, b'\\') => Text::AfterBackslash,
                (text, _) => text,
            };
            match (self.text, byte) {
                (Text::Outside, b'{' | b'[') => self.depth += 1,
                (Text::Outside, b'}' | b']') => self.depth -= 1,
                _ => continue,
            }
            if self.depth == 0 {
                return Some(self.position);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn drain(decoder: &mut FrameDecoder) -> Vec<Value> {
        std::iter::from_fn(|| decoder.next_message().unwrap()).collect()
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn message() -> impl Strategy<Value = Value> {
        prop::collection::btree_map(any::<String>(), json_value(), 0..5)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn messages_survive_any_cutting(messages in prop::collection::vec(message(), 0..6),
                                        cuts in prop::collection::vec(1usize..40, 1..20),
                                        gap in prop::sample::select(vec!["", " ", "\n\t"])) {
            let bytes: Vec<u8> = messages.iter().flat_map(|m| format!("{m}{gap}").into_bytes()).collect();
            let mut decoder = FrameDecoder::default();
            let mut seen = Vec::new();
            let (mut at, mut sizes) = (0, cuts.iter().cycle());
            while at < bytes.len() {
                let end = bytes.len().min(at + sizes.next().unwrap());
                decoder.push(&bytes[at..end]);
                seen.extend(drain(&mut decoder));
                at = end;
            }
            prop_assert_eq!(seen, messages);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = FrameDecoder::with_limit(100);
            decoder.push(&bytes);
            while let Ok(Some(value)) = decoder.next_message() {
                prop_assert!(value.is_object());
            }
        }
    }

    #[test]
    fn braces_in_strings_do_not_end_a_message() {
        let mut decoder = FrameDecoder::default();
        decoder.push(br#"{"a":"}\"}{"}{"b":1"#);
        assert_eq!(decoder.next_message().unwrap(), Some(json!({"a": "}\"}{"})));
        assert_eq!(decoder.next_message().unwrap(), None);
        decoder.push(b"}");
        assert_eq!(decoder.next_message().unwrap(), Some(json!({"b": 1})));
    }

    #[test]
    fn garbage_is_refused_at_once() {
        let mut decoder = FrameDecoder::default();
        decoder.push(b"HTTP/1.1 400");
        assert!(matches!(decoder.next_message(), Err(FrameError::NotAnObject(b'H'))));
        let mut decoder = FrameDecoder::default();
        decoder.push(b"{]");
        assert!(matches!(decoder.next_message(), Err(FrameError::Parse(_))));
    }

    #[test]
    fn a_message_without_end_is_refused_at_the_limit() {
        let mut decoder = FrameDecoder::with_limit(1000);
        decoder.push(b"{\"a\":\"");
        let endless = std::iter::repeat_with(|| {
            decoder.push(&[b'x'; 100]);
            decoder.next_message()
        });
        let outcome = endless.take(100).find(Result::is_err);
        assert!(matches!(outcome, Some(Err(FrameError::TooLong(1000)))));
    }
}
