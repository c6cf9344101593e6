//! What the plugin is made of, and whether it runs where there is nothing else.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const LARGEST: u64 = 1_500_000;

fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}

#[test]
fn it_depends_on_the_standard_library_and_serde_alone() {
    let tree = [
        "tree",
        "--package",
        "kuryr-cni",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--offline",
        "--format",
        "{lib}",
    ];
    let output = cargo().args(tree).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let found: BTreeSet<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let serde = [
        "itoa",
        "kuryr_cni",
        "memchr",
        "proc_macro2",
        "quote",
        "ryu",
        "serde",
        "serde_core",
        "serde_derive",
        "serde_json",
        "syn",
        "unicode_ident",
        "zmij",
    ];
    let others: Vec<_> = found.iter().filter(|name| !serde.contains(name)).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(found.contains("serde_json"), "{found:?}");
}

/// The program as it is shipped. Building it takes some seconds, the first time.
fn shipped() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shipped");
    let built = cargo()
        .args([
            "build",
            "--package",
            "kuryr-cni",
            "--profile",
            "cni",
            "--target",
            TARGET,
            "--offline",
            "--quiet",
        ])
        .env("CARGO_TARGET_DIR", &folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .status();
    assert!(built.unwrap().success());
    folder.join(TARGET).join("cni/kuryr-cni")
}

#[test]
fn it_is_small_and_runs_in_an_empty_root() {
    let program = shipped();
    let size = std::fs::metadata(&program).unwrap().len();
    assert!(size < LARGEST, "{size} bytes");
    let root = tempfile::tempdir().unwrap();
    std::fs::copy(&program, root.path().join("kuryr-cni")).unwrap();
    let output = Command::new("chroot")
        .arg(root.path())
        .arg("/kuryr-cni")
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("supportedVersions"));
}
