//! The syntax of a test suite, and its expansion into cases.
//!
//! Knows: the keys of `*_test.yaml` and what must fit what. Must not know: how a case is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::expect::{Expect, Expected};
use super::matrix::{self, Matrix, Pick};
use crate::cli::offline::approval::GivenApproval;
use crate::cli::offline::form::{Caller, Given, GivenFacts, Grpc, Mcp, Request, RequestSpec, instant};
use crate::cli::offline::response::{Cuts, GivenResponse, SentResponse};
use crate::cli::offline::yaml;
use picket_core::call::UnixMillis;
use picket_core::identity::spiffe_id::is_trust_domain;
use picket_core::problem::{Problem, nearest};

/// The time of a suite that names none: 2026-01-01T00:00:00Z.
const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

/// A text and where it stands.
type Text = Spanned<String>;

/// One call and what must become of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The suite's name.
    pub suite: String,
    /// The suite's file.
    pub file: String,
    /// The claim.
    pub name: String,
    /// Its cell of a matrix.
    pub cell: Option<String>,
    /// The call.
    pub given: Given,
    /// The response of the service, and where its body is cut.
    pub response: Option<(SentResponse, Option<Cuts>)>,
    /// The time of the evaluation.
    pub now: UnixMillis,
    /// The expected result.
    pub expected: Expected,
    /// Why it is not run.
    pub skip: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    suite: String,
    #[serde(default)]
    fixtures: Fixtures,
    now: Option<Text>,
    trust_domain: Option<Text>,
    tests: Vec<Test>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fixtures {
    callers: BTreeMap<String, Spanned<Caller>>,
    facts: GivenFacts,
    approval: Option<GivenApproval>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: Option<Text>,
    caller: Option<Text>,
    request: Option<Request>,
    grpc: Option<Grpc>,
    mcp: Option<Mcp>,
    check_request: Option<Text>,
    response: Option<Spanned<GivenResponse>>,
    facts: Option<GivenFacts>,
    approval: Option<GivenApproval>,
    now: Option<Text>,
    expect: Option<Spanned<Expect>>,
    matrix: Option<Spanned<Matrix>>,
    #[serde(default)]
    expect_allow: Vec<Spanned<Pick>>,
    skip: Option<String>,
}

/// Reads a suite. `name` is how its file is called in problems; recorded checks lie relative to `path`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, name: &str, text: &str) -> Result<Vec<Case>, Vec<Problem>> {
    let suite: Suite = yaml::parse(name, text).map_err(|problem| vec![*problem])?;
    let mut reader = SuiteReader { path, file: name, suite: &suite, problems: Vec::new(), names: BTreeSet::new() };
    let mut cases = Vec::new();
    for (caller, written) in &suite.fixtures.callers {
        reader.caller_fits(caller, written);
    }
    if let Some(domain) = suite.trust_domain.as_ref().filter(|domain| !is_trust_domain(&domain.value)) {
        reader.fault(Some(domain), format!("`{}` is not a trust domain", domain.value), None);
    }
    for test in &suite.tests {
        cases.extend(reader.cases(test));
    }
    let mut problems = reader.problems;
    problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
    if problems.is_empty() { Ok(cases) } else { Err(problems) }
}

/// Reads one suite's tests and collects what is wrong.
struct SuiteReader<'a> {
    path: &'a Path,
    file: &'a str,
    suite: &'a Suite,
    problems: Vec<Problem>,
    names: BTreeSet<String>,
}

impl SuiteReader<'_> {
    /// Notes a problem with the value that stands there.
    fn fault<T>(&mut self, at: Option<&Spanned<T>>, message: String, help: Option<String>) {
        let span = at.and_then(|value| picket_core::problem::yaml::range(&value.referenced));
        let mut problem = Problem::error(self.file, message).at(span);
        problem.help = help;
        self.problems.push(problem);
    }

    fn caller_fits(&mut self, name: &str, caller: &Spanned<Caller>) {
        let message = match (&caller.value.spiffe, caller.value.unauthenticated, caller.value.proof) {
            (Some(_), true, _) => format!("caller `{name}` has a `spiffe` and is `unauthenticated`"),
            (None, false, _) => format!("caller `{name}` has no `spiffe`"),
            (None, true, Some(_)) => format!("caller `{name}` has a `proof` and no `spiffe`"),
            (Some(_), false, _) | (None, true, None) => return,
        };
        let help = "a caller without workload says `unauthenticated: true`".to_owned();
        self.fault(Some(caller), message, Some(help));
    }

    /// The caller called `name`; nobody where none is named.
    fn caller(&mut self, name: Option<&Text>) -> Caller {
        let Some(name) = name else { return Caller::default() };
        if let Some(caller) = self.suite.fixtures.callers.get(&name.value) {
            return caller.value.clone();
        }
        let near = nearest(&name.value, self.suite.fixtures.callers.keys().map(String::as_str));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "callers are described under `fixtures.callers`".to_owned(),
        };
        self.fault(Some(name), format!("there is no caller `{}`", name.value), Some(help));
        Caller::default()
    }

    fn cases(&mut self, test: &Test) -> Vec<Case> {
        let name = match (&test.name, &test.matrix) {
            (Some(name), _) => name.value.clone(),
            (None, Some(_)) => "matrix".to_owned(),
            (None, None) => {
                self.fault::<String>(None, "a test has no `name`".to_owned(), Some("name what it claims".to_owned()));
                return Vec::new();
            }
        };
        if !self.names.insert(name.clone()) {
            self.fault(test.name.as_ref(), format!("two tests are called `{name}`"), None);
        }
        let approval = test.approval.clone().or_else(|| self.suite.fixtures.approval.clone());
        let whole = Case {
            suite: self.suite.suite.clone(),
            file: self.file.to_owned(),
            name,
            cell: None,
            given: Given {
                caller: None,
                trust_domain: self.suite.trust_domain.as_ref().map(|domain| domain.value.clone()),
                sent: self.sent(test),
                facts: self.facts(test),
                approval,
            },
            response: self.response(test),
            now: self.now(test),
            expected: Expected::Denied,
            skip: test.skip.clone(),
        };
        match (&test.matrix, &test.expect) {
            (Some(matrix), None) => self.cells(test, matrix, &whole),
            (None, Some(expect)) => vec![self.single(test, expect, whole)],
            (Some(_), Some(expect)) => {
                let help = "what `expect_allow` does not list must be denied".to_owned();
                self.fault(Some(expect), "a matrix has no `expect`".to_owned(), Some(help));
                Vec::new()
            }
            (None, None) => {
                self.fault(test.name.as_ref(), format!("test `{}` expects nothing", whole.name), None);
                Vec::new()
            }
        }
    }

    /// The response of the service. One without an expectation would prove nothing, and an expectation needs one.
    fn response(&mut self, test: &Test) -> Option<(SentResponse, Option<Cuts>)> {
        let is_expected = test.expect.as_ref().is_some_and(|expect| expect.value.response.is_some());
        let Some(response) = &test.response else {
            if is_expected {
                let message = "an expectation about a response needs a `response`".to_owned();
                self.fault(test.expect.as_ref(), message, None);
            }
            return None;
        };
        if !is_expected {
            let help = "such as `expect: {decision: allow, response: {outcome: masked}}`".to_owned();
            self.fault(Some(response), "a test with a `response` expects nothing of it".to_owned(), Some(help));
        }
        match response.value.sent() {
            Ok(sent) => Some((sent, response.value.cuts.clone())),
            Err(message) => {
                self.fault(Some(response), message, None);
                None
            }
        }
    }

    fn single(&mut self, test: &Test, expect: &Spanned<Expect>, mut case: Case) -> Case {
        if let Some(stray) = test.expect_allow.first() {
            self.fault(Some(stray), "`expect_allow` belongs to a `matrix`".to_owned(), None);
        }
        if let Err((message, help)) = expect.value.check() {
            self.fault(Some(expect), message, help);
        }
        case.expected = Expected::Exactly(Box::new(expect.value.clone()));
        match (&case.given.sent, &test.caller) {
            (RequestSpec::Check(_), Some(caller)) => {
                self.fault(Some(caller), "a recorded check contains its own caller".to_owned(), None);
            }
            (RequestSpec::Check(_), None) => {}
            (RequestSpec::Http(_) | RequestSpec::Grpc(_) | RequestSpec::Mcp(_), caller) => {
                case.given.caller = Some(self.caller(caller.as_ref()))
            }
        }
        case
    }

    fn cells(&mut self, test: &Test, matrix: &Spanned<Matrix>, whole: &Case) -> Vec<Case> {
        let cells = matrix.value.cells();
        if cells.is_empty() {
            self.fault(Some(matrix), "the matrix has no values".to_owned(), None);
        }
        if matches!(whole.given.sent, RequestSpec::Check(_)) {
            self.fault(Some(matrix), "a recorded check cannot be varied".to_owned(), None);
        }
        for caller in &matrix.value.caller {
            self.caller(Some(caller));
        }
        for pick in &test.expect_allow {
            if let Some(stray) = pick.value.stray(&cells) {
                self.fault(Some(pick), format!("no cell of the matrix has the {stray}"), None);
            }
        }
        let mut cases = Vec::new();
        for cell in cells {
            let mut case = whole.clone();
            case.cell = Some(matrix::label(&cell));
            let allowed = test.expect_allow.iter().any(|pick| pick.value.picks(&cell));
            case.expected = if allowed { Expected::Allowed } else { Expected::Denied };
            let caller = cell.get("caller").and_then(|name| self.suite.fixtures.callers.get(name));
            case.given.caller = Some(match caller {
                Some(caller) => caller.value.clone(),
                None => self.caller(test.caller.as_ref()),
            });
            if let Err(message) = vary(&mut case.given.sent, cell) {
                self.fault(Some(matrix), message, None);
                return Vec::new();
            }
            cases.push(case);
        }
        cases
    }

    fn sent(&mut self, test: &Test) -> RequestSpec {
        match (&test.request, &test.grpc, &test.mcp, &test.check_request) {
            (Some(request), None, None, None) => RequestSpec::Http(request.clone()),
            (None, Some(grpc), None, None) => RequestSpec::Grpc(grpc.clone()),
            (None, None, Some(message), None) => RequestSpec::Mcp(message.clone()),
            (None, None, None, Some(file)) => RequestSpec::Check(self.recorded(file)),
            (None, None, None, None) if test.matrix.is_some() => RequestSpec::Http(Request::default()),
            (request, grpc, message, check) => {
                let given = [request.is_some(), grpc.is_some(), message.is_some(), check.is_some()];
                let given = given.iter().filter(|given| **given).count();
                let message =
                    format!("a test has one of `request`, `grpc`, `mcp` and `check_request`, this one has {given}");
                self.fault(test.name.as_ref(), message, None);
                RequestSpec::Http(Request::default())
            }
        }
    }

    fn recorded(&mut self, file: &Text) -> String {
        let path = self.path.parent().unwrap_or(self.path).join(&file.value);
        match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                self.fault(Some(file), format!("could not read `{}`: {error}", path.display()), None);
                String::new()
            }
        }
    }

    /// The test's facts; the suite's where it names none.
    fn facts(&self, test: &Test) -> GivenFacts {
        let suite = self.suite.fixtures.facts.clone();
        let own = test.facts.clone().unwrap_or_default();
        GivenFacts {
            principal: own.principal.or(suite.principal),
            resource: own.resource.or(suite.resource),
            call: own.call.or(suite.call),
        }
    }

    fn now(&mut self, test: &Test) -> UnixMillis {
        let Some(text) = test.now.as_ref().or(self.suite.now.as_ref()) else { return NOW };
        instant(&text.value).unwrap_or_else(|message| {
            self.fault(Some(text), message, None);
            NOW
        })
    }
}

/// Puts a combination's values into a call.
fn vary(sent: &mut RequestSpec, mut cell: matrix::Cell) -> Result<(), String> {
    let mut put = |dimension: &str, field: &mut Option<String>| {
        if let Some(value) = cell.remove(dimension) {
            *field = Some(value);
        }
    };
    match sent {
        RequestSpec::Check(_) => {}
        RequestSpec::Http(request) => {
            put("method", &mut request.method);
            put("path", &mut request.path);
            put("host", &mut request.host);
            put("service", &mut request.service);
            if let Some(stray) = ["tool", "arguments"].into_iter().find(|name| cell.contains_key(name)) {
                return Err(format!("an HTTP request has no `{stray}`; it belongs to `mcp`"));
            }
        }
        RequestSpec::Mcp(message) => {
            put("method", &mut message.method);
            put("path", &mut message.path);
            put("host", &mut message.host);
            put("service", &mut message.service);
            put("tool", &mut message.tool);
            if let Some(arguments) = cell.remove("arguments") {
                message.arguments = arguments.into();
            }
        }
        RequestSpec::Grpc(grpc) => {
            put("host", &mut grpc.host);
            put("service", &mut grpc.service);
            let mut method = Some(std::mem::take(&mut grpc.method));
            put("method", &mut method);
            grpc.method = method.unwrap_or_default();
            if let Some(stray) = ["path", "tool", "arguments"].into_iter().find(|name| cell.contains_key(name)) {
                return Err(format!("a gRPC call has no `{stray}`; vary its `method`"));
            }
        }
    }
    Ok(())
}
