//! The controller's socket.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use kuryr_api::pool::Refusal;
use reqwest::{Client, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A way to the controller's pools.
pub(super) struct Socket {
    path: PathBuf,
    http: Client,
}

impl Socket {
    pub(super) fn new(path: PathBuf, patience: Duration) -> Result<Self> {
        let http = Client::builder().unix_socket(path.as_path()).no_proxy().timeout(patience);
        Ok(Self { path, http: http.build().context("cannot make an HTTP client")? })
    }

    /// Asks what there is.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.ask(Method::GET, path, body).await
    }

    /// Has something done. What was done in part is an answer, too.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.ask(Method::POST, path, body).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: &Value) -> Result<T> {
        let request = self.http.request(method, format!("http://localhost{path}"));
        let request = request.header(header::ACCEPT, "application/json").json(body);
        let place = self.path.display();
        let answer = request.send().await.with_context(|| format!("no answer from {place}"))?;
        let status = answer.status();
        let text = answer.text().await.with_context(|| format!("half an answer from {place}"))?;
        if status.is_success() || status == StatusCode::BAD_GATEWAY {
            return serde_json::from_str(&text)
                .with_context(|| format!("{place} is not served by a Kuryr of this version"));
        }
        match serde_json::from_str::<Refusal>(&text) {
            Ok(Refusal { error }) => Err(anyhow!(error)),
            Err(_) => bail!("{place} answers {status}: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::block_on;
    use kuryr_api::pool::Changes;
    use serde_json::json;
    use std::{
        io::{Read, Write},
        os::unix::net::UnixListener,
        thread,
    };

    /// Asks a server that answers so, and tells what it was asked, too.
    fn ask(status: &str, body: &str) -> (String, Result<Changes>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pools.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let answer =
            format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut asked, mut part) = (String::new(), [0; 4096]);
            while !asked.ends_with("]}") {
                let length = stream.read(&mut part).unwrap();
                asked.push_str(std::str::from_utf8(&part[..length]).unwrap());
            }
            stream.write_all(answer.as_bytes()).unwrap();
            asked
        });
        let told = block_on(async {
            let socket = Socket::new(path, Duration::from_secs(10))?;
            socket.post("/freePool", &json!({ "trunks": ["node1"] })).await
        });
        (server.join().unwrap(), told)
    }

    #[test]
    fn what_was_done_is_told_also_where_it_is_not_all() {
        let changes = r#"{"pools": [{"node": "node1", "ports": 3, "failure": "no"}]}"#;
        for status in ["200 OK", "502 Bad Gateway"] {
            let (asked, told) = ask(status, changes);
            assert!(asked.starts_with("POST /freePool HTTP/1.1\r\n"), "{asked}");
            assert!(asked.to_lowercase().contains("\r\naccept: application/json\r\n"), "{asked}");
            assert_eq!(told.unwrap().pools[0].ports, 3);
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_controllers_words() {
        let (_, told) = ask("409 Conflict", r#"{"error": "not now"}"#);
        assert_eq!(told.unwrap_err().to_string(), "not now");
        let (_, told) = ask("500 Internal Server Error", "oops");
        assert!(told.unwrap_err().to_string().ends_with(" answers 500 Internal Server Error: oops"));
        let nobody = Socket::new("/nowhere/pools.sock".into(), Duration::from_secs(1)).unwrap();
        let told = block_on(async { nobody.get::<Changes>("/listPools", &json!({})).await });
        assert_eq!(told.unwrap_err().to_string(), "no answer from /nowhere/pools.sock");
    }
}
