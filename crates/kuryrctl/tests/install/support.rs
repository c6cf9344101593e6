//! Runs kuryrctl and the script as a user does, with an environment that holds nothing else.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use kuryr_config::{Config, Layers, Loaded};
use serde_json::Value;

const KURYRCTL: &str = env!("CARGO_BIN_EXE_kuryrctl");
const CRD: &str = "kind: CustomResourceDefinition";

/// A program that ended.
pub struct Run {
    code: Option<i32>,
    pub printed: String,
    pub said: String,
    folder: tempfile::TempDir,
}

impl Run {
    /// `kuryrctl generate`.
    pub fn flags(flags: &[&str], env: &[(&str, &str)]) -> Self {
        Self::kuryrctl(&[&["generate"], flags].concat(), env)
    }

    pub fn kuryrctl(words: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(KURYRCTL);
        command.args(words);
        Self::of(command, env, tempfile::tempdir().unwrap())
    }

    /// The script, with a folder and these files.
    pub fn script(files: &[String], env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(path_of_script());
        command.arg(folder.path()).args(files);
        Self::of(command, env, folder)
    }

    /// Any program.
    pub fn of(mut command: Command, env: &[(&str, &str)], folder: tempfile::TempDir) -> Self {
        let path = env::var("PATH").unwrap_or_default();
        let fixed = [("PATH", path.as_str()), ("KURYRCTL", KURYRCTL), ("HOME", "/")];
        let output = command.env_clear().envs(fixed).envs(env.iter().copied()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), printed: text(output.stdout), said: text(output.stderr), folder }
    }

    /// It did what it should.
    pub fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.said);
        self
    }

    /// It refused, and this is what it said.
    pub fn bad(self) -> String {
        assert!(self.code.is_some_and(|code| code != 0), "{}", self.printed);
        self.said
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What the programs read in the kuryr.conf that was made.
    pub fn conf(&self) -> Config {
        let layers = Layers::from_text("kuryr.conf".into(), &self.file("kuryr.conf")).unwrap();
        Loaded::from_layers(&layers).unwrap().config
    }

    /// Compares all files with those of that name in `definitions`, custom resource definitions left out.
    pub fn expect_definitions(&self, name: &str) {
        let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/install/definitions").join(name);
        for file in expect_files().into_iter().chain(["kustomization.yaml"]) {
            let documents = documents(&self.file(file)).into_iter();
            let found: String = documents.filter(|document| !document.contains(CRD)).collect();
            let path = expected.join(file);
            if env::var_os("KURYR_UPDATE").is_some() {
                fs::create_dir_all(&expected).unwrap();
                fs::write(&path, &found).unwrap();
            }
            let wanted = fs::read_to_string(&path).unwrap_or_default();
            assert!(found == wanted, "{} is not what is written now:\n{found}", path.display());
        }
    }
}

/// The script without a folder.
pub fn script(words: &[&str], env: &[(&str, &str)]) -> Run {
    let mut command = Command::new(path_of_script());
    command.args(words);
    Run::of(command, env, tempfile::tempdir().unwrap())
}

/// The document's six, in its order.
pub fn expect_files() -> [&'static str; 6] {
    [
        "config_map.yml",
        "certificates_secret.yml",
        "controller_service_account.yml",
        "cni_service_account.yml",
        "controller_deployment.yml",
        "cni_ds.yml",
    ]
}

pub fn input(name: &str) -> String {
    format!("{}/tests/install/inputs/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The documents of a stream, each with its separator if it has one.
pub fn documents(stream: &str) -> Vec<String> {
    let (first, rest) = stream.split_once("---\n").unwrap_or((stream, ""));
    let rest = rest.split("\n---\n").filter(|text| !text.is_empty());
    let rest = rest.map(|text| format!("---\n{}\n", text.trim_end_matches('\n')));
    [first.to_owned()].into_iter().filter(|text| !text.is_empty()).chain(rest).collect()
}

/// The rules of a role, none if there is no such role.
pub fn rules(stream: &str, kind: &str, name: &str) -> Value {
    let all = serde_saphyr::from_multiple::<Value>(stream).unwrap();
    let found = all.into_iter().find(|value| value["kind"] == kind && value["metadata"]["name"] == name);
    found.map_or(Value::Null, |role| role["rules"].clone())
}

fn path_of_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/generate_k8s_resource_definitions.sh")
}
