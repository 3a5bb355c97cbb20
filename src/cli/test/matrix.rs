//! Test matrices: every combination of a few values, and the combinations that must be allowed.
//!
//! Pure. Knows: dimensions and picks. Must not know: calls, policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

/// The dimensions; each that is not empty is combined with every other.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matrix {
    /// Names of callers.
    pub caller: Vec<Spanned<String>>,
    /// HTTP methods, or gRPC methods as `package.Service/Method`.
    pub method: Vec<String>,
    /// Paths.
    pub path: Vec<String>,
    /// Hosts.
    pub host: Vec<String>,
    /// Ids of services.
    pub service: Vec<String>,
    /// Tools of an MCP server.
    pub tool: Vec<String>,
    /// Arguments of a tool, as the text of the JSON that is sent.
    pub arguments: Vec<String>,
}

/// Some of the combinations: those that have these values; a dimension that is not named may have any.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pick {
    caller: Several,
    method: Several,
    path: Several,
    host: Several,
    service: Several,
    tool: Several,
    arguments: Several,
}

/// One text or a list of them.
#[derive(Debug, Clone, Default)]
struct Several(Option<Vec<String>>);

impl<'de> Deserialize<'de> for Several {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        use serde_json::Value;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let several = match Value::deserialize(from)? {
            Value::String(one) => Some(vec![one]),
            Value::Array(items) => items.iter().map(text).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        };
        several.map(|texts| Self(Some(texts))).ok_or_else(|| D::Error::custom("is neither a text nor a list of texts"))
    }
}

/// One combination, by dimension.
pub type Cell = BTreeMap<&'static str, String>;

impl Matrix {
    fn dimensions(&self) -> [(&'static str, Vec<String>); 7] {
        [
            ("caller", self.caller.iter().map(|caller| caller.value.clone()).collect()),
            ("method", self.method.clone()),
            ("path", self.path.clone()),
            ("host", self.host.clone()),
            ("service", self.service.clone()),
            ("tool", self.tool.clone()),
            ("arguments", self.arguments.clone()),
        ]
    }

    /// Every combination; none where no dimension has a value.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = vec![Cell::new()];
        for (dimension, values) in self.dimensions().into_iter().filter(|(_, values)| !values.is_empty()) {
            let with = |cell: &Cell, value: &String| {
                let mut cell = cell.clone();
                cell.insert(dimension, value.clone());
                cell
            };
            cells = cells.iter().flat_map(|cell| values.iter().map(|value| with(cell, value))).collect();
        }
        cells.retain(|cell| !cell.is_empty());
        cells
    }
}

impl Pick {
    fn wanted(&self) -> [(&'static str, &Several); 7] {
        [
            ("caller", &self.caller),
            ("method", &self.method),
            ("path", &self.path),
            ("host", &self.host),
            ("service", &self.service),
            ("tool", &self.tool),
            ("arguments", &self.arguments),
        ]
    }

    /// Whether a combination is one of those.
    #[must_use]
    pub fn picks(&self, cell: &Cell) -> bool {
        self.wanted().iter().all(|(dimension, several)| match &several.0 {
            None => true,
            Some(values) => cell.get(dimension).is_some_and(|value| values.contains(value)),
        })
    }

    /// The first value that is named but that no combination has.
    #[must_use]
    pub fn stray(&self, cells: &[Cell]) -> Option<String> {
        self.wanted().iter().find_map(|(dimension, several)| {
            let values = several.0.iter().flatten();
            let known = |value: &&String| cells.iter().any(|cell| cell.get(dimension) == Some(value));
            values.filter(|value| !known(value)).map(|value| format!("{dimension} `{value}`")).next()
        })
    }
}

/// A combination as a test's name shows it.
#[must_use]
pub fn label(cell: &Cell) -> String {
    cell.iter().map(|(dimension, value)| format!("{dimension}={value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn every_combination_is_a_cell_and_a_pick_without_a_dimension_picks_all_of_it() {
        let matrix: Matrix = parsed("{caller: [a, b], path: [/x, /y], method: [GET]}");
        let cells = matrix.cells();
        assert_eq!(cells.len(), 4);
        assert_eq!(label(&cells[0]), "caller=a, method=GET, path=/x");
        let picked = |pick: &str| cells.iter().filter(|cell| parsed::<Pick>(pick).picks(cell)).count();
        assert_eq!([picked("{caller: a}"), picked("{caller: [a, b], path: /x}"), picked("{}")], [2, 2, 4]);
        assert_eq!(picked("{host: h}"), 0);
        assert!(parsed::<Matrix>("{}").cells().is_empty());
    }

    #[test]
    fn a_pick_of_what_no_cell_has_is_found() {
        let cells = parsed::<Matrix>("{caller: [a], path: [/x]}").cells();
        assert_eq!(parsed::<Pick>("{caller: b}").stray(&cells).as_deref(), Some("caller `b`"));
        assert_eq!(parsed::<Pick>("{caller: a, path: [/x]}").stray(&cells), None);
    }
}
