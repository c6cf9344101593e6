//! What a bridge is asked to do by `OpenFlow` 1.3: to take frames as if its ports had received them.
//!
//! ovs-vswitchd listens for each bridge at `BRIDGE.mgmt` beside the socket of its database, where ovn-controller talks to it as well
//! (ovs-vswitchd.conf.db(5), table Controller). A connection lasts as long as one request.

use std::{io, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use crate::{client::Ovsdb, endpoint::Endpoint};

/// A local ovs-vswitchd answers in milliseconds, and in a few hundred of them when it has much to do.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const VERSION: u8 = 4;
const HELLO: u8 = 0;
const ERROR: u8 = 1;
const PACKET_OUT: u8 = 13;
const BARRIER_REQUEST: u8 = 20;
const BARRIER_REPLY: u8 = 21;
const HEADER: usize = 8;
/// A hello that names this version alone (`OFPHET_VERSIONBITMAP`).
const ONLY_THIS_VERSION: [u8; 8] = [0, 1, 0, 8, 0, 0, 0, 1 << VERSION];
/// The frame is in the message (`OFP_NO_BUFFER`).
const NO_BUFFER: [u8; 4] = [0xff; 4];
/// One action: through the bridge's tables (`OFPAT_OUTPUT` to `OFPP_TABLE`), after its length and padding.
const THROUGH_TABLES: [u8; 24] =
    [0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0xff, 0xff, 0xff, 0xf9, 0, 0, 0, 0, 0, 0, 0, 0];

/// A frame, and the number of the port that it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The port's number in `OpenFlow`.
    pub ofport: u32,
    /// The frame, from the destination's MAC address on.
    pub frame: Vec<u8>,
}

/// A bridge did not take frames.
#[derive(Debug, thiserror::Error)]
pub enum OpenFlowError {
    /// The database is reached by TCP, or the bridge has an odd name: it is not known where the bridge listens.
    #[error("it is not known at which unix socket bridge {0} listens")]
    NoSocket(String),
    /// It could not be reached, or went away.
    #[error("failed to talk to {socket}")]
    Talk {
        /// Where it listens.
        socket: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("{} did not answer within {} s", .0.display(), ANSWER_WITHIN.as_secs())]
    Slow(PathBuf),
    /// It answered with an error.
    #[error("{socket} answered with OpenFlow error {kind}, {code}")]
    Refused {
        /// Where it listens.
        socket: PathBuf,
        /// `ofp_error_type`.
        kind: u16,
        /// What it means depends on the type.
        code: u16,
    },
}

impl Ovsdb {
    /// Has a bridge take frames as if its ports had received them.
    pub async fn receive(&self, bridge: &str, frames: &[Received]) -> Result<(), OpenFlowError> {
        let socket = self.listens_at(bridge).ok_or_else(|| OpenFlowError::NoSocket(bridge.to_owned()))?;
        let failed = |source| OpenFlowError::Talk { socket: socket.clone(), source };
        let asking = async {
            let mut stream = UnixStream::connect(&socket).await.map_err(failed)?;
            stream.write_all(&request(frames)).await.map_err(failed)?;
            answer(&mut stream).await.map_err(failed)
        };
        match timeout(ANSWER_WITHIN, asking).await {
            Ok(answered) => match answered? {
                None => Ok(()),
                Some((kind, code)) => Err(OpenFlowError::Refused { socket, kind, code }),
            },
            Err(_) => Err(OpenFlowError::Slow(socket)),
        }
    }

    fn listens_at(&self, bridge: &str) -> Option<PathBuf> {
        match &self.endpoint {
            Endpoint::Unix(path) if !bridge.contains('/') => {
                Some(path.with_file_name(format!("{bridge}.mgmt")))
            }
            _ => None,
        }
    }
}

fn request(frames: &[Received]) -> Vec<u8> {
    let mut bytes = message(HELLO, &[&ONLY_THIS_VERSION]);
    for Received { ofport, frame } in frames {
        bytes.extend(message(PACKET_OUT, &[&NO_BUFFER, &ofport.to_be_bytes(), &THROUGH_TABLES, frame]));
    }
    bytes.extend(message(BARRIER_REQUEST, &[]));
    bytes
}

fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    // Frames are far from 64 KiB.
    let length = u16::try_from(HEADER + body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[VERSION, kind, length[0], length[1], 0, 0, 0, 0][..], &body].concat()
}

/// Reads until all was carried out, or to the first error, of which the type and the code are told.
async fn answer(stream: &mut UnixStream) -> io::Result<Option<(u16, u16)>> {
    loop {
        let mut header = [0; HEADER];
        stream.read_exact(&mut header).await?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut body = vec![0; length.checked_sub(HEADER).ok_or(io::ErrorKind::InvalidData)?];
        stream.read_exact(&mut body).await?;
        match (header[1], body.as_slice()) {
            (BARRIER_REPLY, _) => return Ok(None),
            (ERROR, [a, b, c, d, ..]) => {
                return Ok(Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// A bridge that answers with this to its first client. Tells what that one has asked.
    async fn asked(answer: Vec<u8>) -> (Result<(), OpenFlowError>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("br-int.mgmt")).unwrap();
        let ovsdb = Ovsdb::connect(Endpoint::Unix(folder.path().join("db.sock")));
        let frames = [Received { ofport: 258, frame: vec![1, 2, 3] }];
        let bridge = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; request(&frames).len()];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(&answer).await.unwrap();
            asked
        };
        tokio::join!(ovsdb.receive("br-int", &frames), bridge)
    }

    #[tokio::test]
    async fn a_frame_goes_through_the_tables_as_if_its_port_had_received_it() {
        let hello = message(HELLO, &[&ONLY_THIS_VERSION]);
        let (outcome, asked) = asked([hello.clone(), message(BARRIER_REPLY, &[])].concat()).await;
        outcome.unwrap();
        assert_eq!(asked[..16], hello);
        let out = &asked[16..];
        assert_eq!(out[..8], [4, 13, 0, 43, 0, 0, 0, 0], "43 bytes of version 1.3");
        assert_eq!((&out[8..16], &out[40..43]), (&[255, 255, 255, 255, 0, 0, 1, 2][..], &[1, 2, 3][..]));
        assert_eq!(out[43..], [4, 20, 0, 8, 0, 0, 0, 0]);
    }

    #[tokio::test]
    async fn what_a_bridge_refuses_is_told() {
        let (outcome, _) = asked(message(ERROR, &[&[0, 2, 0, 4, 9, 9]])).await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("br-int.mgmt answered with OpenFlow error 2, 4"), "{error}");
        let (outcome, _) = asked(vec![4, 0, 0, 3, 0, 0, 0, 0]).await;
        assert!(matches!(outcome, Err(OpenFlowError::Talk { .. })), "a message shorter than its header");
    }

    #[tokio::test]
    async fn a_bridge_that_cannot_be_found_is_named() {
        let by_tcp = Ovsdb::connect(Endpoint::Tcp("127.0.0.1:1".into()));
        let by_unix = Ovsdb::connect(Endpoint::Unix("/nowhere/db.sock".into()));
        for (ovsdb, bridge, expected) in [
            (&by_tcp, "br-int", "it is not known at which unix socket bridge br-int listens"),
            (&by_unix, "../br-int", "it is not known at which unix socket bridge ../br-int listens"),
            (&by_unix, "br-int", "failed to talk to /nowhere/br-int.mgmt"),
        ] {
            assert_eq!(ovsdb.receive(bridge, &[]).await.unwrap_err().to_string(), expected);
        }
    }
}
