//! One evaluated response as one JSON object, joined with its request by the decision id.
//!
//! Knows: records of responses. Must not know: bodies. Names of detectors and counts are written, never what they found.

use std::collections::BTreeMap;

use serde::Serialize;
use smol_str::SmolStr;

use super::text::{ITEMS_MAX, TEXT_BYTES_MAX, Text, name, names, time};
use crate::check::response::{ResponseRecord, WouldBe};

#[derive(Serialize)]
struct Line<'a> {
    v: u8,
    phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<String>,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Text<'a>>,
    status: u16,
    stream: bool,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Text<'a>>,
    determining: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<&'static str>,
    findings: BTreeMap<&'a str, u64>,
    channels: u64,
    frames: u64,
    frames_unread: u64,
    frames_withheld: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_entries_dropped: Option<u64>,
    held_bytes: u64,
    held_micros: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    micros: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_be: Option<Shadow<'a>>,
}

/// The outcome with the policies in shadow mode enforced.
#[derive(Serialize)]
struct Shadow<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    determining: Vec<Text<'a>>,
    findings: BTreeMap<&'a str, u64>,
}

/// The record of one response.
///
/// # Errors
/// Only if the record has no JSON form.
pub(in crate::telemetry::decision_log) fn response(record: &ResponseRecord) -> serde_json::Result<Vec<u8>> {
    let (refusal, summary) = (record.refusal.as_ref(), &record.summary);
    let lists = Some(summary.lists).filter(|lists| lists.entries > 0);
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    serde_json::to_vec(&Line {
        v: 1,
        phase: "response",
        decision_id: record.decision_id.map(|id| id.as_hyphenated().to_string()),
        time: time(record.at),
        service: record.service.as_deref().map(name),
        status: record.status,
        stream: record.is_stream,
        outcome: record.outcome.as_str(),
        reason: refusal.map(|refusal| refusal.reason.as_str()),
        detail: refusal.map(|refusal| Text(refusal.detail.as_str(), TEXT_BYTES_MAX)).filter(|text| !text.0.is_empty()),
        determining: names(&record.determining),
        end: record.end.map(|end| end.as_str()),
        findings: counts(&summary.findings),
        channels: summary.channels,
        frames: summary.frames,
        frames_unread: summary.frames_unread,
        frames_withheld: summary.frames_withheld,
        list_entries: lists.map(|lists| lists.entries),
        list_entries_dropped: lists.map(|lists| lists.dropped),
        held_bytes: summary.held_bytes_most,
        held_micros: micros(record.held),
        input_tokens: summary.usage.map(|usage| usage.input_tokens),
        output_tokens: summary.usage.map(|usage| usage.output_tokens),
        micros: micros(record.elapsed),
        would_be: record.would_be.as_ref().map(would_be),
    })
}

fn would_be(would_be: &WouldBe) -> Shadow<'_> {
    Shadow {
        outcome: would_be.outcome_as_str(),
        reason: would_be.reason,
        determining: names(&would_be.determining),
        findings: counts(&would_be.findings),
    }
}

fn counts(findings: &BTreeMap<SmolStr, u64>) -> BTreeMap<&str, u64> {
    findings.iter().take(ITEMS_MAX).map(|(detector, count)| (detector.as_str(), *count)).collect()
}
