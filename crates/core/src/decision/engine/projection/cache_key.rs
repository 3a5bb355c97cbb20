//! Encodes a projected query as a cache key: each part has a length or an end, so that no two queries share a key.
//!
//! Names that only scopes test are left out: the selected policies fix the results of those tests.

use std::convert::Infallible;

use super::{Ancestors, Fields, Projected, ProjectedEntity, ProjectedValue};
use crate::query::{Uid, Value};

pub(super) fn write(projected: &Projected<'_>, out: &mut Vec<u8>) {
    text(projected.action(), out);
    node(projected.principal(), out);
    node(projected.resource(), out);
    fields(projected.context(), out);
    for (uid, tags) in projected.bags() {
        out.push(1);
        text(&uid.id, out);
        fields(tags, out);
    }
    out.push(0);
}

fn node(projected: ProjectedEntity<'_>, out: &mut Vec<u8>) {
    let (uid, projection) = (projected.uid(), projected.projection);
    text(&uid.kind, out);
    fields(projected.attributes(), out);
    fields(projected.tags(), out);
    match &projection.ancestors {
        Ancestors::All => {
            text(&uid.id, out);
            for ancestor in &projected.node.ancestors {
                out.push(1);
                text(&ancestor.kind, out);
                text(&ancestor.id, out);
            }
            out.push(0);
        }
        Ancestors::Named(within) => {
            if projection.itself {
                text(&uid.id, out);
            }
            // `in` is reflexive, so membership is one bit that covers the id as well.
            let inside = |named: &Uid| u8::from(*named == *uid || projected.node.ancestors.contains(named));
            out.extend(within.iter().map(inside));
        }
    }
}

fn fields(fields: Fields<'_>, out: &mut Vec<u8>) {
    let Ok(()) = fields.try_each(|name, seen| {
        out.push(1);
        text(name, out);
        match seen {
            ProjectedValue::Whole(whole) => value(whole, out),
            ProjectedValue::Part(part) => record(part, out),
        }
        Ok::<(), Infallible>(())
    });
    out.push(0);
}

fn record(part: Fields<'_>, out: &mut Vec<u8>) {
    out.push(4);
    fields(part, out);
}

fn length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u64).to_be_bytes());
}

fn text(text: &str, out: &mut Vec<u8>) {
    length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn value(value_: &Value, out: &mut Vec<u8>) {
    let tagged = |tag: u8, content: &str, out: &mut Vec<u8>| {
        out.push(tag);
        text(content, out);
    };
    match value_ {
        Value::String(content) => tagged(0, content, out),
        Value::Long(number) => {
            out.push(1);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Bool(flag) => out.extend_from_slice(&[2, u8::from(*flag)]),
        Value::Set(items) => {
            out.push(3);
            length(items.len(), out);
            items.iter().for_each(|item| value(item, out));
        }
        Value::Record(whole) => record(Fields::from(whole), out),
        Value::Entity(uid) => {
            tagged(5, &uid.kind, out);
            text(&uid.id, out);
        }
        Value::Time(milliseconds) => {
            out.push(6);
            out.extend_from_slice(&milliseconds.to_be_bytes());
        }
        Value::Duration(content) => tagged(7, content, out),
        Value::Ip(content) => tagged(8, content, out),
        Value::Decimal(content) => tagged(9, content, out),
    }
}
