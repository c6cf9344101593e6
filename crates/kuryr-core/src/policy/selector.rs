//! Label selectors, and an index that finds those that may match without asking each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::hash::Hash;

/// Labels of an object.
pub type Labels = BTreeMap<Box<str>, Box<str>>;

/// What labels have to be like. Two that ask the same in another order are equal; the empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(BTreeSet<Requirement>);

/// One condition of a selector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// Key of the label.
    pub key: Box<str>,
    /// What is asked of it.
    pub test: Test,
}

/// What is asked of a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Test {
    /// It is there, with one of these values.
    In(BTreeSet<Box<str>>),
    /// It is not there, or has another value.
    NotIn(BTreeSet<Box<str>>),
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

impl Selector {
    /// A selector of these conditions, all of which have to hold.
    pub fn new(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        Self(requirements.into_iter().collect())
    }

    /// It matches everything.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all conditions hold.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.holds(labels))
    }

    /// The label that whatever matches must have, if there is one: by its values, or by its key alone.
    fn anchor(&self) -> Anchor<'_> {
        let mut by_key = None;
        for requirement in &self.0 {
            match &requirement.test {
                Test::In(values) => return Anchor::Pairs(&requirement.key, values),
                Test::Exists => by_key = Some(&*requirement.key),
                Test::NotIn(_) | Test::DoesNotExist => {}
            }
        }
        by_key.map_or(Anchor::Nothing, Anchor::Key)
    }
}

enum Anchor<'s> {
    Pairs(&'s str, &'s BTreeSet<Box<str>>),
    Key(&'s str),
    Nothing,
}

impl Requirement {
    /// `key` has the value `value`.
    pub fn equals(key: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        Self { key: key.into(), test: Test::In(BTreeSet::from([value.into()])) }
    }

    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.contains(value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
        }
    }
}

/// As `kubectl` takes it on its command line, and `*` for everything.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything() {
            return f.write_str("*");
        }
        for (at, requirement) in self.0.iter().enumerate() {
            write!(f, "{}{requirement}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let list = |values: &BTreeSet<Box<str>>| values.iter().map(|v| &**v).collect::<Vec<_>>().join(",");
        match &self.test {
            Test::In(values) if values.len() == 1 => write!(f, "{key}={}", list(values)),
            Test::In(values) => write!(f, "{key} in ({})", list(values)),
            Test::NotIn(values) => write!(f, "{key} notin ({})", list(values)),
            Test::Exists => write!(f, "{key}"),
            Test::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

/// Finds what selects an object with given labels: by a label that the selector asks for, so that selectors of other
/// labels cost nothing.
#[derive(Clone, Debug)]
pub struct Selectors<I> {
    by_pair: HashMap<Box<str>, HashMap<Box<str>, Vec<I>>>,
    by_key: HashMap<Box<str>, Vec<I>>,
    rest: Vec<I>,
}

impl<I> Default for Selectors<I> {
    fn default() -> Self {
        Self { by_pair: HashMap::new(), by_key: HashMap::new(), rest: Vec::new() }
    }
}

impl<I: Copy + Eq + Hash> Selectors<I> {
    /// Adds what is selected by `selector`.
    pub fn insert(&mut self, selector: &Selector, id: I) {
        match selector.anchor() {
            Anchor::Pairs(key, values) => {
                let by_value = self.by_pair.entry(key.into()).or_default();
                values.iter().for_each(|value| by_value.entry(value.clone()).or_default().push(id));
            }
            Anchor::Key(key) => self.by_key.entry(key.into()).or_default().push(id),
            Anchor::Nothing => self.rest.push(id),
        }
    }

    /// Takes it out again.
    pub fn remove(&mut self, selector: &Selector, id: I) {
        match selector.anchor() {
            Anchor::Pairs(key, values) => {
                let Some(by_value) = self.by_pair.get_mut(key) else { return };
                values.iter().for_each(|value| take(by_value, value, id));
                if by_value.is_empty() {
                    self.by_pair.remove(key);
                }
            }
            Anchor::Key(key) => take(&mut self.by_key, key, id),
            Anchor::Nothing => self.rest.retain(|other| *other != id),
        }
    }

    /// There is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.by_pair.is_empty() && self.by_key.is_empty() && self.rest.is_empty()
    }

    /// What may select an object with `labels`. Who asks still has to ask the selector itself.
    pub fn candidates<'s>(&'s self, labels: &'s Labels) -> impl Iterator<Item = I> + 's {
        let pairs = labels.iter().filter_map(|(key, value)| self.by_pair.get(key)?.get(value));
        let keys = labels.keys().filter_map(|key| self.by_key.get(key));
        pairs.chain(keys).flatten().chain(&self.rest).copied()
    }
}

fn take<I: Copy + Eq>(index: &mut HashMap<Box<str>, Vec<I>>, at: &str, id: I) {
    let Some(ids) = index.get_mut(at) else { return };
    ids.retain(|other| *other != id);
    if ids.is_empty() {
        index.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    fn one(key: &str, test: Test) -> Selector {
        Selector::new([Requirement { key: key.into(), test }])
    }

    fn values(all: &[&str]) -> BTreeSet<Box<str>> {
        all.iter().map(|value| (*value).into()).collect()
    }

    #[test]
    fn what_is_not_there_is_not_in_any_list() {
        let (some, none) = (labels(&[("a", "1")]), labels(&[]));
        let cases = [
            (Test::In(values(&["1", "2"])), true, false),
            (Test::In(values(&["2"])), false, false),
            (Test::NotIn(values(&["1"])), false, true),
            (Test::NotIn(values(&["2"])), true, true),
            (Test::Exists, true, false),
            (Test::DoesNotExist, false, true),
        ];
        for (test, on_some, on_none) in cases {
            let selector = one("a", test);
            assert_eq!((selector.matches(&some), selector.matches(&none)), (on_some, on_none), "{selector}");
        }
        assert!(Selector::default().matches(&none));
    }

    #[test]
    fn an_index_finds_what_asking_each_finds() {
        let selectors = [
            Selector::default(),
            one("a", Test::In(values(&["1", "2"]))),
            one("a", Test::NotIn(values(&["1"]))),
            one("b", Test::Exists),
            one("b", Test::DoesNotExist),
            Selector::new([
                Requirement::equals("a", "1"),
                Requirement { key: "b".into(), test: Test::Exists },
            ]),
        ];
        let mut index = Selectors::default();
        selectors.iter().enumerate().for_each(|(id, selector)| index.insert(selector, id));
        for pairs in
            [&[][..], &[("a", "1")], &[("a", "2"), ("b", "x")], &[("a", "1"), ("b", "")], &[("c", "1")]]
        {
            let labels = labels(pairs);
            let asked: BTreeSet<_> =
                (0..selectors.len()).filter(|id| selectors[*id].matches(&labels)).collect();
            let found = index.candidates(&labels).filter(|id| selectors[*id].matches(&labels)).collect();
            assert_eq!(asked, found, "{labels:?}");
        }
        selectors.iter().enumerate().for_each(|(id, selector)| index.remove(selector, id));
        assert!(index.is_empty());
    }
}
