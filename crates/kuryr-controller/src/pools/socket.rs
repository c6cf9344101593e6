//! The socket by which an operator looks after pools: the Python Kuryr's pool manager, with answers that are HTTP.
//!
//! ```text
//!   curl, kuryrctl ── HTTP on a unix socket ──► asked (what is meant) ──► by_hand ──► stock, Orders
//!                                                        leader only
//! ```
//!
//! Answers are text as the Python Kuryr wrote it, and JSON for who accepts that.

use super::asked::{Fill, Free, Show, Wrong};
use super::by_hand::{self, Refusal};
use crate::context::{Context, Current};
use crate::upkeep::NOT_LOADED;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use kuryr_api::pool::{self, Change, Changes, NodePool, Part};
use serde::Serialize;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};

/// Where the socket is, and who may connect: `[pool_manager]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its path.
    pub path: PathBuf,
    /// Its mode, as `chmod` takes it.
    pub mode: u32,
}

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Another process serves it.
    #[error("another process serves it")]
    Taken,
    /// It would replace a file.
    #[error("a file that is no socket has its name")]
    NoSocket,
    /// The system says no.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A socket that is served. It goes with this value.
pub struct Served(PathBuf);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Serves the socket until the value is dropped.
///
/// # Errors
/// It can't be made.
pub async fn serve(place: &Place, current: &Current) -> Result<Served, ListenError> {
    let listener = listen(place).await?;
    let router = router(current.clone());
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the pools' socket ended");
        }
    });
    Ok(Served(place.path.clone()))
}

/// A socket has its mode before it has its name: there is no moment in which others could connect.
async fn listen(place: &Place) -> Result<UnixListener, ListenError> {
    if let Some(folder) = place.path.parent() {
        fs::create_dir_all(folder)?;
    }
    if let Ok(there) = fs::symlink_metadata(&place.path) {
        if !there.file_type().is_socket() {
            return Err(ListenError::NoSocket);
        }
        if UnixStream::connect(&place.path).await.is_ok() {
            return Err(ListenError::Taken);
        }
    }
    let mut new = place.path.clone().into_os_string();
    new.push(".new");
    let new = Path::new(&new);
    let _ = fs::remove_file(new);
    let listener = UnixListener::bind(new)?;
    fs::set_permissions(new, Permissions::from_mode(place.mode))?;
    fs::rename(new, &place.path)?;
    Ok(listener)
}

fn router(current: Current) -> Router {
    let list = async |State(current), headers: HeaderMap| answer(&current, &headers, Ok(Asked::List)).await;
    let show = async |State(current), headers: HeaderMap, body: Bytes| {
        answer(&current, &headers, Show::read(&body).map(Asked::Show)).await
    };
    let fill = async |State(current), headers: HeaderMap, body: Bytes| {
        answer(&current, &headers, Fill::read(&body).map(Asked::Fill)).await
    };
    let free = async |State(current), headers: HeaderMap, body: Bytes| {
        answer(&current, &headers, Free::read(&body).map(Asked::Free)).await
    };
    Router::new()
        .route("/listPools", get(list))
        .route("/showPool", get(show))
        .route("/populatePool", post(fill))
        .route("/freePool", post(free))
        .fallback(async |headers: HeaderMap| Form::of(&headers).refuse(StatusCode::NOT_FOUND, PATHS))
        .with_state(current)
}

/// What is asked.
enum Asked {
    List,
    Show(Show),
    Fill(Fill),
    Free(Free),
}

/// What is answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Told {
    Pools(pool::Pools),
    Pool(NodePool),
    Filled(Changes),
    Emptied(Changes),
}

const PATHS: &str = "there are POST /populatePool, POST /freePool, GET /listPools and GET /showPool";

async fn answer(current: &Current, headers: &HeaderMap, asked: Result<Asked, Wrong>) -> Response {
    let form = Form::of(headers);
    let Some(context) = current.get() else {
        let leader = current.leader().map(|leader| format!(", {leader} leads: ask there"));
        let why = format!("this controller stands by{}", leader.unwrap_or_default());
        return form.refuse(StatusCode::SERVICE_UNAVAILABLE, &why);
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(Wrong(why)) => return form.refuse(StatusCode::BAD_REQUEST, &why),
    };
    // It goes on to its end also when nobody waits for it any more.
    match tokio::spawn(async move { carry_out(&context, asked).await }).await {
        Ok(Ok(told)) => form.tell(&told),
        Ok(Err(Refusal::Wrong(why))) => form.refuse(StatusCode::BAD_REQUEST, &why),
        Ok(Err(Refusal::Unknown(why))) => form.refuse(StatusCode::NOT_FOUND, &why),
        Ok(Err(Refusal::NotNow(why))) => form.refuse(StatusCode::CONFLICT, &why),
        Ok(Err(Refusal::NotLoaded)) => form.refuse(StatusCode::SERVICE_UNAVAILABLE, NOT_LOADED),
        Err(_) => {
            form.refuse(StatusCode::INTERNAL_SERVER_ERROR, "it ended early: the controller's log tells why")
        }
    }
}

async fn carry_out(context: &Context, asked: Asked) -> Result<Told, Refusal> {
    let pools = context.pools.as_ref().filter(|pools| pools.is_loaded()).ok_or(Refusal::NotLoaded)?;
    Ok(match asked {
        Asked::List => Told::Pools(by_hand::list(context, pools).await),
        Asked::Show(asked) => Told::Pool(by_hand::show(context, pools, asked).await?),
        Asked::Fill(asked) => Told::Filled(by_hand::fill(context, pools, asked).await?),
        Asked::Free(asked) => Told::Emptied(by_hand::empty(context, pools, asked).await?),
    })
}

/// How answers are written.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Json,
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
        if accepted.is_some_and(|accepted| accepted.contains("json")) { Self::Json } else { Self::Text }
    }

    fn tell(self, told: &Told) -> Response {
        match self {
            Self::Text => (told.status(), told.text()).into_response(),
            Self::Json => (told.status(), Json(told)).into_response(),
        }
    }

    fn refuse(self, status: StatusCode, why: &str) -> Response {
        match self {
            Self::Text => (status, format!("{why}\n")).into_response(),
            Self::Json => (status, Json(pool::Refusal { error: why.to_owned() })).into_response(),
        }
    }
}

impl Told {
    /// 200, or 502 where OpenStack did not do all of it.
    fn status(&self) -> StatusCode {
        let (Self::Filled(Changes { pools }) | Self::Emptied(Changes { pools })) = self else {
            return StatusCode::OK;
        };
        let is_done = pools.iter().all(|change| change.failure.is_none());
        if is_done { StatusCode::OK } else { StatusCode::BAD_GATEWAY }
    }

    fn text(&self) -> String {
        match self {
            Self::Pools(all) => all.pools.iter().flat_map(parts).fold("Pools:\n".to_owned(), |text, part| {
                format!("{text}{} has {} ports\n", key(part), part.ports.len())
            }),
            Self::Pool(pool) => parts(pool).fold(String::new(), |text, part| {
                let ids: Vec<_> = part.ports.iter().map(|port| format!("{}\n", port.id)).collect();
                format!("{text}Pool {} ports are:\n{}", key(part), ids.concat())
            }),
            Self::Filled(changes) => lines(changes, |Change { node, ports, .. }| {
                format!("Ports pool at {node} was populated with {ports} ports.")
            }),
            Self::Emptied(changes) => lines(changes, |Change { node, ports, .. }| {
                format!("Ports pool at {node} lost {ports} ports.")
            }),
        }
    }
}

fn parts(pool: &NodePool) -> impl Iterator<Item = &Part> {
    pool.parts.iter().flatten()
}

fn key(part: &Part) -> String {
    serde_json::to_string(&part.key).unwrap_or_default()
}

fn lines(changes: &Changes, line: impl Fn(&Change) -> String) -> String {
    let failure = |change: &Change| {
        change.failure.as_ref().map(|why| format!(" OpenStack did not do more: {why}")).unwrap_or_default()
    };
    let lines = changes.pools.iter().map(|change| format!("{}{}\n", line(change), failure(change)));
    lines.collect::<Vec<_>>().concat()
}
