//! Files by their order, as two generations of the Python Kuryr's script took them:
//! `CONTROLLER_CONF CNI_CONF CA` (documented) and `CONF CA` (later). What a file holds says which it is.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{parameters::PEM, read};

/// Which file is which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) controller_conf: Option<PathBuf>,
    pub(crate) cni_conf: Option<PathBuf>,
    pub(crate) ca_certificate: Option<PathBuf>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Certificate,
    Configuration,
}

/// Tells files apart. An empty name is a file that was not given, as in a script's `"$2"`.
pub(crate) fn tell_apart(given: &[PathBuf]) -> Result<Files> {
    let file = |at: usize| given.get(at).filter(|path| !path.as_os_str().is_empty()).cloned();
    let (first, second, third) = (file(0), file(1), file(2));
    if let Some(path) = first.as_ref().filter(|path| is_pem(path) == Some(true)) {
        bail!("{} is a certificate, and the first file has to be a kuryr.conf", path.display());
    }
    let certificate_second = second.as_deref().is_some_and(|path| content(path) == Content::Certificate);
    match (&second, &third) {
        (Some(second), Some(third)) if certificate_second => bail!(
            "{} is a certificate: nothing may follow it, and there is {}. The order is CONTROLLER_CONF CNI_CONF CA, or CONTROLLER_CONF CA",
            second.display(),
            third.display()
        ),
        (_, Some(third)) if content(third) == Content::Configuration => {
            bail!("{} is a configuration, and the third file has to be a CA certificate", third.display())
        }
        _ => {}
    }
    let (cni_conf, ca_certificate) = if certificate_second { (None, second) } else { (second, third) };
    Ok(Files { controller_conf: first, cni_conf, ca_certificate })
}

/// A file that can't be read is what its name says: a configuration that is missing is an error, a certificate is not.
fn content(path: &Path) -> Content {
    let is_called_conf = path.extension().is_some_and(|end| end == "conf" || end == "ini");
    if is_pem(path).unwrap_or(!is_called_conf) { Content::Certificate } else { Content::Configuration }
}

/// `None`: it can't be read.
fn is_pem(path: &Path) -> Option<bool> {
    read(path).ok().map(|text| text.contains(PEM))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn told(names: &[&str]) -> Result<Files> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("a.conf"), "[DEFAULT]\n")?;
        fs::write(folder.path().join("b.txt"), "[DEFAULT]\n")?;
        fs::write(folder.path().join("ca"), "-----BEGIN CERTIFICATE-----\n")?;
        let path = |name: &&str| if name.is_empty() { PathBuf::new() } else { folder.path().join(name) };
        let paths: Vec<_> = names.iter().map(path).collect();
        let files = tell_apart(&paths)?;
        let name = |path: Option<PathBuf>| path.map(|path| path.file_name().unwrap_or_default().into());
        Ok(Files {
            controller_conf: name(files.controller_conf),
            cni_conf: name(files.cni_conf),
            ca_certificate: name(files.ca_certificate),
        })
    }

    fn files(controller: &str, daemon: &str, ca: &str) -> Files {
        let file = |name: &str| Some(PathBuf::from(name)).filter(|name| !name.as_os_str().is_empty());
        Files { controller_conf: file(controller), cni_conf: file(daemon), ca_certificate: file(ca) }
    }

    #[test]
    fn both_orders_are_understood() {
        for (given, expected) in [
            (vec![], files("", "", "")),
            (vec!["a.conf"], files("a.conf", "", "")),
            (vec!["a.conf", "b.txt"], files("a.conf", "b.txt", "")),
            (vec!["a.conf", "ca"], files("a.conf", "", "ca")),
            (vec!["a.conf", "b.txt", "ca"], files("a.conf", "b.txt", "ca")),
            (vec!["a.conf", "", "ca"], files("a.conf", "", "ca")),
            (vec!["", "", "ca"], files("", "", "ca")),
            (vec!["a.conf", "missing.pem"], files("a.conf", "", "missing.pem")),
            (vec!["a.conf", "missing.conf"], files("a.conf", "missing.conf", "")),
            (vec!["a.conf", "b.txt", "missing"], files("a.conf", "b.txt", "missing")),
        ] {
            assert_eq!(told(&given).unwrap(), expected, "{given:?}");
        }
    }

    #[test]
    fn a_mixed_up_order_is_refused() {
        for (given, why) in [
            (vec!["ca"], "has to be a kuryr.conf"),
            (vec!["a.conf", "ca", "b.txt"], "nothing may follow it"),
            (vec!["a.conf", "b.txt", "a.conf"], "has to be a CA certificate"),
        ] {
            let error = told(&given).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
