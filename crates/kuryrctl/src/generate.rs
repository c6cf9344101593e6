//! `kuryrctl generate`: the definitions that install Kuryr on a cluster.
//!
//! ```text
//! options     flags and environment          conf        a kuryr.conf, if none is given
//! positional  files by their order           split       kuryr.conf -> what is secret, and the rest
//! parameters  options and files -> all that the definitions depend on
//! config_map, secrets, controller_account, cni_account, controller, daemon    one for each file of the output
//! rights, admission, pod                     what these share
//! ```

mod admission;
mod cni_account;
mod conf;
mod config_map;
mod controller;
mod controller_account;
mod daemon;
mod options;
mod parameters;
mod pod;
mod positional;
pub(crate) mod rights;
mod scheduling;
mod secrets;
mod split;

use std::{
    fs::{self, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

pub(crate) use self::options::Options;
use self::parameters::{Parameters, Prepared};
use crate::yaml;

const KUSTOMIZATION: &str = "kustomization.yaml";
const SECRET_FILE: &str = "certificates_secret.yml";

/// A file of the output.
struct File {
    name: &'static str,
    documents: Vec<Value>,
}

/// Writes the definitions to a directory or to `out`, and to `err` what their reader should know.
pub(crate) fn run(options: &Options, out: &mut impl Write, err: &mut impl Write) -> Result<()> {
    let prepared = parameters::prepare(options)?;
    for notice in &prepared.notices {
        writeln!(err, "kuryrctl: {notice}")?;
    }
    match &options.sources.out {
        Some(folder) => write(&prepared, folder, err),
        None => print(&prepared.parameters, out),
    }
}

fn files(parameters: &Parameters) -> Result<Vec<File>> {
    let certificates = serde_json::to_value(secrets::certificates(parameters))?;
    let credentials = serde_json::to_value(secrets::credentials(parameters))?;
    let file = |name, documents| File { name, documents };
    Ok(vec![
        file("config_map.yml", vec![serde_json::to_value(config_map::config_map(parameters))?]),
        file(SECRET_FILE, vec![certificates, credentials]),
        file("controller_service_account.yml", controller_account::documents(parameters)?),
        file("cni_service_account.yml", cni_account::documents(parameters)?),
        file("controller_deployment.yml", vec![serde_json::to_value(controller::deployment(parameters))?]),
        file("cni_ds.yml", vec![serde_json::to_value(daemon::daemon_set(parameters))?]),
    ])
}

impl File {
    fn text(&self) -> Result<String> {
        let documents =
            self.documents.iter().map(|document| Ok(format!("---\n{}", yaml::document(document)?)));
        documents.collect()
    }
}

fn print(parameters: &Parameters, out: &mut impl Write) -> Result<()> {
    for file in files(parameters)? {
        out.write_all(file.text()?.as_bytes())?;
    }
    Ok(())
}

fn write(prepared: &Prepared, folder: &Path, err: &mut impl Write) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files = files(&prepared.parameters)?;
    for file in &files {
        let mode = if file.name == SECRET_FILE { 0o600 } else { 0o644 };
        put(&folder.join(file.name), &file.text()?, mode)?;
    }
    put(&folder.join(KUSTOMIZATION), &yaml::document(&kustomization(&files))?, 0o644)?;
    if let Some(conf) = &prepared.made_conf {
        // The whole of it, with the login, to be filled in and given back as --controller-conf.
        put(&folder.join("kuryr.conf"), conf, 0o600)?;
    }
    writeln!(err, "kuryrctl: wrote {}; next: kubectl apply -k {0}", folder.display())?;
    Ok(())
}

/// What `kubectl apply -k` needs to know.
fn kustomization(files: &[File]) -> Value {
    let resources: Vec<_> = files.iter().map(|file| file.name).collect();
    json!({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources})
}

fn put(path: &Path, content: &str, mode: u32) -> Result<()> {
    let opened = OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| {
        // The mode above is for a new file only.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(content.as_bytes())
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// A file of the user's.
fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
