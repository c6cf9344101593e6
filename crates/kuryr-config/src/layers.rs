//! What the sources hold, in the order in which they win, before any option's type is looked at.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    error::{Origin, Problem},
    ini::{Assignment, Document},
    option::{Opt, Preset},
    schema::{normalized, places},
    sources::{Override, Sources},
};

/// The contents of all sources.
#[derive(Debug, Default)]
pub struct Layers {
    overrides: Vec<Override>,
    env: BTreeMap<String, String>,
    /// In reading order: the last one wins.
    files: Vec<File>,
}

/// A file, read.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) document: Document,
}

/// The text of an option and where it was found.
#[derive(Debug, Clone)]
pub(crate) struct Found<'a> {
    pub(crate) text: &'a str,
    pub(crate) origin: Origin,
    /// The group and name it was found under.
    pub(crate) place: (&'a str, &'a str),
}

impl Layers {
    /// Reads every file of the sources. A file that cannot be read is a problem, and the others are read all the same.
    pub fn read(sources: &Sources) -> (Self, Vec<Problem>) {
        let mut layers =
            Self { overrides: sources.overrides.clone(), env: sources.env.clone(), files: Vec::new() };
        let mut problems = Vec::new();
        for path in Self::paths(sources, &mut problems) {
            match read(&path) {
                Ok(document) => layers.files.push(File { path, document }),
                Err(problem) => problems.push(problem),
            }
        }
        (layers, problems)
    }

    /// The layers of a single file, whose text is at hand.
    pub fn from_text(path: PathBuf, text: &str) -> Result<Self, Problem> {
        let document = parse(&path, text)?;
        Ok(Self { files: vec![File { path, document }], ..Self::default() })
    }

    /// The files that were read, in reading order.
    pub fn paths_read(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }

    /// Whether anybody has set an option, to whatever it is by default too.
    pub fn is_set(&self, group: &str, opt: &Opt) -> bool {
        self.find(group, opt).is_some()
    }

    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    pub(crate) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The text that wins for an option, looked for as if its group had the given name.
    pub(crate) fn find<'a>(&'a self, group: &'a str, opt: &'a Opt) -> Option<Found<'a>> {
        let place = (group, opt.name);
        if let Some(set) =
            self.overrides.iter().rev().find(|set| (set.group.as_str(), set.option.as_str()) == place)
        {
            return Some(Found { text: &set.value, origin: Origin::CommandLine, place });
        }
        let variable = variable(group, opt.name);
        if let Some(text) = self.env.get(&variable) {
            return Some(Found { text, origin: Origin::Environment(variable), place });
        }
        self.files.iter().rev().find_map(|file| places(group, opt).find_map(|place| file.find(place)))
    }

    /// The text of an option's default.
    pub(crate) fn preset(&self, opt: &Opt) -> Option<&str> {
        match opt.default {
            Preset::Unset => None,
            Preset::Text(text) => Some(text),
            Preset::Env(variable, otherwise) => {
                Some(self.env.get(variable).map_or(otherwise, String::as_str))
            }
        }
    }

    fn paths(sources: &Sources, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
        let defaults = sources.default_dirs.iter().filter(|dir| dir.exists());
        let mut paths: Vec<PathBuf> = defaults.flat_map(|dir| within(dir, problems)).collect();
        paths.extend(sources.files.iter().cloned());
        paths.extend(sources.dirs.iter().flat_map(|dir| within(dir, problems)));
        paths
    }
}

impl File {
    fn find<'a>(&'a self, place: (&'a str, &'a str)) -> Option<Found<'a>> {
        let (group, name) = (normalized(place.0), place.1);
        let matches = |a: &&Assignment| a.key == name && normalized(&a.section) == group;
        let found = self.document.assignments.iter().rev().find(matches)?;
        let origin = Origin::File { path: self.path.clone(), line: found.line };
        Some(Found { text: &found.value, origin, place })
    }
}

/// The environment variable that sets an option.
pub(crate) fn variable(group: &str, name: &str) -> String {
    format!("OS_{}__{}", group.to_uppercase(), name.to_uppercase())
}

/// The `*.conf` of a directory, sorted. Hidden files are left out, as a shell's `*` does.
fn within(dir: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let names = match fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(why) => {
            problems.push(Problem::ReadFile { path: dir.to_owned(), why });
            return Vec::new();
        }
    };
    let is_conf = |name: &[u8]| name.ends_with(b".conf") && !name.starts_with(b".");
    let names = names.into_iter().filter(|entry| is_conf(entry.file_name().as_encoded_bytes()));
    let mut paths: Vec<_> = names.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> Result<Document, Problem> {
    let text = fs::read_to_string(path).map_err(|why| Problem::ReadFile { path: path.to_owned(), why })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Document, Problem> {
    Document::parse(text).map_err(|why| Problem::ParseFile { path: path.to_owned(), why })
}
