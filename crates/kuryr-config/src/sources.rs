//! Where the configuration comes from: files, directories, the environment, the command line.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

/// oslo.config's project name of the original: `kuryr-k8s.conf` is looked for in the usual places.
const PROJECT: &str = "kuryr-k8s";

/// What is read if there is nothing at the usual places: what every image and manifest of Kuryr uses.
const LAST_RESORT: &str = "etc/kuryr/kuryr.conf";

/// Everything that a configuration is read from, weakest first: default directories, files, directories, environment, overrides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Directories read before `files`; one that is missing is left out.
    pub default_dirs: Vec<PathBuf>,
    /// Files, in reading order; each must exist.
    pub files: Vec<PathBuf>,
    /// Directories whose `*.conf` are read in sorted order after the files; each must exist.
    pub dirs: Vec<PathBuf>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Options of the command line.
    pub overrides: Vec<Override>,
}

/// An option set on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Its group.
    pub group: String,
    /// Its name.
    pub option: String,
    /// Its text, read as if it stood in the file.
    pub value: String,
}

impl Sources {
    /// The sources of a program that was given these `--config-file` and `--config-dir`: them, the default places as oslo.config finds
    /// them where none was given, and this process's environment.
    pub fn from_cli(files: Vec<PathBuf>, dirs: Vec<PathBuf>) -> Self {
        let program = env::args_os().next().map(PathBuf::from);
        let program = program.as_deref().and_then(Path::file_stem).and_then(|name| name.to_str());
        let env = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { files, dirs, env: env.collect(), ..Self::default() }
            .with_default_places(Path::new("/"), program)
    }

    /// With an option set on the command line, which wins over everything else.
    #[must_use]
    pub fn with_override(mut self, group: &str, option: &str, value: &str) -> Self {
        self.overrides.push(Override { group: group.into(), option: option.into(), value: value.into() });
        self
    }

    /// Fills in what the command line did not name. Default files stand before given directories, default directories before given
    /// files: oslo.config reads its defaults first.
    fn with_default_places(mut self, root: &Path, program: Option<&str>) -> Self {
        let places = self.places(root);
        let find = |extension: &str| -> Vec<PathBuf> {
            [Some(PROJECT), program]
                .into_iter()
                .flatten()
                .filter_map(|name| first(&places, name, extension))
                .collect()
        };
        let nothing_given = self.files.is_empty() && self.dirs.is_empty();
        if self.dirs.is_empty() {
            self.default_dirs = find(".conf.d");
        }
        if self.files.is_empty() {
            self.files = find(".conf");
            // Default files come first; as they are the only files, the default directories may stand with the given ones.
            self.dirs.splice(0..0, std::mem::take(&mut self.default_dirs));
        }
        let last_resort = root.join(LAST_RESORT);
        if nothing_given && self.files.is_empty() && self.dirs.is_empty() && last_resort.exists() {
            self.files.push(last_resort);
        }
        self
    }

    fn places(&self, root: &Path) -> Vec<PathBuf> {
        let snap =
            |variable: &str| self.env.get(variable).map(|snap| PathBuf::from(snap).join("etc").join(PROJECT));
        let home = self.env.get("HOME").map(PathBuf::from);
        let dotted = home.as_ref().map(|home| home.join(format!(".{PROJECT}")));
        let system = [Some(root.join("etc").join(PROJECT)), Some(root.join("etc"))];
        [dotted, home]
            .into_iter()
            .chain(system)
            .chain([snap("SNAP_COMMON"), snap("SNAP")])
            .flatten()
            .collect()
    }
}

fn first(places: &[PathBuf], name: &str, extension: &str) -> Option<PathBuf> {
    places.iter().map(|place| place.join(format!("{name}{extension}"))).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Disk(tempfile::TempDir);

    impl Disk {
        fn with(paths: &[&str]) -> Self {
            let disk = Self(tempfile::tempdir().expect("a directory for the test"));
            for path in paths {
                let path = disk.0.path().join(path);
                fs::create_dir_all(path.parent().expect("not the root")).expect("made");
                if path.extension().is_some_and(|end| end == "d") {
                    fs::create_dir(path).expect("made");
                } else {
                    fs::write(path, "").expect("written");
                }
            }
            disk
        }

        fn sources(&self, given: Sources) -> Sources {
            let home = self.0.path().join("root").display().to_string();
            let given = Sources { env: BTreeMap::from([("HOME".to_owned(), home)]), ..given };
            given.with_default_places(self.0.path(), Some("kuryr-daemon"))
        }

        fn names(&self, paths: &[PathBuf]) -> Vec<String> {
            let under =
                |path: &PathBuf| path.strip_prefix(self.0.path()).unwrap_or(path).display().to_string();
            paths.iter().map(under).collect()
        }
    }

    #[test]
    fn each_name_is_taken_from_the_first_place_that_has_it() {
        let disk = Disk::with(&[
            "etc/kuryr-k8s.conf",
            "etc/kuryr-k8s/kuryr-k8s.conf",
            "root/kuryr-daemon.conf",
            "root/.kuryr-k8s/kuryr-k8s.conf.d",
            "etc/kuryr/kuryr.conf",
        ]);
        let sources = disk.sources(Sources::default());
        assert_eq!(disk.names(&sources.files), ["etc/kuryr-k8s/kuryr-k8s.conf", "root/kuryr-daemon.conf"]);
        assert_eq!(disk.names(&sources.dirs), ["root/.kuryr-k8s/kuryr-k8s.conf.d"]);
    }

    #[test]
    fn the_images_place_is_the_last_resort() {
        let disk = Disk::with(&["etc/kuryr/kuryr.conf"]);
        assert_eq!(disk.names(&disk.sources(Sources::default()).files), ["etc/kuryr/kuryr.conf"]);
        let given = disk.sources(Sources { dirs: vec!["given".into()], ..Sources::default() });
        assert_eq!(given.files, Vec::<PathBuf>::new());
    }

    #[test]
    fn default_directories_stand_before_given_files() {
        let disk = Disk::with(&["etc/kuryr-k8s.conf.d"]);
        let sources = disk.sources(Sources { files: vec!["given".into()], ..Sources::default() });
        assert_eq!(disk.names(&sources.default_dirs), ["etc/kuryr-k8s.conf.d"]);
        assert_eq!(disk.names(&sources.files), ["given"]);
        assert_eq!(sources.dirs, Vec::<PathBuf>::new());
    }
}
