//! The client against servers that a real one may turn into: silent, talkative, mad.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use kuryr_ovsdb::{Endpoint, Link, Ovsdb, OvsdbError};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A connection as the server sees it.
struct Peer {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        Self { stream: listener.accept().await.unwrap().0, read: Vec::new() }
    }

    /// Accepts, and answers the request to be monitored with an empty database.
    async fn accept_monitor(listener: &TcpListener) -> Self {
        let mut peer = Self::accept(listener).await;
        let request = peer.hear().await;
        assert_eq!(request["method"], "monitor");
        peer.say(&json!({"id": request["id"], "result": {}, "error": null})).await;
        peer
    }

    async fn hear(&mut self) -> Value {
        loop {
            let mut values = serde_json::Deserializer::from_slice(&self.read).into_iter::<Value>();
            if let Some(Ok(value)) = values.next() {
                let end = values.byte_offset();
                self.read.drain(..end);
                return value;
            }
            assert_ne!(self.stream.read_buf(&mut self.read).await.unwrap(), 0, "the client has gone");
        }
    }

    async fn say(&mut self, message: &Value) {
        self.stream.write_all(message.to_string().as_bytes()).await.unwrap();
    }
}

async fn listen() -> (TcpListener, Ovsdb) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint: Endpoint = format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap();
    (listener, Ovsdb::connect(endpoint))
}

async fn down(client: &Ovsdb) -> String {
    client
        .wait_for(|switch| match switch.link() {
            Link::Down(reason) => Some(reason.clone()),
            _ => None,
        })
        .await
}

// The clock is paused in these tests: it leaps to the next deadline whenever nobody has anything to do.

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let (listener, client) = listen().await;
    let _peer = Peer::accept(&listener).await;
    assert_eq!(down(&client).await, "no answer within 10 s");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_asked_and_given_up() {
    let (listener, client) = listen().await;
    let mut peer = Peer::accept_monitor(&listener).await;
    client.wait_for(|switch| switch.is_up().then_some(())).await;
    assert_eq!(peer.hear().await["method"], "echo");
    assert_eq!(down(&client).await, "no sign of life from the server");
    let _peer = Peer::accept_monitor(&listener).await;
    client.wait_for(|switch| switch.is_up().then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_the_probes_is_kept() {
    let (listener, client) = listen().await;
    let mut peer = Peer::accept_monitor(&listener).await;
    for _ in 0..10 {
        let probe = peer.hear().await;
        assert_eq!(probe["method"], "echo");
        peer.say(&json!({"id": probe["id"], "result": [], "error": null})).await;
    }
    assert!(client.look(kuryr_ovsdb::Switch::is_up));
}

#[tokio::test]
async fn a_servers_own_probe_is_answered() {
    let (listener, _client) = listen().await;
    let mut peer = Peer::accept_monitor(&listener).await;
    peer.say(&json!({"id": "echo", "method": "echo", "params": ["are you there"]})).await;
    assert_eq!(peer.hear().await, json!({"id": "echo", "result": ["are you there"], "error": null}));
}

#[tokio::test]
async fn a_request_whose_connection_breaks_may_be_repeated() {
    let (listener, client) = listen().await;
    let mut peer = Peer::accept_monitor(&listener).await;
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.transact(vec![json!({"op": "comment", "comment": "x"})]).await }
    });
    assert_eq!(peer.hear().await["method"], "transact");
    drop(peer);
    let error = asking.await.unwrap().unwrap_err();
    assert!(matches!(error, OvsdbError::Lost) && error.is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_ends() {
    let (listener, client) = listen().await;
    let mut peer = Peer::accept_monitor(&listener).await;
    client.wait_for(|switch| switch.is_up().then_some(())).await;
    let error = client.transact(vec![json!({"op": "comment", "comment": "x"})]).await.unwrap_err();
    assert!(matches!(error, OvsdbError::Slow | OvsdbError::Lost), "{error:?}");
    assert_eq!(peer.hear().await["method"], "transact");
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_left_and_tried_again() {
    let (listener, client) = listen().await;
    let mut peer = Peer::accept(&listener).await;
    peer.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    assert!(down(&client).await.contains("expected a JSON object"));
    let mut peer = Peer::accept(&listener).await;
    let request = peer.hear().await;
    peer.say(&json!({"id": request["id"], "result": null, "error": "unknown database"})).await;
    let refused = client.wait_for(|switch| match switch.link() {
        Link::Down(reason) if reason.contains("unknown database") => Some(()),
        _ => None,
    });
    refused.await;
    let _peer = Peer::accept_monitor(&listener).await;
    client.wait_for(|switch| switch.is_up().then_some(())).await;
}
