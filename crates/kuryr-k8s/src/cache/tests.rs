use super::*;
use crate::slim::Node;
use kuryr_testkit::FakeKubernetes;
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(2);
const NODES: &str = "/api/v1/nodes";

fn nodes(server: &FakeKubernetes) -> Cache<Node> {
    Cache::start(&server.client(), Api::all, watcher::Config::default(), Box::new(|_| ()))
}

async fn until(cache: &Cache<Node>, wanted: impl FnMut(&Sync) -> bool) {
    timeout(PATIENCE, cache.sync().wait_for(wanted)).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_open_again_is_current_before_anything_happens() {
    let server = FakeKubernetes::default();
    server.create(NODES, json!({ "metadata": { "name": "node1" } }));
    server.fail_next("WATCH nodes", 3, 429);
    let cache = nodes(&server);
    until(&cache, |sync| matches!(sync, Sync::Behind(_))).await;
    until(&cache, |sync| *sync == Sync::Following).await;
    server.create(NODES, json!({ "metadata": { "name": "node2" } }));
    timeout(PATIENCE, cache.wait_for(|cache| cache.get(&Key::new("", "node2")))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_watch_does_not_stand_for_the_list() {
    let server = FakeKubernetes::default();
    server.fail_next("GET nodes", 3, 503);
    let cache = nodes(&server);
    until(&cache, |sync| matches!(sync, Sync::Failing(_))).await;
    let (list, watch) = (server.counts().of("GET nodes"), server.counts().of("WATCH nodes"));
    assert_eq!((list > 0, watch), (true, 0), "nothing is watched that is not listed");
    until(&cache, |sync| *sync == Sync::Following).await;
}
