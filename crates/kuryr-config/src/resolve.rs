//! From the text of an option to its value: default, references to other options, type.

use crate::{
    error::{Origin, Problem, ReferenceError, Shown},
    kind::Value,
    layers::{Found, Layers},
    option::{Opt, Privacy},
    schema::{DEFAULT, Schema},
    template::{Piece, pieces, spelt},
};

/// Reads options of one schema out of one set of layers.
#[derive(Debug, Clone, Copy)]
pub struct Resolver<'a> {
    schema: &'a Schema,
    layers: &'a Layers,
}

/// The options being read, outermost first: who meets itself there refers to itself.
type Trail = Vec<(String, &'static str)>;

impl<'a> Resolver<'a> {
    /// Reads this schema's options out of these layers.
    pub fn new(schema: &'a Schema, layers: &'a Layers) -> Self {
        Self { schema, layers }
    }

    /// The value of an option, looked for in the given group, which is its own unless `auth_section` says otherwise.
    pub fn value(&self, group: &str, opt: &'static Opt) -> Result<Value, Problem> {
        self.follow(group, opt, &mut Trail::new())
    }

    fn follow(&self, group: &str, opt: &'static Opt, trail: &mut Trail) -> Result<Value, Problem> {
        let found = self.layers.find(group, opt);
        let preset = || self.layers.preset(opt).map(|text| (text, Origin::Default));
        let Some((text, origin)) = found.map(|Found { text, origin, .. }| (text, origin)).or_else(preset)
        else {
            return Ok(Value::Unset);
        };
        let here = || (origin.clone(), group.to_owned());
        trail.push((group.to_owned(), opt.name));
        let expanded = self.expand(group, text, trail).map_err(|why| {
            let (origin, group) = here();
            Problem::FollowReference { origin, group, option: opt.name, why }
        });
        trail.pop();
        let expanded = expanded?;
        opt.kind.parse(&expanded).map_err(|why| {
            let (origin, group) = here();
            Problem::ReadValue { origin, group, option: opt.name, value: shown(opt, &expanded), why }
        })
    }

    fn expand(&self, group: &str, text: &str, trail: &mut Trail) -> Result<String, ReferenceError> {
        let text = spelt(text);
        let pieces = pieces(&text).into_iter().map(|piece| match piece {
            Piece::Text(text) => Ok(text.to_owned()),
            Piece::Reference(name) => self.reference(group, name, trail),
        });
        pieces.collect()
    }

    fn reference(&self, from: &str, name: &str, trail: &mut Trail) -> Result<String, ReferenceError> {
        let (group, opt) = self.target(from, name)?;
        match self.referred(group, opt, name, trail) {
            // An option that refers to nothing is as good as absent for oslo.config, which then asks for the name without a group.
            Err(ReferenceError::Unknown(nothing)) if group == from && group != DEFAULT => {
                let opt = self.schema.option(DEFAULT, name).ok_or(ReferenceError::Unknown(nothing))?;
                self.referred(DEFAULT, opt, name, trail)
            }
            other => other,
        }
    }

    fn referred(
        &self,
        group: &str,
        opt: &'static Opt,
        name: &str,
        trail: &mut Trail,
    ) -> Result<String, ReferenceError> {
        if trail.iter().any(|(on_group, on_name)| on_group == group && *on_name == opt.name) {
            return Err(ReferenceError::Loop(name.to_owned()));
        }
        match self.follow(group, opt, trail) {
            Ok(value) => Ok(value.as_reference()),
            Err(Problem::FollowReference { why: ReferenceError::Unknown(nothing), .. }) => {
                Err(ReferenceError::Unknown(nothing))
            }
            Err(_) => Err(ReferenceError::Faulty(name.to_owned())),
        }
    }

    /// What a reference means. In oslo.config `DEFAULT` is no group that a reference can name, and a bare name is looked for in the
    /// referring option's group first.
    fn target<'n>(&self, from: &'n str, name: &'n str) -> Result<(&'n str, &'static Opt), ReferenceError> {
        if let Some((group, option)) = name.split_once('.') {
            if group == DEFAULT || self.schema.group(group).is_none() {
                return Err(ReferenceError::UnknownGroup(name.to_owned()));
            }
            let opt = self.schema.option(group, option).map(|opt| (group, opt));
            return opt.ok_or_else(|| ReferenceError::Unknown(name.to_owned()));
        }
        let own = self.schema.option(from, name).map(|opt| (from, opt));
        let found = own.or_else(|| self.schema.option(DEFAULT, name).map(|opt| (DEFAULT, opt)));
        found.ok_or_else(|| match self.schema.group(name).filter(|_| name != DEFAULT) {
            Some(_) => ReferenceError::UnknownGroup(name.to_owned()),
            None => ReferenceError::Unknown(name.to_owned()),
        })
    }
}

/// A text as it may be shown with that option.
pub(crate) fn shown(opt: &Opt, text: &str) -> Shown {
    match opt.privacy {
        Privacy::Public => Shown::Text(text.to_owned()),
        Privacy::Secret => Shown::Hidden,
    }
}
