//! Files that tell a program in a pod's user space which interface is its own: there is no link by which it could know.
//!
//! Their folders are mounted into pods, and pods may write there. Nothing that stands in them is believed, and what somebody put in the
//! place of a file (a symbolic link, say) is replaced or removed, never followed.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use kuryr_cni::{ContainerId, IfName};

use crate::failure::Failure;

/// Programs in pods are not always root.
const READABLE: u32 = 0o644;

/// Where the file of an interface is. Neither name can lead out of the folder.
pub fn path(folder: &Path, sandbox: &ContainerId, ifname: &IfName) -> PathBuf {
    folder.join(format!("{sandbox}-{ifname}"))
}

/// Writes a file, whole or not at all.
pub fn write(path: &Path, content: &str) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    let written = write_new(&beside, content).and_then(|()| fs::rename(&beside, path));
    written.map_err(failed("write", path))
}

/// What stands in a file, if there is one.
pub fn read(path: &Path) -> Option<String> {
    let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    if is_file { fs::read_to_string(path).ok() } else { None }
}

/// Removes a file or a socket; one that is not there is fine.
pub fn remove(path: &Path) -> Result<(), Failure> {
    unlink(path).map_err(failed("remove", path))
}

/// For an error of a file.
pub fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    move |source| Failure::Handout { action, path: path.to_owned(), source }
}

fn write_new(path: &Path, content: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // What a call left that was cut short, or a pod has put there.
    unlink(path)?;
    let mut file = OpenOptions::new().create_new(true).write(true).mode(READABLE).open(path)?;
    file.set_permissions(Permissions::from_mode(READABLE))?;
    file.write_all(content.as_bytes())
}

fn unlink(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path) -> PathBuf {
        path(folder, &"0123abcd".parse().unwrap(), &"eth0".parse().unwrap())
    }

    #[test]
    fn a_file_comes_and_goes_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let target = file(&folder.path().join("a/b"));
        assert_eq!(read(&target), None);
        for content in ["first", "second"] {
            write(&target, content).unwrap();
            assert_eq!(read(&target).as_deref(), Some(content));
        }
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, READABLE);
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1, "nothing may lie beside it");
        for _ in 0..2 {
            remove(&target).unwrap();
        }
        assert!(!target.exists() && target.ends_with("0123abcd-eth0"));
    }

    #[test]
    fn what_a_pod_has_put_in_the_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, precious) = (file(folder.path()), folder.path().join("precious"));
        fs::write(&precious, "kept").unwrap();
        for trap in [target.clone(), folder.path().join(".0123abcd-eth0.new")] {
            std::os::unix::fs::symlink(&precious, &trap).unwrap();
            assert_eq!(read(&trap), None);
            write(&target, "told").unwrap();
            assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
            assert!(fs::symlink_metadata(&target).unwrap().is_file());
            remove(&target).unwrap();
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
    }
}
