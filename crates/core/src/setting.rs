//! Configuration keys: the name, the default and the documentation of each setting, and the form of its problems.
//!
//! Knows: names and texts. Must not know: files, and which values are good.
//!
//! Each module lists the [`Key`]s of its `Settings`. The check for unknown keys, the did-you-mean hint,
//! `docs/config.md`, `deploy/config.yaml` and `--print-config` all read these lists, so they cannot disagree.
//! The bounds of the values are in [`CheckSettings::problems`] of the same `Settings`.

mod check;

pub use check::{CheckSettings, SettingProblem, of_parts, shown};

/// One setting, named relative to its section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name; a dot descends (`http.address`).
    pub name: &'static str,
    /// Its default as YAML; `None` where it must be given or is absent by default.
    pub default: Option<&'static str>,
    /// A value to show where the default shows nothing.
    pub example: &'static str,
    /// Its documentation: meaning, unit, extremes, and what it protects.
    pub doc: &'static str,
    /// Whether keys below it are checked here.
    pub shape: Shape,
}

/// The shape of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A scalar or a list of scalars.
    Value,
    /// A structure that its own `Settings` checks.
    Tree,
}

impl Key {
    /// A value with a default.
    #[must_use]
    pub const fn new(name: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self { name, default: Some(default), example: default, doc, shape: Shape::Value }
    }

    /// A value that must be given, or is absent by default.
    #[must_use]
    pub const fn required(name: &'static str, example: &'static str, doc: &'static str) -> Self {
        Self { name, default: None, example, doc, shape: Shape::Value }
    }

    /// A structure with a default, checked by its own `Settings`.
    #[must_use]
    pub const fn tree(name: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self { name, default: Some(default), example: default, doc, shape: Shape::Tree }
    }

    /// Shows `example` where the default shows nothing.
    #[must_use]
    pub const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }
}

/// The keys of one section. `prefix` is a path such as `limits.connection`, `listeners[]` for the elements of
/// a list or `profiles.<name>` for the entries of a map; empty for the top level.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// The place of the section.
    pub prefix: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// All keys as a tree, in the order of the sections.
#[derive(Debug, Clone)]
pub enum KeyTree {
    /// A setting.
    Leaf(Key),
    /// A section with these names.
    Map(Vec<(&'static str, KeyTree)>),
    /// A map with names that the operator chooses.
    Each(Box<KeyTree>),
    /// A list.
    List(Box<KeyTree>),
}

/// One step of a key's path.
enum Step {
    Name(&'static str),
    Each,
    List,
}

impl KeyTree {
    /// The tree of all sections' keys.
    #[must_use]
    pub fn of(sections: &[Section]) -> Self {
        let mut root = Self::Map(Vec::new());
        for section in sections {
            for key in section.keys {
                let path = steps(section.prefix).into_iter().chain(steps(key.name));
                root.insert(&path.collect::<Vec<_>>(), *key);
            }
        }
        root
    }

    fn insert(&mut self, path: &[Step], key: Key) {
        let Some((step, rest)) = path.split_first() else {
            *self = Self::Leaf(key);
            return;
        };
        match (step, &mut *self) {
            (Step::Name(name), Self::Map(entries)) => {
                if let Some((_, known)) = entries.iter_mut().find(|(known, _)| known == name) {
                    known.insert(rest, key);
                } else {
                    let mut known = Self::Map(Vec::new());
                    known.insert(rest, key);
                    entries.push((name, known));
                }
            }
            (Step::Each, Self::Each(inner)) | (Step::List, Self::List(inner)) => inner.insert(rest, key),
            (Step::Each, Self::Leaf(_) | Self::Map(_) | Self::List(_)) => {
                let mut inner = Self::Map(Vec::new());
                inner.insert(rest, key);
                *self = Self::Each(Box::new(inner));
            }
            (Step::List, Self::Leaf(_) | Self::Map(_) | Self::Each(_)) => {
                let mut inner = Self::Map(Vec::new());
                inner.insert(rest, key);
                *self = Self::List(Box::new(inner));
            }
            (Step::Name(_), Self::Leaf(_) | Self::Each(_) | Self::List(_)) => {}
        }
    }

    /// Every setting with its whole name, such as `listeners[].tls.certificate`.
    #[must_use]
    pub fn leaves(&self) -> Vec<(String, Key)> {
        let mut leaves = Vec::new();
        self.collect(String::new(), &mut leaves);
        leaves
    }

    fn collect(&self, path: String, leaves: &mut Vec<(String, Key)>) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match self {
            Self::Leaf(key) => leaves.push((path, *key)),
            Self::Map(entries) => entries.iter().for_each(|(name, known)| known.collect(below(name), leaves)),
            Self::Each(inner) => inner.collect(below("<name>"), leaves),
            Self::List(inner) => inner.collect(format!("{path}[]"), leaves),
        }
    }
}

fn steps(path: &'static str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        match (part, part.strip_suffix("[]")) {
            ("<name>", _) => steps.push(Step::Each),
            (_, Some(list)) => steps.extend([Step::Name(list), Step::List]),
            (name, None) => steps.push(Step::Name(name)),
        }
    }
    steps
}
