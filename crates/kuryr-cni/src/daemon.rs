//! The way to the daemon: one HTTP request on a connection of its own.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

/// Where the daemon listens unless the configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/var/run/kuryr/kuryr-cni.sock";
/// The path of the request.
pub const ADDRESS: &str = "/cni";

/// The daemon's answer.
pub(crate) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Sends a request and waits for the answer, no longer than until the deadline.
pub(crate) fn ask(socket: &Path, body: &[u8], deadline: Instant) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    let head = format!(
        "POST {ADDRESS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut chunk) {
            Ok(0) => return read_answer(&answer),
            Ok(length) => answer.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::new(io::ErrorKind::TimedOut, "the time for the answer is over")),
        left => Ok(left),
    }
}

/// The connection is closed after the answer, so that the body is the rest.
fn read_answer(answer: &[u8]) -> io::Result<Answer> {
    let cut_off = || {
        io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the connection was closed before the answer was complete",
        )
    };
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(cut_off)?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let body = &answer[end + 4..];
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    if length.is_some_and(|length| body.len() < length) {
        return Err(cut_off());
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let not_http = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    Ok(Answer { status: status.ok_or_else(not_http)?, body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer =
            read_answer(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (500, &b"{}"[..]));
    }

    #[test]
    fn half_an_answer_is_an_error() {
        for half in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}",
            b"x\r\n\r\n",
        ] {
            assert!(read_answer(half).is_err());
        }
    }
}
