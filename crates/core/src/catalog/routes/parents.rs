//! Finds routes that match everything below a path but not the path itself.
//!
//! `/admin/{rest...}` takes one segment or more, so `/admin` is another path. A forbid on such a route, or on a group of
//! such routes, leaves open what is usually the page itself.

use super::{Route, Segment};

/// Chosen routes that match the rest of a path while no chosen route matches the parent with the same methods; each
/// with that parent.
pub fn left_out(routes: &[Route], is_chosen: impl Fn(&Route) -> bool) -> Vec<(&Route, String)> {
    let chosen: Vec<&Route> = routes.iter().filter(|route| is_chosen(route)).collect();
    let gap = |route: &&Route| {
        let (Segment::Rest(_), parent) = route.segments.split_last()? else { return None };
        (!is_covered(route, parent, &chosen)).then(|| written(parent))
    };
    chosen.iter().filter_map(|route| Some((*route, gap(route)?))).collect()
}

/// Whether the others take the parent with every method that the route takes.
fn is_covered(route: &Route, parent: &[Segment], others: &[&Route]) -> bool {
    let takers: Vec<&&Route> = others.iter().filter(|other| takes(&other.segments, parent)).collect();
    takers.iter().any(|other| other.methods.is_empty())
        || !route.methods.is_empty()
            && route.methods.iter().all(|method| takers.iter().any(|other| other.methods.contains(method)))
}

/// Whether a pattern takes every path that another one, without a rest, takes.
fn takes(pattern: &[Segment], path: &[Segment]) -> bool {
    match pattern.split_last() {
        Some((Segment::Rest(_), head)) => path.len() > head.len() && all_take(head, path),
        Some((Segment::Literal(_) | Segment::One(_), _)) | None => {
            pattern.len() == path.len() && all_take(pattern, path)
        }
    }
}

fn all_take(pattern: &[Segment], path: &[Segment]) -> bool {
    pattern.iter().zip(path).all(|(pattern, path)| match pattern {
        Segment::Literal(_) => pattern == path,
        Segment::One(_) | Segment::Rest(_) => true,
    })
}

fn written(segments: &[Segment]) -> String {
    let text = |segment: &Segment| match segment {
        Segment::Literal(text) => format!("/{text}"),
        Segment::One(name) => format!("/{{{name}}}"),
        Segment::Rest(name) => format!("/{{{name}...}}"),
    };
    if segments.is_empty() { "/".to_owned() } else { segments.iter().map(text).collect() }
}

#[cfg(test)]
mod tests {
    use super::super::pattern;
    use super::*;

    fn route(text: &str, methods: &[&str]) -> Route {
        Route {
            name: text.to_owned(),
            pattern: text.to_owned(),
            segments: pattern(text).unwrap(),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            groups: [].into(),
            labels: [].into(),
            scopes: None,
        }
    }

    #[test]
    fn a_parent_is_left_out_unless_another_takes_it_with_every_method() {
        type Written<'a> = (&'a str, &'a [&'a str]);
        let rows: [(Written<'_>, &[Written<'_>], Option<&str>); 13] = [
            (("/admin/{rest...}", &[]), &[], Some("/admin")),
            (("/admin/{rest...}", &[]), &[("/admin", &[])], None),
            (("/admin/{rest...}", &[]), &[("/admins", &[])], Some("/admin")),
            (("/admin/{rest...}", &[]), &[("/admin/x", &[])], Some("/admin")),
            (("/admin/{rest...}", &[]), &[("/{page}", &[])], None),
            (("/admin/{rest...}", &[]), &[("/admin", &["GET"])], Some("/admin")),
            (("/admin/{rest...}", &["GET"]), &[("/admin", &["GET"])], None),
            (("/admin/{rest...}", &["POST", "GET"]), &[("/admin", &["GET"])], Some("/admin")),
            (("/admin/{rest...}", &["POST"]), &[("/admin", &[])], None),
            (("/{a}/{rest...}", &[]), &[("/{b}", &[])], None),
            (("/{a}/{rest...}", &[]), &[("/b", &[])], Some("/{a}")),
            (("/{rest...}", &[]), &[], Some("/")),
            (("/{rest...}", &[]), &[("/", &[])], None),
        ];
        for ((rest, methods), others, expected) in rows {
            let others = others.iter().map(|(text, methods)| route(text, methods));
            let routes: Vec<Route> = [route(rest, methods)].into_iter().chain(others).collect();
            let found: Vec<String> = left_out(&routes, |_| true).into_iter().map(|(_, parent)| parent).collect();
            assert_eq!(found.first().map(String::as_str), expected, "{rest} {methods:?}");
        }
        // What is not chosen takes nothing.
        let routes = [route("/admin/{rest...}", &[]), route("/admin", &[])];
        assert_eq!(left_out(&routes, |route| route.pattern.contains("rest")).len(), 1);
    }
}
