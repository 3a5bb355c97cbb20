//! Merges file, environment and flags, deserializes the result, and collects every problem.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::sections::IN_FLIGHT_MAX;
use super::tree::{Content, Node, Origin};
use super::{Config, Limits, all_sections};
use picket_core::problem::{Problem, Severity, nearest};
use picket_core::setting::{CheckSettings as _, KeyTree, Shape, shown};

/// Prefix of the environment variables that are settings.
pub(super) const VARIABLE_PREFIX: &str = "PICKET_";
/// Listener and profile that exist where nobody names any.
const DEFAULTS: &str = "listeners: [{name: ext_authz, address: \"127.0.0.1:9191\"}]\nprofiles: {default: {}}\n";

/// The sources of settings.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Name and text of the file, where one is given.
    pub file: Option<(String, String)>,
    /// The environment: all of it, or what a test wants.
    pub environment: Vec<(String, String)>,
    /// Flags as `section.field=value`, each with the flag as the user wrote it.
    pub flags: Vec<(String, String)>,
}

/// The settings in force, and where each came from.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The settings.
    pub config: Config,
    /// The settings as given, with their origins.
    pub tree: Node,
    /// Warnings.
    pub warnings: Vec<Problem>,
}

/// Reads the settings.
///
/// # Errors
/// Every problem that was found: unknown keys, values of the wrong kind, and settings that contradict others.
pub fn load(sources: &Sources) -> Result<Effective, Vec<Problem>> {
    let mut reader = Loader::new(sources)?;
    reader.check(&KeyTree::of(&all_sections()));
    let config = reader.config();
    if reader.problems.iter().all(|problem| problem.severity < Severity::Error) {
        reader.bounds(&config);
    }
    let (errors, warnings): (Vec<_>, Vec<_>) =
        reader.problems.into_iter().partition(|problem| problem.severity == Severity::Error);
    if errors.is_empty() { Ok(Effective { config, tree: reader.tree, warnings }) } else { Err(errors) }
}

struct Loader {
    file: String,
    tree: Node,
    problems: Vec<Problem>,
    unknown: Vec<String>,
}

impl Loader {
    fn new(sources: &Sources) -> Result<Self, Vec<Problem>> {
        let (file, text) = sources.file.clone().unwrap_or_default();
        let mut tree = match text.trim() {
            "" => Node::empty(),
            _ => Node::parse(&text, &file).map_err(|problem| vec![*problem])?,
        };
        // A file of comments only is `null`, and a file that holds only a list or a word is a mistake.
        match &tree.content {
            Content::Scalar(Value::Null) => tree = Node::empty(),
            Content::Map(_) => {}
            Content::Scalar(_) | Content::List(_) => {
                return Err(vec![Problem::error(file, "is not a map of sections such as `listeners:`")]);
            }
        }
        let defaults = Node::parse_value(DEFAULTS, &Origin::Default);
        for name in ["listeners", "profiles"] {
            if let (None, Some(default)) = (tree.get(name), defaults.get(name)) {
                tree.set(&[name], default.clone()).map_err(|message| vec![Problem::error(&file, message)])?;
            }
        }
        let mut reader = Self { file, tree, problems: Vec::new(), unknown: Vec::new() };
        for (name, value) in &sources.environment {
            reader.variable(name, value);
        }
        for (text, flag) in &sources.flags {
            let origin = Origin::Flag(flag.clone());
            match text.split_once('=') {
                Some((path, value)) => reader.set(&path.split('.').collect::<Vec<_>>(), value, &origin),
                None => reader.error(&origin, format!("`{text}` has no value; write `section.field=value`")),
            }
        }
        Ok(reader)
    }

    fn error(&mut self, origin: &Origin, message: String) {
        self.problems.push(origin.problem(&self.file, message));
    }

    fn set(&mut self, path: &[&str], value: &str, origin: &Origin) {
        if let Err(message) = self.tree.set(path, Node::parse_value(value, origin)) {
            self.error(origin, format!("could not set `{}`: {message}", path.join(".")));
        }
    }

    fn variable(&mut self, name: &str, value: &str) {
        let Some(path) = name.strip_prefix(VARIABLE_PREFIX) else { return };
        let origin = Origin::Environment(name.to_owned());
        if path.contains("__") {
            let path = path.to_lowercase();
            self.set(&path.split("__").collect::<Vec<_>>(), value, &origin);
        } else if !is_service_link(path) {
            let message = "is not a setting; settings have `__` between section and field, as PICKET_POLICIES__DIR";
            self.problems
                .push(Problem { severity: Severity::Warning, ..origin.problem(&self.file, message.to_owned()) });
        }
    }

    /// Reports every key that no section knows.
    fn check(&mut self, known: &KeyTree) {
        let mut unknown = Vec::new();
        unknown_keys(&self.tree, known, "", &mut unknown);
        for (path, origin, help) in unknown {
            let problem = origin.problem(&self.file, format!("unknown key `{path}`"));
            self.problems.push(problem.help(help));
            self.unknown.push(path);
        }
    }

    fn config(&mut self) -> Config {
        let mut profiles = BTreeMap::new();
        match self.tree.get("profiles").cloned() {
            Some(Node { content: Content::Map(entries), .. }) => {
                for (name, node) in entries {
                    if !is_profile_name(&name) {
                        let message = format!("`profiles.{name}`: a name consists of letters, digits, `-` and `_`");
                        self.error(&node.origin, message);
                        continue;
                    }
                    // From the node itself: a path to it would be taken apart again.
                    let profile = self.of_node(&node, &format!("profiles.{name}"));
                    profiles.extend(profile.map(|profile| (name, profile)));
                }
            }
            Some(Node { content: Content::Scalar(_) | Content::List(_), origin }) => {
                self.error(&origin, "`profiles` is not a map of names to profiles".to_owned());
            }
            None => {}
        }
        Config {
            policies: self.section("policies", defaulted).unwrap_or_default(),
            listeners: self.list("listeners"),
            profiles,
            keys: self.section("keys", defaulted).unwrap_or_default(),
            entity: self.section("entity", defaulted).unwrap_or_default(),
            elicitation: self.section("elicitation", defaulted).unwrap_or_default(),
            responses: self.section("responses", defaulted).unwrap_or_default(),
            approvals: self.list("approvals"),
            approvals_store: self.section("approvals_store", defaulted).unwrap_or_default(),
            admin: self.section("admin", defaulted).unwrap_or_default(),
            limits: Limits {
                connection: self.section("limits.connection", defaulted).unwrap_or_default(),
                check: self.section("limits.check", defaulted).unwrap_or_default(),
                responses: self.section("limits.responses", defaulted).unwrap_or_default(),
                in_flight_max: self.section("limits.in_flight_max", || Some(IN_FLIGHT_MAX)).unwrap_or(IN_FLIGHT_MAX),
                verify_every: self.section("limits.verify_every", defaulted).unwrap_or_default(),
            },
            telemetry: self.section("telemetry", defaulted).unwrap_or_default(),
            shutdown: self.section("shutdown", defaulted).unwrap_or_default(),
        }
    }

    fn list<T: DeserializeOwned>(&mut self, name: &str) -> Vec<T> {
        let Some(node) = self.tree.get(name) else { return Vec::new() };
        let Content::List(items) = &node.content else {
            let origin = node.origin.clone();
            self.error(&origin, format!("`{name}` is not a list"));
            return Vec::new();
        };
        (0..items.len()).filter_map(|index| self.section(&format!("{name}.{index}"), || None)).collect()
    }

    /// Reads the section at `path`; `absent` is what it is where nothing was given.
    fn section<T: DeserializeOwned>(&mut self, path: &str, absent: impl FnOnce() -> Option<T>) -> Option<T> {
        let node = path.split('.').try_fold(&self.tree, |node, step| node.get(step));
        let Some(node) = node.cloned() else { return absent() };
        self.of_node(&node, path)
    }

    /// What `node` says, which is at `path`; a problem where it does not parse.
    fn of_node<T: DeserializeOwned>(&mut self, node: &Node, path: &str) -> Option<T> {
        match serde_path_to_error::deserialize(node.plain()) {
            Ok(section) => Some(section),
            Err(error) => {
                let below = error.path().to_string();
                let (whole, message) = (join(path, &below), error.into_inner().to_string());
                let at = shown(&whole);
                // Unknown keys that `check` has found are reported already, with their places.
                let reported =
                    message.starts_with("unknown field") && self.unknown.iter().any(|key| key.starts_with(&at));
                if !reported {
                    let problem = node.origin_at(&below).problem(&self.file, format!("`{at}`: {message}"));
                    self.problems.push(Problem { help: near_field(&message), ..problem });
                }
                None
            }
        }
    }

    /// Reports every value that is out of bounds or contradicts another one, at the place of its key.
    fn bounds(&mut self, config: &Config) {
        for problem in config.problems() {
            let placed = self.tree.origin_at(&problem.key).problem(&self.file, problem.to_string());
            self.problems.push(Problem { severity: problem.severity, ..placed });
        }
    }
}

fn defaulted<T: Default>() -> Option<T> {
    Some(T::default())
}

fn join(path: &str, below: &str) -> String {
    if below == "." { path.to_owned() } else { format!("{path}.{below}") }
}

/// The known field nearest to the one that serde reports as unknown.
fn near_field(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown field")?.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    nearest(unknown, quoted).map(|near| format!("did you mean `{near}`?"))
}

/// Whether Kubernetes puts such a variable into every pod beside a Service called `picket…`.
fn is_service_link(name: &str) -> bool {
    name.contains("SERVICE_HOST") || name.contains("SERVICE_PORT") || name.split('_').any(|part| part == "PORT")
}

/// Walks the tree along the known keys; `found` gets path, origin and help of each unknown one.
fn unknown_keys(node: &Node, known: &KeyTree, path: &str, found: &mut Vec<(String, Origin, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (known, &node.content) {
        (KeyTree::Map(keys), Content::Map(entries)) => {
            for (name, entry) in entries {
                match keys.iter().find(|(key, _)| key == name) {
                    Some((_, known)) => unknown_keys(entry, known, &below(name), found),
                    None => {
                        let names = || keys.iter().map(|(key, _)| *key);
                        let help = match nearest(name, names()) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("known: {}", names().collect::<Vec<_>>().join(", ")),
                        };
                        found.push((shown(&below(name)), entry.origin.clone(), help));
                    }
                }
            }
        }
        (KeyTree::Each(inner), Content::Map(entries)) => {
            entries.iter().for_each(|(name, entry)| unknown_keys(entry, inner, &below(name), found));
        }
        (KeyTree::List(inner), Content::List(items)) => {
            items.iter().enumerate().for_each(|(i, item)| unknown_keys(item, inner, &below(&i.to_string()), found));
        }
        (KeyTree::Leaf(key), Content::Map(entries)) if key.shape == Shape::Value && !entries.is_empty() => {
            found.push((shown(path), node.origin.clone(), "it holds one value, not a map".to_owned()));
        }
        // A value of the wrong kind is reported by the section's own `Settings`.
        (
            KeyTree::Leaf(_) | KeyTree::Map(_) | KeyTree::Each(_) | KeyTree::List(_),
            Content::Scalar(_) | Content::List(_) | Content::Map(_),
        ) => {}
    }
}

/// Whether errors, flags and variables can name a profile of this name: a `.` would part it.
fn is_profile_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}
