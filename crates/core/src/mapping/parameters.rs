//! Query keys that policies read or change.
//!
//! Knows: how keys are spelt and read. Must not know: what policies make of them.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use crate::call::parameters::{self, Reading, SentKey};
use crate::call::query_string::{self, QueryProblem, Seen};
use crate::call::{Call, Target};
use crate::failure::{Code, Failure};
use crate::query::{Keys, Reads, Record, Value};

/// The query's keys that a policy judging this call can read.
///
/// # Errors
/// `query_refused` where one of them has no single reading: it is there twice, some server takes another key for it, its
/// value is escaped twice, or the query cannot be decoded.
pub(super) fn read(call: &Call, reads: &Reads) -> Result<Record, Failure> {
    let nothing_read = matches!(&reads.query, Keys::Some(keys) if keys.is_empty());
    if nothing_read || parameters::keys(&call.target).next().is_none() {
        return Ok(Record::new());
    }
    match &reads.query {
        Keys::All => spelt_plainly(&call.target)?,
        Keys::Some(names) => spelt_as_read(&call.target, names, &reads.query_together)?,
    }
    let Target::Path { query: Some(raw), .. } = &call.target else { return Ok(Record::new()) };
    // A caller chooses how many there are and in which order.
    let mut entries: BTreeMap<SmolStr, Value> = BTreeMap::new();
    for pair in query_string::pairs(raw) {
        let (key, value) = pair.map_err(unread)?;
        if !reads.query.contains(&key) {
            continue;
        }
        if parameters::would_decode_again(&value) {
            return Err(refused(format!("the value of query key `{}` is escaped twice", key.escape_debug())));
        }
        if entries.insert(SmolStr::from(key.as_str()), SmolStr::from(value).into()).is_some() {
            return Err(refused(format!("query key `{}` occurs twice", key.escape_debug())));
        }
    }
    Ok(entries.into_iter().collect())
}

/// Checks that no server takes a key of the call for one that policies set or remove, unless the proxy does too.
///
/// `set` are the keys that some policy of the unit can set: sent under that very name they are replaced or removed.
/// `removed` are those that some policy can remove.
///
/// # Errors
/// `query_refused`.
pub fn changed(call: &Call, set: &BTreeSet<String>, removed: &BTreeSet<String>) -> Result<(), Failure> {
    let is_nothing_sent = || parameters::keys(&call.target).next().is_none();
    if (set.is_empty() && removed.is_empty()) || is_nothing_sent() {
        return Ok(());
    }
    let names = named(set.union(removed));
    for key in parameters::keys(&call.target) {
        let is_replaced = key.seen == Seen::ByAll && set.contains(key.text);
        let is_own = |name: &str| is_replaced || (key.seen == Seen::ByAll && key.text == name);
        alone(key, &names, is_own)?;
    }
    Ok(())
}

/// Checks that every key that some server takes for a read one is that one, in its plainest spelling.
///
/// Unless it is another one, in its plainest spelling, that whoever reads the first reads `together` with it.
fn spelt_as_read(
    target: &Target,
    read: &BTreeSet<String>,
    together: &BTreeMap<String, BTreeSet<String>>,
) -> Result<(), Failure> {
    let names = named(read);
    for key in parameters::keys(target) {
        let is_plainly = |name: &str| key.seen == Seen::ByAll && parameters::is_plainly(key.text, name);
        let is_own = |name: &str| {
            let others = together.get(name);
            is_plainly(name) || others.is_some_and(|others| others.iter().any(|other| is_plainly(other)))
        };
        alone(key, &names, is_own)?;
    }
    Ok(())
}

/// Where a policy computes the names it reads, any key may be one of them: each has to be in a spelling that no server
/// takes for another, and no two may be one.
fn spelt_plainly(target: &Target) -> Result<(), Failure> {
    let mut seen: BTreeMap<Reading, &str> = BTreeMap::new();
    for SentKey { text, seen: by } in parameters::keys(target) {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        if by == Seen::BySome || !text.bytes().all(is_plain) {
            return Err(refused("a policy computes the query keys it reads, and a key is not in plain lower case"));
        }
        if seen.insert(Reading::of(text), text).is_some_and(|other| other != text) {
            return Err(refused("a policy computes the query keys it reads, and two keys may be the same"));
        }
    }
    Ok(())
}

/// Names with what they are to the most lenient reader.
fn named<'n>(names: impl IntoIterator<Item = &'n String>) -> Vec<(&'n str, Reading)> {
    names.into_iter().map(|name| (name.as_str(), Reading::of(name))).collect()
}

/// Refuses a key that some server takes for one of `names`, unless it `is_own`.
fn alone(key: SentKey<'_>, names: &[(&str, Reading)], is_own: impl Fn(&str) -> bool) -> Result<(), Failure> {
    let readings = parameters::readings(key.text).map_err(unread)?;
    for (name, named) in names {
        let is_like = readings.iter().any(|reading| reading.likeness(named).is_some());
        if is_like && !is_own(name) {
            return Err(refused(format!("a query key is not spelt `{name}`, but servers may read it as that key")));
        }
    }
    Ok(())
}

fn unread(problem: QueryProblem) -> Failure {
    refused(problem.to_string())
}

fn refused(detail: impl Into<String>) -> Failure {
    Failure::new(Code::QueryRefused, detail)
}
