//! Configurations to disagree about: every oddity of the dialect, mixed by a seeded generator.

use std::collections::BTreeMap;

use kuryr_config::Schema;

/// A configuration: files by name, which of them are named on the command line, and the environment.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// Which table of options reads it.
    pub schema: &'static str,
    /// Text of each file.
    pub texts: BTreeMap<String, String>,
    /// Files named on the command line.
    pub files: Vec<String>,
    /// Directories named on the command line.
    pub dirs: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
}

const BREAKS: &[&str] = &["\n", "\n", "\n", "\n", "\n", "\r\n", "\r", "\n\n", "\n \t\n", "\n\u{1c}\n"];

const SEPARATORS: &[&str] = &[" = ", "=", ":", " : ", "= ", "\t=\t", " =", "\u{a0}= ", "=:", ":="];

const FAULTS: &[&str] = &["nothing", "[open", "[]", "= value", ": x", "[a]b", "\u{b}", "]", "[", "\u{feff}x"];

const VALUES: &[&str] = &[
    "",
    " ",
    "0",
    "1",
    "-1",
    "60",
    "007",
    "+5",
    "1_000",
    "1__0",
    "0x10",
    "5.5",
    "1e3",
    ".5",
    "nan",
    "-inf",
    "65535",
    "65536",
    "100000",
    "true",
    "True",
    "TRUE",
    "yes",
    "off",
    "On",
    "nope",
    "t",
    "text",
    "two words",
    "a,b,c",
    "a,,b,",
    ",",
    ",,",
    "a, b ,c",
    "[1, 2,3]",
    "[1,x]",
    "[",
    "[]",
    "[1",
    "1,2",
    "'a,b',c",
    "'open, x",
    "\"x\", 'y'",
    "k:v",
    "k:v,k2:v2",
    "k:v,k:w",
    ":v",
    "k",
    "k:1,b,c:2",
    "{a:1, b:2}",
    "{a:x}",
    "{}",
    "{",
    "'quoted'",
    "\"double\"",
    "'",
    "\"",
    "''",
    "'half",
    "half'",
    "\"'mixed'\"",
    "$$",
    "\\$",
    "$",
    "$5",
    "${",
    "${}",
    "a # b",
    "a ; b",
    "x=y",
    "x:y",
    "ünïcödé",
    "日本",
    "\u{a0}nbsp\u{a0}",
    "\u{2028}",
    "é\u{301}",
    "it's \"q\"",
    "back\\slash",
    "\u{7f}",
    "tab\there",
    "\u{1c}fs\u{1c}",
    "\u{130}",
    "K\u{212a}",
    "red",
    "green",
    "Red",
];

const REFERENCES: &[&str] = &[
    "$NAME",
    "${NAME}",
    "${GROUP.NAME}",
    "$GROUP.NAME",
    "a$NAME-b",
    "${NAME}${NAME}",
    "$$NAME",
    "\\$NAME",
    "\\$$NAME",
    "$$$NAME",
    "${NAME",
    "$NAME.",
    "${DEFAULT.NAME}",
    "${nowhere.NAME}",
    "$nothing",
    "${GROUP}",
    "$GROUP",
    "x,$NAME,y",
    "k:$NAME",
    "${ NAME }",
    "$\u{17f}et",
    "${GROUP.nothing}",
];

/// A small generator of numbers (`SplitMix64`): a seed always gives the same cases.
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let roll = self.roll() % u64::try_from(bound.max(1)).expect("a bound fits");
        usize::try_from(roll).expect("less than a bound")
    }

    /// True `times` in a hundred.
    fn percent(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// Writes cases for the options of one schema.
pub struct Writer<'a> {
    name: &'static str,
    dice: &'a mut Dice,
    /// `(group, option)` of every option.
    own: Vec<(String, String)>,
    /// The same, and older places.
    places: Vec<(String, String)>,
}

impl<'a> Writer<'a> {
    pub fn new(name: &'static str, schema: &Schema, dice: &'a mut Dice) -> Self {
        let own: Vec<_> =
            schema.options().map(|(group, opt)| (group.to_owned(), opt.name.to_owned())).collect();
        let older = schema.options().flat_map(|(group, opt)| {
            let or_own = move |older: &str| if older.is_empty() { group } else { older }.to_owned();
            opt.deprecated.iter().map(move |(older, name)| (or_own(older), (*name).to_owned()))
        });
        let places = own.iter().cloned().chain(older).collect();
        Self { name, dice, own, places }
    }

    pub fn case(&mut self) -> Case {
        let mut case = Case { schema: self.name, ..Case::default() };
        for number in 0..=self.dice.below(3) {
            let name = format!("{number}.ini");
            case.texts.insert(name.clone(), self.text());
            case.files.push(name);
        }
        if self.dice.percent(25) {
            for name in
                ["d/b.conf", "d/a.conf", "d/.hidden.conf", "d/B.conf", "d/a.conf.bak", "d/\u{e9}.conf"]
            {
                case.texts.insert(name.to_owned(), self.text());
            }
            case.dirs.push("d".to_owned());
        }
        for _ in 0..self.dice.below(3) {
            let (group, option) = self.place();
            case.env.insert(format!("OS_{}__{}", group.to_uppercase(), option.to_uppercase()), self.value());
        }
        case
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        let (mut group, _) = self.place();
        text.extend(["[", &group, "]\n"]);
        for _ in 0..self.dice.below(25) {
            if self.dice.percent(20) {
                group = self.place().0;
            }
            text += &self.line(&group);
            text += self.dice.pick(BREAKS);
        }
        if self.dice.percent(30) { text.trim_end_matches('\n').to_owned() } else { text }
    }

    fn line(&mut self, group: &str) -> String {
        match self.dice.below(200) {
            0..10 => format!("# {}", self.value()),
            10..14 => format!(";{}", self.value()),
            14..50 => self.section(group),
            50..60 => format!("unknown{}{}", self.dice.pick(SEPARATORS), self.value()),
            60 => self.dice.pick(FAULTS).to_owned(),
            _ => self.assignment(group),
        }
    }

    fn assignment(&mut self, group: &str) -> String {
        let names = self.places.iter().filter(|(other, _)| other == group).map(|(_, name)| name.clone());
        let names: Vec<_> = names.collect();
        let mut line = format!("{}{}{}", self.dice.pick(&names), self.dice.pick(SEPARATORS), self.value());
        while self.dice.percent(15) {
            line.extend(["\n", self.dice.pick(&["  ", "\t", " \u{b}"]), &self.value()]);
        }
        line
    }

    fn section(&mut self, group: &str) -> String {
        let shown = match self.dice.below(12) {
            0 => group.to_uppercase(),
            1 => format!(" {group} "),
            2 => "unknown".to_owned(),
            3 => "default".to_owned(),
            _ => group.to_owned(),
        };
        format!("[{shown}]")
    }

    fn value(&mut self) -> String {
        if !self.dice.percent(20) {
            let value = self.dice.pick(VALUES);
            return value.to_owned();
        }
        // References to older names are left out: oslo.config looks for them in places that nobody would expect.
        let (group, name) = self.dice.pick(&self.own);
        self.dice.pick(REFERENCES).replace("GROUP", &group).replace("NAME", &name)
    }

    fn place(&mut self) -> (String, String) {
        self.dice.pick(&self.places)
    }
}
