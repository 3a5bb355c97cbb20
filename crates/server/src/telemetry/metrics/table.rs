//! Every metric by name: kind, labels and help. `docs/metrics.md` is generated from it.
//!
//! Knows: names. Must not know: values, or who counts.

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Observations in buckets.
    Histogram,
}

impl MetricKind {
    /// The word for it in `docs/metrics.md`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    /// The full name as Prometheus stores it, with its suffix.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// Names of its labels, in the order of [`Sample::labels`](super::Sample::labels).
    pub labels: &'static [&'static str],
    /// One sentence without its full stop, which the exposition adds.
    pub help: &'static str,
}

macro_rules! specs {
    ($table:ident: $doc:literal; $($name:ident = $text:literal $kind:ident [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $name: Spec = Spec { name: $text, kind: MetricKind::$kind, labels: &[$($label),*], help: $help };
        )*
        #[doc = $doc]
        pub static $table: &[&Spec] = &[$(&$name),*];
    };
}

specs! { OWN: "Metrics that telemetry counts itself; always present.";
    DECISIONS = "picket_decisions_total" Counter ["protocol", "mode", "decision", "reason", "policy_namespace"]
        "Calls answered, by verdict reason or failure code; mode `shadow` counts the would-be verdicts of shadow policies; a namespace that is not loaded is `_other`, an unknown one `_none`";
    DECISION_DURATION = "picket_decision_duration_seconds" Histogram []
        "Time from a call's arrival to its answer";
    DETERMINING_POLICY = "picket_determining_policy_total" Counter ["policy_namespace", "policy_id"]
        "Enforced decisions with this determining policy; loaded policies only, so 0 means that it never determined one";
    POLICY_ERRORS = "picket_policy_errors_total" Counter ["policy_id"]
        "Evaluations that failed, by policy; a failed forbid denies, a failed permit grants nothing; absent until the first failure";
    CONTENT_FINDINGS = "picket_content_findings_total" Counter ["service", "detector"]
        "Calls with findings of a detector in their messages, where a policy reads findings; a service that the catalogue does not list is `_other`; absent until the first finding";
    SHADOW_DIVERGENCE = "picket_shadow_divergence_total" Counter ["from", "to"]
        "Decisions (`from`) that would differ (`to`) if the shadow policies were enforced";
    POLICY_SNAPSHOT = "picket_policy_snapshot_info" Gauge ["policy_namespace", "digest"]
        "Always 1; the digest of each active unit";
    POLICIES = "picket_policies" Gauge ["policy_namespace"]
        "Active policies, by unit (`mesh` or a namespace)";
    LOG_WRITTEN = "picket_decision_log_written_total" Counter []
        "Decision log records written to the sink";
    LOG_DROPPED = "picket_decision_log_dropped_total" Counter ["reason"]
        "Decision log records lost: `allow_shed` and `queue_full` by back-pressure, `write_failed` by the sink, `shutdown` unwritten at exit, `unserializable` a defect; allows left out by `sample_allows` do not count";
    SPANS = "picket_trace_spans_total" Counter ["result"]
        "Spans handed to the trace collector (`exported`) or refused by it (`failed`)";
    RESPONSES = "picket_responses_total" Counter ["outcome", "reason"]
        "Responses evaluated, by outcome (`released`, `filtered`, `masked`, `refused`) and by reason of the refusal or end of the body; `none` for a body that was not read";
    RESPONSE_FINDINGS = "picket_response_findings_total" Counter ["service", "detector"]
        "Values found in responses, by service and detector; text that an API repeats counts once";
    RESPONSE_FRAMES = "picket_response_frames_total" Counter ["result"]
        "Events of responses that could not be read (`unread`), and those that did not leave (`withheld`)";
    RESPONSE_LIST_ENTRIES = "picket_response_list_entries_total" Counter ["result"]
        "Entries of MCP's lists in responses: those that the caller could use (`kept`), and those that did not leave (`dropped`)";
    RESPONSE_HELD_BYTES = "picket_response_held_bytes_most" Gauge []
        "Most bytes that one response held at once, since the start";
    RESPONSE_HELD_SECONDS = "picket_response_held_seconds_most" Gauge []
        "Longest time that text of one response was held, since the start";
    RESPONSE_DIVERGENCE = "picket_response_shadow_divergence_total" Counter ["from", "to"]
        "Responses with an outcome (`from`) that would differ (`to`) if the shadow policies were enforced, or with other values masked; `unknown` if a copy was not read to its end";
    BUILD = "picket_build_info" Gauge ["version"]
        "Always 1; the running version";
    PROCESS_MEMORY = "process_resident_memory_bytes" Gauge []
        "Resident memory";
    PROCESS_FDS = "process_open_fds" Gauge []
        "Open file descriptors";
    PROCESS_CPU = "process_cpu_seconds_total" Counter []
        "Processor time, user and system";
}

specs! { SOURCES: "Metrics that other modules count; read at each scrape where `Metrics::add_source` was given a reader.";
    INFLIGHT = "picket_inflight" Gauge []
        "Calls in evaluation now";
    SHED = "picket_shed_total" Counter []
        "Calls denied with code `overload` because too many were in flight";
    PANICS = "picket_panics_total" Counter []
        "Panics that were caught; each is a defect";
    RESPONSES_INFLIGHT = "picket_responses_inflight" Gauge []
        "Responses in processing now; an event stream counts until its end";
    RESPONSES_HELD = "picket_response_held_bytes" Gauge []
        "Bytes of responses that are held now";
    RESPONSE_SHED = "picket_response_shed_total" Counter []
        "Responses refused because too many were processed, or too many bytes were held";
    RESPONSE_UNFIT_MODE = "picket_response_unfit_mode_total" Counter []
        "Calls refused with reason `response_mode` because the proxy's filter does not send the complete response";
    REQUESTS_MASKED = "picket_requests_masked_total" Counter []
        "Requests that left masked for their service";
    REQUESTS_NOT_MASKED = "picket_requests_not_masked_total" Counter []
        "Requests refused in the ext_proc filter, because they could not be masked as their check decided";
    RESPONSE_UNFINISHED = "picket_response_unfinished_total" Counter []
        "Responses without an outcome: the proxy closed the stream, or sent messages in a wrong order";
    POLICY_RELOAD = "picket_policy_reload_total" Counter ["result"]
        "Attempts to load the policies: `ok`, `refused` (at least one unit keeps its last version) or `unchanged`";
    POLICY_LAST_SUCCESS = "picket_policy_last_success_timestamp_seconds" Gauge []
        "Unix time of the last load in which no unit was rejected";
    POLICY_REJECTED = "picket_policy_rejected" Gauge ["policy_namespace"]
        "1 while a unit stays on its last good version because the newest was rejected, else 0";
    POLICY_WITHHELD = "picket_policy_withheld" Gauge ["policy_namespace", "reason"]
        "1 for each unit with a newest version that is not active, by reason: `unreadable`, `changing`, `missing`, `invalid` or `loading`";
    RELOAD_DURATION = "picket_reload_duration_seconds" Gauge []
        "Duration of the last load";
    ENTITY_REQUESTS = "picket_entity_requests_total" Counter ["source", "result"]
        "Look-ups of facts: `hit`, `stale`, `miss`, `negative` or `error`";
    ENTITY_CACHE_ENTRIES = "picket_entity_cache_entries" Gauge ["source"]
        "Cached results of look-ups";
    ENTITY_CACHE_EVICTIONS = "picket_entity_cache_evictions_total" Counter ["source"]
        "Results evicted from the cache of look-ups because it was full";
    KEYS_LAST_SUCCESS = "picket_keys_last_success_timestamp_seconds" Gauge ["issuer"]
        "Unix time of the last successful fetch of an issuer's keys";
    KEYS_REFRESH = "picket_keys_refresh_total" Counter ["issuer", "result"]
        "Attempts to fetch an issuer's keys: `ok` or `error`";
    CANDIDATES = "picket_candidate_policies" Histogram []
        "Candidate policies of a decision: those with a scope that matches the call, shadow policies included";
    DECISION_CACHE = "picket_decision_cache_total" Counter ["result"]
        "Decisions answered from the cache (`hit`), evaluated and cached (`miss`), or not cacheable because they read the clock or failed (`skip`)";
    DECISION_CACHE_ENTRIES = "picket_decision_cache_entries" Gauge []
        "Cached decisions";
    CALL_MEMORY = "picket_call_memory_total" Counter ["result"]
        "Calls answered from the cache (`hit`), evaluated and cached now or on their second request (`miss`), or not cacheable because the result depends on a token, certificate, look-up, body, the clock or a failure (`skip`)";
    CALL_MEMORY_ENTRIES = "picket_call_memory_entries" Gauge []
        "Cached results of calls";
    POLICY_SETS = "picket_policy_sets_total" Counter ["result"]
        "Prepared sets of candidate policies found (`hit`) or built (`miss`)";
    POLICY_SETS_ENTRIES = "picket_policy_sets_entries" Gauge []
        "Prepared sets in the cache";
    DECISIONS_VERIFIED = "picket_decisions_verified_total" Counter []
        "Decisions that plain Cedar evaluated again for comparison";
    DECISION_MISMATCHES = "picket_decision_mismatches_total" Counter []
        "Decisions on which the engine and plain Cedar, or the cache of calls and the engine, disagree; each is a defect";
    CONNECTIONS = "picket_connections" Gauge []
        "Open connections of all listeners";
    CONNECTION_CLOSED = "picket_connection_closed_total" Counter ["reason"]
        "Connections closed, by reason";
    ACCEPT_ERRORS = "picket_accept_errors_total" Counter []
        "Connections that could not be accepted";
    TLS_RENEWALS = "picket_tls_renewals_total" Counter ["listener", "result"]
        "Renewed certificates of a listener, accepted (`ok`) or rejected while the old ones stay (`refused`); unchanged files count once";
    TLS_EXPIRY = "picket_tls_certificate_expiry_timestamp_seconds" Gauge ["listener"]
        "Unix time at which the current certificate of a listener expires";
}

/// Every metric: [`OWN`], then [`SOURCES`].
pub fn all() -> impl Iterator<Item = &'static Spec> {
    OWN.iter().chain(SOURCES).copied()
}

/// The text of `docs/metrics.md`.
#[must_use]
pub fn describe() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         `GET /metrics` on the admin listener, OpenMetrics text. Generated from `crates/server/src/telemetry/metrics/table.rs`;\n\
         `UPDATE=1 cargo test --lib telemetry::metrics` rewrites this file.\n\n\
         Labels are closed sets or bounded by what is loaded: nothing a caller sends can add a series. Series of a\n\
         unit or policy vanish when it is unloaded. `mode` is `enforce` or `shadow`; `decision` is `allow`, `deny`,\n\
         `challenge` or `error` (no verdict); `reason` is a verdict's reason or, for `error`, a failure code.\n\n\
         | metric | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for spec in all() {
        let labels: Vec<String> = spec.labels.iter().map(|label| format!("`{label}`")).collect();
        text += &format!("| `{}` | {} | {} | {}. |\n", spec.name, spec.kind.as_str(), labels.join(", "), spec.help);
    }
    text
}
