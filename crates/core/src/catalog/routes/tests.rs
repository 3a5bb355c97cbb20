use proptest::prelude::*;

use super::*;

/// A route as `name pattern METHODS required|acceptable`; the last two may be missing, `-` is nothing.
fn route(line: &str) -> Route {
    let mut words = line.split(' ');
    let name = words.next().unwrap().to_owned();
    let written = words.next().unwrap().to_owned();
    let set = |text: Option<&str>| -> Option<BTreeSet<String>> {
        text.filter(|text| *text != "-").map(|text| text.split(',').map(str::to_owned).collect())
    };
    let methods = set(words.next()).unwrap_or_default();
    let scopes = words.next().map(|text| {
        let (required, acceptable) = text.split_once('|').unwrap();
        Scopes { required: set(Some(required)), acceptable: set(Some(acceptable)) }
    });
    Route {
        segments: pattern(&written).unwrap(),
        labels: BTreeSet::from([format!("label-{name}")]),
        groups: BTreeSet::from([format!("group-{name}")]),
        name,
        pattern: written,
        methods,
        scopes,
    }
}

fn routes(lines: &[&str]) -> Vec<Route> {
    lines.iter().map(|line| route(line)).collect()
}

fn names<'a>(routes: &'a [Route], method: &str, path: &str) -> Vec<&'a str> {
    matching(routes, method, &CanonicalPath::parse(path).unwrap()).routes
}

fn set(items: &[&str]) -> Option<BTreeSet<String>> {
    Some(items.iter().map(|item| (*item).to_owned()).collect())
}

#[test]
fn a_pattern_takes_its_paths_and_no_others() {
    let cases = [
        ("/", "/", true),
        ("/", "/a", false),
        ("/a", "/a", true),
        ("/a", "/a/", true),
        ("/a", "/A", false),
        ("/a", "/", false),
        ("/a", "/ab", false),
        ("/a", "/a/b", false),
        ("/a/{x}", "/a/b", true),
        ("/a/{x}", "/a", false),
        ("/a/{x}", "/a/b/c", false),
        ("/a/{x...}", "/a", false),
        ("/a/{x...}", "/a/b", true),
        ("/a/{x...}", "/a/b/c/d", true),
        ("/{x...}", "/", false),
        ("/{x}/b", "/a/b", true),
        ("/{x}/b", "/a/c", false),
        ("/a%20b", "/a%20b", true),
    ];
    for (written, path, expected) in cases {
        let routes = routes(&[&format!("r {written}")]);
        assert_eq!(!names(&routes, "GET", path).is_empty(), expected, "{written} {path}");
    }
}

#[test]
fn an_invalid_pattern_is_rejected() {
    let literal = |text: &str| PatternProblem::NotCanonical(text.to_owned());
    let braces = |text: &str| PatternProblem::Braces(text.to_owned());
    let cases = [
        ("", PatternProblem::NotAbsolute),
        ("a", PatternProblem::NotAbsolute),
        ("//", literal("")),
        ("/a/", literal("")),
        ("/a//b", literal("")),
        ("/..", literal("..")),
        ("/%61", literal("%61")),
        ("/a%2fb", literal("a%2fb")),
        ("/a?x", literal("a?x")),
        ("/a;b", literal("a;b")),
        ("/a b", literal("a b")),
        ("/{}", braces("{}")),
        ("/{...}", braces("{...}")),
        ("/{1x}", braces("{1x}")),
        ("/{a-b}", braces("{a-b}")),
        ("/x{a}", braces("x{a}")),
        ("/{a}x", braces("{a}x")),
        ("/{a", braces("{a")),
        ("/{a}{b}", braces("{a}{b}")),
        ("/{a...}/b", PatternProblem::RestNotLast("a".to_owned())),
        ("/{a}/{a}", PatternProblem::NameTwice("a".to_owned())),
        ("/{a}/{a...}", PatternProblem::NameTwice("a".to_owned())),
    ];
    for (text, problem) in cases {
        assert_eq!(pattern(text), Err(problem), "{text}");
    }
    assert_eq!(pattern(&"/a".repeat(SEGMENTS_MAX + 1)), Err(PatternProblem::TooDeep));
}

#[test]
fn a_literal_comes_before_a_capture_and_that_before_the_rest() {
    let routes = routes(&["rest /a/{x...}", "one /a/{x}", "all /{x...}", "late /{x}/b", "literal /a/b"]);
    assert_eq!(names(&routes, "GET", "/a/b"), ["literal", "one", "rest", "late", "all"]);
    assert_eq!(names(&routes, "GET", "/a/c"), ["one", "rest", "all"]);
    assert_eq!(names(&routes, "GET", "/c/b"), ["late", "all"]);
}

#[test]
fn captures_are_those_of_the_most_specific_route() {
    let routes = routes(&["wide /{a}/{b...}", "narrow /x/{c}/{d}"]);
    let captures = |path: &str| {
        let path = CanonicalPath::parse(path).unwrap();
        let captures = matching(&routes, "GET", &path).captures;
        captures.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(captures("/x/y/z"), "c=y d=z");
    assert_eq!(captures("/q/y/z"), "a=q b=y/z");
    assert_eq!(captures("/q"), "");
}

#[test]
fn a_route_is_for_its_methods_and_get_covers_head() {
    let routes = routes(&["all /a", "get /a GET", "head /b HEAD", "post /a POST,PUT"]);
    let cases: [(&str, &str, &[&str]); 7] = [
        ("GET", "/a", &["all", "get"]),
        ("HEAD", "/a", &["all", "get"]),
        ("get", "/a", &["all"]),
        ("POST", "/a", &["all", "post"]),
        ("DELETE", "/a", &["all"]),
        ("HEAD", "/b", &["head"]),
        ("GET", "/b", &[]),
    ];
    for (method, path, expected) in cases {
        assert_eq!(names(&routes, method, path), expected, "{method} {path}");
    }
}

#[test]
fn required_scopes_add_up_and_acceptable_ones_must_suit_every_route() {
    let cases = [
        (&["a /{x}"][..], None, None),
        (&["a /{x} - r|-"], set(&["r"]), set(&["r"])),
        (&["a /{x} - -|h"], None, set(&["h"])),
        (&["a /{x} - -|-"], None, None),
        (&["a /{x} - r|h", "b /p"], set(&["r"]), set(&["r", "h"])),
        (&["a /{x} - r|h,i", "b /p - r,s|h"], set(&["r", "s"]), set(&["r", "h"])),
        (&["a /{x} - r|-", "b /p - s|-"], set(&["r", "s"]), set(&[])),
        (&["a /{x} POST r|-", "b /p - s|-"], set(&["s"]), set(&["s"])),
    ];
    for (lines, required, acceptable) in cases {
        let routes = routes(lines);
        let found = matching(&routes, "GET", &CanonicalPath::parse("/p").unwrap());
        assert_eq!((found.required, found.acceptable), (required, acceptable), "{lines:?}");
    }
}

#[test]
fn labels_and_groups_of_all_matching_routes_count() {
    let routes = routes(&["a /{x}", "b /p", "c /q"]);
    let found = matching(&routes, "GET", &CanonicalPath::parse("/p").unwrap());
    assert_eq!(Some(found.labels), set(&["label-a", "label-b"]));
    assert_eq!(Some(found.groups), set(&["group-a", "group-b"]));
}

#[test]
fn methods_meet_where_one_call_fits_both() {
    let cases = [
        ("-", "-", Some("any")),
        ("-", "GET", Some("GET")),
        ("GET", "POST", None),
        ("GET,PUT", "POST,PUT", Some("PUT")),
        ("GET", "HEAD", Some("HEAD")),
        ("HEAD", "GET", Some("HEAD")),
        ("HEAD", "POST", None),
    ];
    for (one, other, shared) in cases {
        let (one, other) = (route(&format!("a /p {one}")), route(&format!("b /p {other}")));
        assert_eq!(one.shared_method(&other), shared, "{:?} {:?}", one.methods, other.methods);
    }
}

fn segment_text() -> impl Strategy<Value = String> {
    "[a-z0-9._~-]{0,6}[a-z0-9]"
}

proptest! {
    #[test]
    fn a_path_built_from_a_pattern_matches_it_and_gives_back_its_captures(
        parts in proptest::collection::vec((segment_text(), any::<bool>()), 0..8),
        rest in proptest::collection::vec(segment_text(), 0..4),
    ) {
        let mut written = String::new();
        let mut path = String::new();
        let mut expected = BTreeMap::new();
        for (number, (text, is_capture)) in parts.iter().enumerate() {
            let name = format!("c{number}");
            written.push_str(&if *is_capture { format!("/{{{name}}}") } else { format!("/{text}") });
            path.push_str(&format!("/{text}"));
            if *is_capture {
                expected.insert(name, text.clone());
            }
        }
        if !rest.is_empty() {
            written.push_str("/{rest...}");
            path.push_str(&format!("/{}", rest.join("/")));
            expected.insert("rest".to_owned(), rest.join("/"));
        }
        let (written, path) = if path.is_empty() { ("/".to_owned(), "/".to_owned()) } else { (written, path) };
        let routes = routes(&[&format!("r {written}")]);
        let found = matching(&routes, "GET", &CanonicalPath::parse(&path).unwrap());
        prop_assert_eq!(found.routes, vec!["r"]);
        prop_assert_eq!(found.captures, expected);
    }

    #[test]
    fn matching_routes_come_most_specific_first(
        patterns in proptest::collection::vec("(/(a|b|\\{x\\})){1,4}(/\\{r\\.\\.\\.\\})?", 2..6),
        path in "(/(a|b|c)){1,6}",
    ) {
        // One capture name may not stand twice, so names are numbered by place.
        let number = |text: &str| text.split("{x}").enumerate().fold(String::new(), |all, (n, part)| {
            if n == 0 { part.to_owned() } else { format!("{all}{{x{n}}}{part}") }
        });
        let lines: Vec<String> = patterns.iter().enumerate().map(|(n, p)| format!("r{n} {}", number(p))).collect();
        let routes: Vec<Route> = lines.iter().map(|line| route(line)).collect();
        let path = CanonicalPath::parse(&path).unwrap();
        let found = matching(&routes, "GET", &path);
        let by_name = |name: &str| routes.iter().find(|r| r.name == name).unwrap().shape();
        for pair in found.routes.windows(2) {
            let (first, second) = (by_name(pair[0]), by_name(pair[1]));
            prop_assert!(first >= second, "{:?} {:?}", first, second);
        }
    }
}
