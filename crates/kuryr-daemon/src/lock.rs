//! One call at a time for each pod, across processes: a lock on a file that is there only as long as somebody holds it or waits.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use kuryr_cni::{CniError, Code};
use kuryr_k8s::Key;
use tokio::time::timeout;

const FOLDER: &str = "/run/kuryr/pods";

/// The right to work on a pod, until it is dropped or the process ends.
#[derive(Debug)]
pub struct PodLock {
    path: PathBuf,
    _file: File,
}

impl PodLock {
    /// Waits for the lock, no longer than the runtime waits for the call.
    pub async fn take(pod: &Key, patience: Duration) -> Result<Self, CniError> {
        let wanted = pod.clone();
        let waiting = tokio::task::spawn_blocking(move || take(Path::new(FOLDER), &wanted));
        match timeout(patience, waiting).await {
            Ok(Ok(Ok(lock))) => Ok(lock),
            Ok(Ok(Err(error))) => {
                Err(CniError::new(Code::Io, format!("the pod {pod} cannot be locked in {FOLDER}: {error}")))
            }
            Ok(Err(_)) | Err(_) => {
                let message =
                    format!("another call for pod {pod} has not ended within {} s", patience.as_secs());
                Err(CniError::new(Code::TryAgainLater, message))
            }
        }
    }
}

impl Drop for PodLock {
    fn drop(&mut self) {
        // Whoever waits for this file sees that it is gone, and makes another.
        let _ = fs::remove_file(&self.path);
    }
}

fn take(folder: &Path, pod: &Key) -> io::Result<PodLock> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(format!("{}_{}", pod.namespace(), pod.name()));
    loop {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        file.lock()?;
        // The one who had it before has removed the file: this is a lock on nothing.
        let there = fs::metadata(&path).map(|found| (found.dev(), found.ino())).ok();
        let held = file.metadata()?;
        if there == Some((held.dev(), held.ino())) {
            return Ok(PodLock { path, _file: file });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pod_has_one_call_at_a_time_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let pod = Key::new("default", "web-0");
        let first = take(folder.path(), &pod).unwrap();
        let waiting = {
            let (folder, pod) = (folder.path().to_owned(), pod.clone());
            tokio::task::spawn_blocking(move || take(&folder, &pod))
        };
        assert!(take(folder.path(), &Key::new("default", "web-1")).is_ok());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished(), "the first has not ended");
        drop(first);
        let second = timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap().unwrap();
        assert!(second.path.exists(), "the lock that counts is on a file that is there");
        drop(second);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
