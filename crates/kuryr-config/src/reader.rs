//! From layers to a typed configuration: every fault and every warning is collected on the way.

use crate::{
    error::{Origin, Problem},
    field::Field,
    ini::Assignment,
    kind::{Refused, Value},
    layers::{Found, Layers, variable},
    option::{Choice, Group, Opt, State},
    resolve::{Resolver, shown},
    schema::{Schema, normalized},
    warning::{Warning, What, nearest},
};

/// Reads the fields of a configuration.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    schema: &'a Schema,
    layers: &'a Layers,
    /// Where the options of OpenStack's authentication stand, if `[neutron] auth_section` moves them.
    auth_section: Option<String>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(schema: &'a Schema, layers: &'a Layers) -> Self {
        let mut reader =
            Self { schema, layers, auth_section: None, problems: Vec::new(), warnings: Vec::new() };
        let moved =
            schema.option("neutron", "auth_section").map(|opt| reader.resolver().value("neutron", opt));
        if let Some(Ok(Value::Text(section))) = moved {
            reader.auth_section = Some(section).filter(|section| !section.is_empty());
        }
        reader
    }

    /// The field of an option. After a fault the field holds a placeholder, which nobody gets to see: the fault is in `problems`.
    pub(crate) fn field<T: Field>(&mut self, group: &'static Group, name: &str) -> T {
        let Some(opt) = group.options.iter().find(|opt| opt.name == name) else { return T::default() };
        let place = self.place(group.name, opt).to_owned();
        match self.resolver().value(&place, opt) {
            // A number left empty means its default, as for text where there is no default.
            Ok(Value::Unset) => T::from_value(Value::Unset).or_else(|| self.preset(opt)).unwrap_or_default(),
            Ok(value) => T::from_value(value).unwrap_or_else(|| {
                self.refuse(&place, opt, opt.kind.to_string());
                T::default()
            }),
            Err(_) => T::default(),
        }
    }

    /// Looks through all options and all files for faults and for what deserves a warning.
    pub(crate) fn check(&mut self) {
        for (group, opt) in self.schema.options() {
            self.check_option(group, opt);
        }
        for file in self.layers.files() {
            let origin = |line| Origin::File { path: file.path.clone(), line };
            self.check_groups(&file.document.sections, &origin);
            self.check_names(&file.document.assignments, &origin);
        }
        self.check_environment();
    }

    fn resolver(&self) -> Resolver<'a> {
        Resolver::new(self.schema, self.layers)
    }

    /// The group that an option is looked for in.
    fn place<'g>(&'g self, group: &'g str, opt: &Opt) -> &'g str {
        match &self.auth_section {
            Some(section) if group == "neutron" && crate::options::is_auth(opt) => section,
            _ => group,
        }
    }

    fn preset<T: Field>(&self, opt: &Opt) -> Option<T> {
        T::from_value(opt.kind.parse(self.layers.preset(opt)?).ok()?)
    }

    fn refuse(&mut self, place: &str, opt: &'static Opt, allowed: String) {
        if let Some(Found { text, origin, .. }) = self.layers.find(place, opt) {
            let (group, value, why) = (place.to_owned(), shown(opt, text), Refused { allowed });
            self.problems.push(Problem::ReadValue { origin, group, option: opt.name, value, why });
        }
    }

    fn check_option(&mut self, group: &'static str, opt: &'static Opt) {
        let place = self.place(group, opt).to_owned();
        let layers = self.layers;
        let Some(found) = layers.find(&place, opt) else { return };
        if found.place != (place.as_str(), opt.name) {
            let to = (place.clone(), opt.name);
            self.warn(&found, What::Renamed { option: found.place.1.to_owned(), to });
        }
        match opt.state {
            State::Obsolete(why) => return self.warn(&found, What::Obsolete { option: opt.name, why }),
            State::Later(feature) => self.warn(&found, What::Later { option: opt.name, feature }),
            State::Active => {}
        }
        match self.resolver().value(&place, opt) {
            Ok(value) => self.check_choice(&place, opt, &found, &value),
            Err(problem) => self.problems.push(problem),
        }
    }

    fn check_choice(&mut self, place: &str, opt: &'static Opt, found: &Found<'_>, value: &Value) {
        if opt.choices.is_empty() || *value == Value::Unset {
            return;
        }
        for text in value.texts() {
            match opt.choices.iter().find(|choice| choice.text() == text) {
                Some(Choice::Works(_)) => {}
                Some(Choice::Ignored(value, feature)) => {
                    self.warn(found, What::LaterValue { option: opt.name, value, feature });
                }
                None => self.refuse(place, opt, allowed(opt.choices)),
            }
        }
    }

    fn warn(&mut self, found: &Found<'_>, what: What) {
        let (origin, group) = (found.origin.clone(), found.place.0.to_owned());
        self.warnings.push(Warning { origin, group, what });
    }

    fn check_groups(&mut self, sections: &[(String, usize)], origin: &impl Fn(usize) -> Origin) {
        for (section, line) in sections {
            if self.is_known_group(section) || self.has_warned(section, None) {
                continue;
            }
            let near = nearest(section, self.schema.groups().iter().map(|group| group.name));
            let what = What::UnknownGroup { near };
            self.warnings.push(Warning { origin: origin(*line), group: section.clone(), what });
        }
    }

    fn check_names(&mut self, assignments: &[Assignment], origin: &impl Fn(usize) -> Origin) {
        for Assignment { section, key, line, .. } in assignments {
            if self.is_known_group(section)
                && !self.is_known(section, key)
                && !self.has_warned(section, Some(key))
            {
                self.unknown_option(origin(*line), section, key);
            }
        }
    }

    /// Variables of other programs begin with `OS_` too, so that only those of a known group are ours to judge.
    fn check_environment(&mut self) {
        let schema = self.schema;
        for name in self.layers.env().keys() {
            let Some((group, key)) = name.strip_prefix("OS_").and_then(|name| name.split_once("__")) else {
                continue;
            };
            let Some(group) = schema.groups().iter().find(|known| known.name.to_uppercase() == group) else {
                continue;
            };
            if !group.options.iter().any(|opt| variable(group.name, opt.name) == *name) {
                self.unknown_option(Origin::Environment(name.clone()), group.name, &key.to_lowercase());
            }
        }
    }

    fn unknown_option(&mut self, origin: Origin, group: &str, option: &str) {
        let known = self.schema.group(&normalized(group)).map_or(&[][..], |group| group.options);
        let near = nearest(option, known.iter().map(|opt| opt.name));
        let what = What::UnknownOption { option: option.to_owned(), near };
        self.warnings.push(Warning { origin, group: group.to_owned(), what });
    }

    fn is_known_group(&self, section: &str) -> bool {
        let section = normalized(section);
        self.schema.knows_group(&section) || self.is_auth_section(&section)
    }

    fn is_known(&self, section: &str, key: &str) -> bool {
        let section = normalized(section);
        self.schema.knows(&section, key)
            || (self.is_auth_section(&section) && self.schema.knows("neutron", key))
    }

    fn is_auth_section(&self, normal: &str) -> bool {
        self.auth_section.as_ref().is_some_and(|section| normalized(section) == normal)
    }

    /// Whether a group, or an option of it, was named as unknown already: each is named once.
    fn has_warned(&self, section: &str, key: Option<&str>) -> bool {
        self.warnings.iter().filter(|warning| warning.group == section).any(|warning| match &warning.what {
            What::UnknownGroup { .. } => key.is_none(),
            What::UnknownOption { option, .. } => key == Some(option),
            _ => false,
        })
    }
}

fn allowed(choices: &[Choice]) -> String {
    choices.iter().map(Choice::text).collect::<Vec<_>>().join(" or ")
}
