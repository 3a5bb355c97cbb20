//! Checks of settings: every section and every part of one reports its problems in the same shape.
//!
//! Knows: paths of keys and messages. Must not know: files, and where in them a key is.
//!
//! A structure with parts destructures itself in [`CheckSettings::problems`], so that a new part that is not checked does
//! not compile.

use std::collections::BTreeMap;
use std::fmt;

use crate::problem::{Problem, Severity};

/// A value that is out of bounds, or that contradicts another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingProblem {
    /// How bad it is.
    pub severity: Severity,
    /// The path of its key below the settings that were checked, such as `lookups.2.url`; empty for all of them.
    pub key: String,
    /// What is wrong and what would be right, as a lower-case fragment that does not repeat the key.
    pub message: String,
}

impl SettingProblem {
    /// An error in the value of `key`.
    pub fn error(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, key: key.into(), message: message.into() }
    }

    /// A warning about the value of `key`.
    pub fn warning(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(key, message) }
    }

    /// The same problem as the settings above report it, where this part has the key `part`.
    #[must_use]
    pub fn below(mut self, part: &str) -> Self {
        self.key = match (part.is_empty(), self.key.is_empty()) {
            (true, _) => self.key,
            (false, true) => part.to_owned(),
            (false, false) => format!("{part}.{}", self.key),
        };
        self
    }

    /// The same problem as one of `file`, for settings without a place in it.
    #[must_use]
    pub fn in_file(self, file: &str) -> Problem {
        Problem { severity: self.severity, ..Problem::error(file, self.to_string()) }
    }
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => f.write_str(&self.message),
            key => write!(f, "`{}`: {}", shown(key), self.message),
        }
    }
}

/// Settings that can be out of bounds.
pub trait CheckSettings {
    /// Every problem of these settings and of their parts.
    fn problems(&self) -> Vec<SettingProblem>;
}

/// The problems of each part, below its key.
#[must_use]
pub fn of_parts(parts: &[(&str, &dyn CheckSettings)]) -> Vec<SettingProblem> {
    parts.iter().flat_map(|(key, part)| part.problems().into_iter().map(|problem| problem.below(key))).collect()
}

/// A list: each element has its position as key.
impl<T: CheckSettings> CheckSettings for Vec<T> {
    fn problems(&self) -> Vec<SettingProblem> {
        let element = |(index, element): (usize, &T)| of_parts(&[(&index.to_string(), element)]);
        self.iter().enumerate().flat_map(element).collect()
    }
}

/// A map: each entry has its name as key.
impl<T: CheckSettings> CheckSettings for BTreeMap<String, T> {
    fn problems(&self) -> Vec<SettingProblem> {
        self.iter().flat_map(|(name, entry)| of_parts(&[(name, entry)])).collect()
    }
}

/// A part that may be absent.
impl<T: CheckSettings> CheckSettings for Option<T> {
    fn problems(&self) -> Vec<SettingProblem> {
        self.as_ref().map(T::problems).unwrap_or_default()
    }
}

/// The path of a key as people write it: `listeners.0.name` is `listeners[0].name`.
#[must_use]
pub fn shown(path: &str) -> String {
    let mut shown = String::new();
    for step in path.split('.').filter(|step| !step.is_empty()) {
        match step.parse::<usize>() {
            Ok(index) => shown.push_str(&format!("[{index}]")),
            Err(_) if shown.is_empty() => shown.push_str(step),
            Err(_) => {
                shown.push('.');
                shown.push_str(step);
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Port(u16);

    impl CheckSettings for Port {
        fn problems(&self) -> Vec<SettingProblem> {
            match self.0 {
                0 => vec![SettingProblem::error("port", "0 is not a port"), SettingProblem::warning("", "is closed")],
                _ => Vec::new(),
            }
        }
    }

    #[test]
    fn a_problem_of_a_part_has_the_path_from_the_top() {
        let list = vec![Port(1), Port(0)];
        let map: BTreeMap<String, Port> = [("edge".to_owned(), Port(0))].into();
        let found = of_parts(&[("list", &list), ("map", &map), ("some", &Some(Port(0))), ("none", &None::<Port>)]);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "`list[1].port`: 0 is not a port",
                "`list[1]`: is closed",
                "`map.edge.port`: 0 is not a port",
                "`map.edge`: is closed",
                "`some.port`: 0 is not a port",
                "`some`: is closed",
            ]
        );
        assert_eq!(Port(0).problems()[1].to_string(), "is closed");
        assert_eq!(Port(0).problems()[1].clone().in_file("f").severity, Severity::Warning);
    }
}
