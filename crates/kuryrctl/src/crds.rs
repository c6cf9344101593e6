//! `kuryrctl crds`: the custom resource definitions, as YAML.

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result};
use kuryr_api::crds;

use crate::yaml;

/// All definitions as one stream of documents.
pub(crate) fn print(out: &mut impl Write) -> Result<()> {
    for crd in crds() {
        write!(out, "---\n{}", yaml::document(&crd)?)?;
    }
    Ok(())
}

/// One file for each definition, called after the kind.
pub(crate) fn write(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for crd in crds() {
        let name = crd.spec.names.singular.as_deref().unwrap_or(&crd.spec.names.kind);
        let path = dir.join(format!("{name}.yaml"));
        fs::write(&path, yaml::document(&crd)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
