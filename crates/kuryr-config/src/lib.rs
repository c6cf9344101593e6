//! Kuryr's configuration: `kuryr.conf` read exactly as oslo.config reads it, so that the file of a Kuryr-Kubernetes installation is
//! good as it stands.
//!
//! [`load`] is the whole of it for a program: [`Sources`] (files, directories, environment, command line) in, [`Loaded`] (a typed
//! [`Config`] and the [`Warning`]s for the log) out, or a [`ConfigError`] that names every fault at once.
//!
//! # Layout
//!
//! ```text
//! sources   which files, in which order        option   what is known about an option
//! ini       a file -> assignments              options  the table: every option there is, and the Config struct
//! layers    all sources, the last one wins     kind     oslo.config's types: text -> value
//! template  $option, ${group.option}, $$       field    value -> field of a struct
//! resolve   option -> value                    reader   all options -> Config, faults, warnings
//! docs      the table -> sample file, reference for users
//! cloud     [neutron] or clouds.yaml -> how to reach OpenStack
//! ```

pub mod cloud;
pub mod docs;
mod error;
mod field;
pub mod ini;
pub mod kind;
mod layers;
pub mod option;
pub mod options;
mod python;
mod reader;
mod resolve;
mod schema;
mod sources;
mod template;
mod warning;

use std::path::PathBuf;

use crate::reader::Reader;
pub use kuryr_api::cloud::Secret;

pub use crate::{
    error::{ConfigError, Origin, Problem, ReferenceError, Shown},
    layers::Layers,
    options::Config,
    resolve::Resolver,
    schema::{DEFAULT, Schema},
    sources::{Override, Sources},
    warning::{Warning, What},
};

/// A configuration and what its operator should know about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// To be logged, one line each.
    pub warnings: Vec<Warning>,
    /// The files it was read from, in reading order.
    pub files_read: Vec<PathBuf>,
}

/// Reads the configuration.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let (layers, mut problems) = Layers::read(sources);
    match Loaded::from_layers(&layers) {
        Ok(loaded) if problems.is_empty() => Ok(loaded),
        Ok(_) => Err(ConfigError { problems }),
        Err(mut error) => {
            problems.append(&mut error.problems);
            Err(ConfigError { problems })
        }
    }
}

impl Loaded {
    /// The configuration that these layers give.
    pub fn from_layers(layers: &Layers) -> Result<Self, ConfigError> {
        let schema = options::schema();
        let mut reader = Reader::new(&schema, layers);
        reader.check();
        let config = Config::read(&mut reader);
        if !reader.problems.is_empty() {
            return Err(ConfigError { problems: reader.problems });
        }
        Ok(Self { config, warnings: reader.warnings, files_read: layers.paths_read() })
    }
}
