//! The W3C `traceparent` header, read strictly (Trace Context, section 3.2).
//!
//! Pure. What does not parse is no parent: the decision then begins a trace of its own.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Reads a parent: `version-trace id-parent id-flags` in lower-case hex. Ids of zeros, version `ff` and
/// anything after version `00`'s four fields are refused; later versions may carry more fields.
#[must_use]
pub fn parse(text: &str) -> Option<SpanContext> {
    let [trace_id, span_id, flags] = fields(text)?;
    let trace_id = TraceId::from(u128::from_str_radix(trace_id, 16).ok()?);
    let span_id = SpanId::from(u64::from_str_radix(span_id, 16).ok()?);
    // Only the flag for sampling has a meaning that later versions must keep.
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let parent = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
    parent.is_valid().then_some(parent)
}

/// The trace id of a parent that [`parse`] accepts, as sent.
#[must_use]
pub fn trace_id(text: &str) -> Option<&str> {
    fields(text).map(|[trace_id, _, _]| trace_id)
}

/// Trace id, parent id and flags, each of its length.
fn fields(text: &str) -> Option<[&str; 3]> {
    let (version, rest) = field(text, 2)?;
    let (trace_id, rest) = field(rest?, 32)?;
    let (span_id, rest) = field(rest?, 16)?;
    let (flags, rest) = field(rest?, 2)?;
    let (found, has_more) = ([trace_id, span_id, flags], rest.is_some());
    let is_zero = |field: &str| field.bytes().fold(true, |zero, byte| zero & (byte == b'0'));
    let is_refused = version == "ff" || (version == "00" && has_more) || is_zero(trace_id) || is_zero(span_id);
    (!is_refused).then_some(found)
}

/// A field of so many digits, and what stands behind its `-`, where there is one.
fn field(text: &str, digits: usize) -> Option<(&str, Option<&str>)> {
    let (field, rest) = text.split_at_checked(digits)?;
    // All at once is quicker than one by one.
    let is_hex = field.bytes().fold(true, |hex, byte| hex & matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let rest = if rest.is_empty() { None } else { Some(rest.strip_prefix('-')?) };
    is_hex.then_some((field, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_good_parent_keeps_its_ids_and_its_sampling() {
        let parent = parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!((parent.trace_id().to_string().as_str(), parent.span_id().to_string().as_str()), (TRACE, SPAN));
        assert_eq!(trace_id(&format!("00-{TRACE}-{SPAN}-01")), Some(TRACE));
        assert!(parent.is_sampled() && parent.is_remote());
        assert!(!parse(&format!("00-{TRACE}-{SPAN}-fe")).unwrap().is_sampled());
        assert!(parse(&format!("cc-{TRACE}-{SPAN}-01-what-ever")).is_some(), "later versions may say more");
    }

    #[test]
    fn nothing_but_the_grammar_is_a_parent() {
        for text in [
            "".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01\n"),
            format!("00-ü{}-{SPAN}-01", "0".repeat(30)),
        ] {
            assert!(parse(&text).is_none() && trace_id(&text).is_none(), "`{text}`");
        }
    }
}
