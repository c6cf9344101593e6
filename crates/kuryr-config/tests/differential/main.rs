//! The same configurations, read by oslo.config and by us, give the same values and the same refusals.
//!
//! oslo.config runs once, in the Python interpreter that `KURYR_LAB_PYTHON` names, by default the lab's.

mod generate;

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use generate::{Case, Dice, Writer};
use kuryr_config::{
    Layers, Resolver, Schema, Sources,
    kind::{Bounds, DICT, INT, Kind, LIST, Value},
    option::{Group, Opt, Preset},
    options,
};
use serde_json::{Value as Json, json};

const CASES: usize = 800;

const NUMBERS: Kind = Kind::List { item: &Kind::Int { min: 0, max: 9 }, bounds: Bounds::Delimited };
const QUOTED: Kind = Kind::List { item: &Kind::QuotedText, bounds: Bounds::Bare };
const COUNTS: Kind = Kind::Dict { value: &INT, bounds: Bounds::Delimited };
const TRUTHS: Kind = Kind::List { item: &Kind::Bool, bounds: Bounds::Bare };

/// Options of every type there is, with every kind of default.
const EVERYTHING: &[Group] = &[
    Group {
        name: "DEFAULT",
        help: &[],
        options: &[
            Opt::new("plain", Kind::Text, &[]),
            Opt::new("set", Kind::Text, &[]).preset("s$plain"),
            Opt::new("truth", Kind::Bool, &[]).preset("yes"),
            Opt::new("number", INT, &[]).preset("7"),
            Opt::new("loop_a", Kind::Text, &[]).preset("$loop_b"),
            Opt::new("loop_b", Kind::Text, &[]).preset("${loop_a}"),
            Opt::new("items", LIST, &[]).preset("x,y"),
        ],
    },
    Group {
        name: "alpha",
        help: &[],
        options: &[
            Opt::new("plain", Kind::Text, &[]).preset("${beta.pairs}"),
            Opt::new("quoted", Kind::QuotedText, &[]),
            Opt::new("port", Kind::Int { min: 0, max: 65535 }, &[]).preset("80"),
            Opt::new("ratio", Kind::Float { min: 0.0 }, &[]).preset("0.5"),
            Opt::new("any_ratio", Kind::Float { min: f64::NEG_INFINITY }, &[]).preset("1e300"),
            Opt::new("numbers", NUMBERS, &[]).preset("[1]"),
            Opt::new("quoted_items", QUOTED, &[]).preset("'a,b',c"),
            Opt::new("truths", TRUTHS, &[]).preset("yes,no"),
            Opt::new("renamed", Kind::Text, &[]).deprecated(&[
                ("", "old-name"),
                ("beta", "once"),
                ("DEFAULT", "older"),
            ]),
        ],
    },
    Group {
        name: "beta",
        help: &[],
        options: &[
            Opt::new("pairs", DICT, &[]).preset("a:1,b:it's"),
            Opt::new("counts", COUNTS, &[]),
            Opt::new("truth", Kind::Bool, &[]).preset("$number"),
            Opt::new("chain", Kind::Text, &[])
                .preset("<${alpha.plain}|$truth|$items|${alpha.ratio}|${alpha.any_ratio}>"),
        ],
    },
];

#[test]
fn reads_what_oslo_config_reads() {
    let schemas =
        BTreeMap::from([("everything", Schema::new(EVERYTHING.to_vec())), ("kuryr", options::schema())]);
    let mut dice = Dice(20_241);
    let mut cases = Vec::new();
    for number in 0..CASES {
        let name = if number % 4 == 0 { "kuryr" } else { "everything" };
        cases.push(Writer::new(name, &schemas[name], &mut dice).case());
    }
    let asked = json!({
        "schemas": schemas.iter().map(|(name, schema)| (*name, schema_json(schema))).collect::<BTreeMap<_, _>>(),
        "cases": cases.iter().map(case_json).collect::<Vec<_>>(),
    });
    let theirs = ask_oslo(&asked);
    assert_eq!(theirs.len(), cases.len());
    let mut tally = Tally::default();
    for (number, (case, theirs)) in cases.iter().zip(&theirs).enumerate() {
        compare(number, case, &schemas[case.schema], theirs, &mut tally);
    }
    // A generator that only makes faults, or none, tests nothing.
    assert!(tally.faults > 50 && tally.faults < CASES / 2, "{tally:?}");
    assert!(tally.refused > 1_000 && tally.accepted > 10_000, "{tally:?}");
}

/// How often what came out, so that the generator is known to reach it.
#[derive(Debug, Default)]
struct Tally {
    faults: usize,
    refused: usize,
    accepted: usize,
}

fn compare(number: usize, case: &Case, schema: &Schema, theirs: &Json, tally: &mut Tally) {
    let dir = tempfile::tempdir().expect("a directory");
    let (layers, problems) = Layers::read(&sources(case, dir.path()));
    assert_eq!(
        theirs.get("fault").is_some(),
        !problems.is_empty(),
        "case {number}: {case:?}\n{theirs}\n{problems:?}"
    );
    if !problems.is_empty() {
        tally.faults += 1;
        return;
    }
    let resolver = Resolver::new(schema, &layers);
    for (group, opt) in schema.options() {
        let ours = resolver.value(group, opt).ok();
        let their = &theirs["values"][format!("{group}.{}", opt.name)];
        assert_eq!(
            &ours.as_ref().map_or(Json::Null, shown),
            their,
            "case {number}: [{group}] {}\n{case:#?}",
            opt.name
        );
        *if ours.is_some() { &mut tally.accepted } else { &mut tally.refused } += 1;
    }
}

fn sources(case: &Case, dir: &Path) -> Sources {
    for (name, text) in &case.texts {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("in a directory")).expect("made");
        fs::write(path, text).expect("written");
    }
    let paths = |names: &[String]| names.iter().map(|name| dir.join(name)).collect::<Vec<PathBuf>>();
    Sources {
        files: paths(&case.files),
        dirs: paths(&case.dirs),
        env: case.env.clone(),
        ..Sources::default()
    }
}

fn ask_oslo(asked: &Json) -> Vec<Json> {
    let python = interpreter();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/read.py");
    let mut command = Command::new(&python);
    command.arg(script).env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the interpreter starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(asked.to_string().as_bytes()).expect("oslo.config listens");
    drop(stdin);
    let output = child.wait_with_output().expect("oslo.config answers");
    assert!(
        output.status.success(),
        "{} could not run oslo.config (is oslo.config installed there?)",
        python.display()
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn interpreter() -> PathBuf {
    let home = || Path::new(&env::var_os("HOME").unwrap_or_else(|| "/".into())).join(".cache/kuryr-lab");
    let lab = env::var_os("KURYR_LAB").map_or_else(home, PathBuf::from);
    let python =
        env::var_os("KURYR_LAB_PYTHON").map_or_else(|| lab.join("opt/venv/bin/python"), PathBuf::from);
    let hint = "`make lab-up` installs one; KURYR_LAB_PYTHON names another";
    assert!(python.exists(), "no Python with oslo.config at {}: {hint}", python.display());
    python
}

fn case_json(case: &Case) -> Json {
    json!({ "schema": case.schema, "texts": case.texts, "files": case.files, "dirs": case.dirs, "env": case.env })
}

fn schema_json(schema: &Schema) -> Json {
    let groups = schema.groups().iter().map(|group| {
        let options: Vec<_> = group.options.iter().map(option_json).collect();
        json!({ "name": group.name, "options": options })
    });
    groups.collect()
}

fn option_json(opt: &Opt) -> Json {
    let default = match opt.default {
        Preset::Unset => None,
        Preset::Text(text) | Preset::Env(_, text) => Some(text),
    };
    json!({ "name": opt.name, "type": kind_json(&opt.kind), "default": default, "deprecated": opt.deprecated })
}

fn kind_json(kind: &Kind) -> Json {
    let bound = |number: i64| (number != i64::MIN && number != i64::MAX).then_some(number);
    match kind {
        Kind::Text => json!({ "kind": "text" }),
        Kind::QuotedText => json!({ "kind": "quoted" }),
        Kind::Bool => json!({ "kind": "bool" }),
        Kind::Int { min, max } => json!({ "kind": "int", "min": bound(*min), "max": bound(*max) }),
        Kind::Float { min } => json!({ "kind": "float", "min": min.is_finite().then_some(*min) }),
        Kind::List { item, bounds } => {
            json!({ "kind": "list", "item": kind_json(item), "bounds": *bounds == Bounds::Delimited })
        }
        Kind::Dict { value, bounds } => {
            json!({ "kind": "dict", "value": kind_json(value), "bounds": *bounds == Bounds::Delimited })
        }
    }
}

fn shown(value: &Value) -> Json {
    match value {
        Value::Unset => json!(["unset", ""]),
        Value::Text(text) => json!(["text", text]),
        Value::Bool(_) => json!(["bool", value.as_reference()]),
        Value::Int(_) => json!(["int", value.as_reference()]),
        Value::Float(_) => json!(["float", value.as_reference()]),
        Value::List(items) => json!(["list", items.iter().map(shown).collect::<Vec<_>>()]),
        Value::Dict(pairs) => {
            json!(["dict", pairs.iter().map(|(key, value)| json!([key, shown(value)])).collect::<Vec<_>>()])
        }
    }
}
