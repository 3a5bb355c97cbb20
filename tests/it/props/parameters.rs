//! Query keys and their readers: an upstream reads an allowed query as the policies did.
//!
//! The upstream is every known server: each way to split a query, with each way to decode a key and each way to name
//! the result. None of it is Picket's own code.

use std::cell::Cell;

use envoy_types::pb::envoy::service::auth::v3::OkHttpResponse;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::holds;
use crate::harness::direct::Direct;
use crate::harness::orders;

const POLICIES: &str = r#"
@id("told") @set_query("tenant=acme") @remove_query("debug")
permit (principal, action in Action::"read", resource);
@id("untold") permit (principal, action in Action::"write", resource);
@id("no-admins") forbid (principal, action in Action::"any", resource)
when { context.http.query.hasTag("user_role") && context.http.query.getTag("user_role") == "admin" };
"#;

/// A way to find the pairs of key and value in a target.
type Parts = fn(&str) -> Vec<String>;
/// A way to make another text of a key.
type Turn = fn(&str) -> String;

fn split_at(target: &str, mark: char, others: &[char]) -> Vec<String> {
    let query = target.split_once(mark).map_or("", |(_, query)| query);
    query.split(|c| c == '&' || others.contains(&c)).map(str::to_owned).collect()
}

/// Servers that look for the first `?`, the last, and any; that part at `;` too; that end at `#`; and that decode the
/// target before they look.
const PARTS: [(&str, Parts); 7] = [
    ("first ?", |target| split_at(target, '?', &[])),
    ("last ?", |target| target.rsplit_once('?').map_or("", |(_, q)| q).split('&').map(str::to_owned).collect()),
    ("every ?", |target| split_at(target, '?', &['?'])),
    (";", |target| split_at(target, '?', &[';'])),
    ("#", |target| split_at(target.split('#').next().unwrap(), '?', &[])),
    ("strips ?", |target| split_at(&target.replacen("??", "?", 1), '?', &[])),
    ("path decoded", |target| {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = decoded(path);
        let mut pairs = split_at(&path, '?', &[]);
        pairs.extend(query.split('&').map(str::to_owned));
        pairs
    }),
];

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// No decoding, one, two, and characters by their number.
const DECODES: [(&str, Turn); 5] = [
    ("raw", str::to_owned),
    ("once", |key| decoded(&key.replace('+', " "))),
    ("once, + kept", decoded),
    ("twice", |key| decoded(&decoded(key))),
    ("%u", |key| {
        let mut key = decoded(key);
        while let Some(at) = key.find("%u") {
            let digits = key.get(at + 2..at + 6).unwrap_or("0021").to_owned();
            let character = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).unwrap_or('!');
            key.replace_range(at..(at + 2 + digits.len()).min(key.len()), &character.to_string());
        }
        key
    }),
];

fn cut(key: &str, marks: &[char]) -> String {
    key.split(|c| marks.contains(&c)).next().unwrap_or_default().to_owned()
}

/// How servers name what they find.
const NAMES: [(&str, Turn); 10] = [
    ("exact", str::to_owned),
    ("no case (ASP.NET)", str::to_lowercase),
    ("trimmed", |key| key.trim().to_owned()),
    ("PHP", |key| cut(key.trim_start(), &['[']).replace([' ', '.', '-'], "_")),
    ("Rails", |key| cut(key, &['['])),
    ("qs with dots", |key| cut(key, &['[', '.'])),
    ("Spring", |key| key.trim_start_matches(['_', '!']).to_owned()),
    ("Zope", |key| cut(key, &[':'])),
    ("relaxed", |key| snake(&key.replace(['-', '.'], "_"))),
    ("compatible", |key| key.nfkc_lowercase()),
];

/// `userRole` as `user_role`.
fn snake(key: &str) -> String {
    let each =
        key.chars().map(|c| if c.is_ascii_uppercase() { format!("_{}", c.to_ascii_lowercase()) } else { c.into() });
    each.collect::<String>().trim_start_matches('_').to_owned()
}

trait Fold {
    fn nfkc_lowercase(&self) -> String;
}

impl Fold for str {
    fn nfkc_lowercase(&self) -> String {
        // Full-width letters, which are a constant apart.
        let narrow = |c: char| char::from_u32(u32::from(c).wrapping_sub(0xFEE0)).filter(char::is_ascii_graphic);
        self.chars().map(|c| narrow(c).unwrap_or(c)).collect::<String>().to_lowercase()
    }
}

/// The target as Envoy forwards it: keys are compared as they were sent.
fn forwarded(target: &str, ok: &OkHttpResponse) -> String {
    let Some((path, query)) = target.split_once('?') else {
        let set = ok.query_parameters_to_set.iter().map(|set| format!("{}={}", set.key, set.value));
        let set = set.collect::<Vec<_>>().join("&");
        return if set.is_empty() { target.to_owned() } else { format!("{target}?{set}") };
    };
    let is_touched = |pair: &&str| {
        let key = pair.split('=').next().unwrap();
        ok.query_parameters_to_remove.iter().any(|removed| removed == key)
            || ok.query_parameters_to_set.iter().any(|set| set.key == key)
    };
    let kept = query.split('&').filter(|pair| !is_touched(pair)).map(str::to_owned);
    let set = ok.query_parameters_to_set.iter().map(|set| format!("{}={}", set.key, set.value));
    format!("{path}?{}", kept.chain(set).collect::<Vec<_>>().join("&"))
}

/// Values under `name` that `is_bad`, as some server finds them, and that server.
fn found(target: &str, name: &str, is_bad: impl Fn(&str) -> bool) -> Option<String> {
    for (parts, part) in PARTS {
        for pair in part(target) {
            let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
            for (decode, turn) in DECODES {
                let key = turn(key);
                for (naming, of) in NAMES {
                    if of(&key) == name && is_bad(value) {
                        return Some(format!("`{pair}` to {parts}, {decode}, {naming}"));
                    }
                }
            }
        }
    }
    None
}

fn key() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec!["tenant", "debug", "user_role", "userRole", "user-role", "user.role", "x"]);
    let spelling = (known, any::<prop::sample::Index>(), 0..12u8).prop_map(|(name, at, how)| {
        let at = at.index(name.len());
        let letter = name.as_bytes()[at];
        let with = |new: String| format!("{}{new}{}", &name[..at], &name[at + 1..]);
        match how {
            0 => with(format!("%{letter:02x}")),
            1 => with(format!("%25{letter:02x}")),
            2 => with(format!(
                "%{:02x}%{:02x}%{:02x}",
                b'%',
                format!("{letter:02x}").as_bytes()[0],
                format!("{letter:02x}").as_bytes()[1]
            )),
            3 => with(format!("%25u00{letter:02x}")),
            4 => with(char::from(letter).to_ascii_uppercase().into()),
            5 => with(char::from_u32(0xFEE0 + u32::from(letter)).unwrap().into()),
            6 => name.to_uppercase(),
            _ => name.to_owned(),
        }
    });
    let around = |marks: &'static [&'static str]| prop::sample::select(marks);
    let before = around(&[
        "", "", "", "", "", "+", "%20", "_", "!", "?", ";", "a;", "a=1;", "a=1?", "amp;", "a=1#", "&", "%26",
        "a%3D1%26",
    ]);
    let after =
        around(&["", "", "", "", "", "+", "%20", "[]", "%5B%5D", "[0]", "[a]", "[", ".", ".0", ":int", "%3D", "%00"]);
    (before, spelling, after).prop_map(|(before, key, after)| format!("{before}{key}{after}"))
}

fn target() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec!["=evil", "=admin", "=acme", "=", "", "==admin"]);
    let pairs = prop::collection::vec((key(), value), 0..4);
    let path = prop::sample::select(vec!["/a", "/a", "/a", "/a%3F", "/a%3Fb=1&"]);
    (path, pairs).prop_map(|(path, pairs)| {
        let query: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key}{value}")).collect();
        match (query.is_empty(), path) {
            (true, _) => path.to_owned(),
            (false, "/a") => format!("/a?{}", query.join("&")),
            (false, _) => format!("{path}{}", query.join("&").replace(['?', ';', '#', '['], "")),
        }
    })
}

#[test]
fn p47_no_server_finds_a_query_key_that_policies_did_not_mean() {
    let runtime = Runtime::new().unwrap();
    let direct = runtime.block_on(Direct::new(&[("namespaces/shop/a.cedar", POLICIES)]));
    let allows = Cell::new(0);
    holds(6000, (target(), prop::sample::select(vec!["GET", "PUT"])), |(target, method)| {
        let mut check = orders();
        check.http().path = target.clone();
        check.http().method = method.to_owned();
        let (response, _) = runtime.block_on(direct.judged(check.0));
        let Some(HttpResponse::OkResponse(ok)) = &response.http_response else { return };
        allows.set(allows.get() + 1);
        let arrives = forwarded(&target, ok);
        // Also where the permit that is satisfied sets and removes nothing, the client's own value does not pass.
        let is_ours = |value: &str| method == "GET" && value == "acme";
        assert_eq!(found(&arrives, "tenant", |value| !is_ours(value)), None, "{arrives}");
        assert_eq!(found(&arrives, "debug", |_| true), None, "{arrives}");
        assert_eq!(found(&arrives, "user_role", |value| value == "admin"), None, "{arrives}");
    });
    assert!(allows.get() > 200, "of the drawn calls only {} were allowed", allows.get());
}
