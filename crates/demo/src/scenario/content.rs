//! The content scenario: prompts that may not go in, and answers that leave masked, filtered, complete or not at all.

use super::{Caller, End, Login, Release, Step};

/// Hosts, each with its service.
pub const SERVICES: &[(&str, &str)] = &[(GATEWAY, "models/gateway"), (DESK, "support/desk")];

const GATEWAY: &str = "llm.prod.example";
const DESK: &str = "desk-mcp.prod.example";

/// The body of a request to a model: its model and the prompt, as JSON.
macro_rules! prompt {
    ($model:literal, $prompt:literal) => {
        Some(concat!(
            r#"{"model":""#,
            $model,
            r#"","stream":true,"messages":[{"role":"user","content":""#,
            $prompt,
            r#""}]}"#
        ))
    };
}

const MASKED: &str = "Your ticket is part of [incident], which we are working on. Write to [staff]. \
                      The refund goes to card ****1111.";
const COMPLETE: &str = "Your ticket is part of INC-2026-00417, which we are working on. Write to dana.ito@corp.example. \
                        The refund goes to card 4111 1111 1111 1111.";

const TICKET: Step = Step {
    title: "",
    edit: None,
    caller: Caller::Chatbot,
    login: Login::None,
    method: "POST",
    host: GATEWAY,
    path: "/v1/chat/completions",
    headers: &[("content-type", "application/json")],
    body: prompt!("support-ticket", "What about my ticket?"),
    status: 200,
    end: End::Policy("allow", &["models/support-uses-models"]),
    upstream: &[],
    release: Some(Release { outcome: "masked", policy: "models/answers-hide-internals", text: Some(MASKED) }),
};

const TOOLS: Step = Step {
    host: DESK,
    path: "/mcp",
    headers: &[
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2025-11-25"),
    ],
    body: Some(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#),
    end: End::Policy("allow", &["support/support-uses-the-desk"]),
    release: Some(Release { outcome: "filtered", policy: "mesh/release", text: Some("tickets.get") }),
    ..TICKET
};

/// The calls in order.
pub const STEPS: &[Step] = &[
    Step {
        title: "an answer without internal names leaves as it comes, byte for byte",
        body: prompt!("support-parcel", "Where is my parcel?"),
        release: Some(Release {
            outcome: "released",
            policy: "mesh/release",
            text: Some("Your parcel left Lyon this morning and arrives on Friday."),
        }),
        ..TICKET
    },
    Step { title: "an answer with an incident, an address and a card leaves masked, frame by frame", ..TICKET },
    Step {
        title: "a prompt with a key is refused before the model gets it",
        body: prompt!("support-ticket", "Deploy it with AKIAIOSFODNN7EXAMPLE"),
        status: 403,
        end: End::Policy("deny", &["mesh/no-keys-into-prompts"]),
        release: None,
        ..TICKET
    },
    Step {
        title: "an answer with a picture cannot be read: nothing of it leaves",
        body: prompt!("support-picture", "Show me the scan"),
        status: 403,
        release: Some(Release { outcome: "refused", policy: "models/nothing-unread", text: None }),
        ..TICKET
    },
    Step {
        title: "the support console with an old login gets the ticket masked too",
        caller: Caller::Console,
        login: Login::Old,
        ..TICKET
    },
    Step {
        title: "with a login that cannot be phished it sees everything",
        caller: Caller::Console,
        login: Login::Fresh,
        release: Some(Release { outcome: "released", policy: "mesh/release", text: Some(COMPLETE) }),
        ..TICKET
    },
    Step { title: "a list of tools has those only that the chatbot could call", ..TOOLS },
    Step {
        title: "the console also sees the tool that pays refunds",
        caller: Caller::Console,
        release: Some(Release { outcome: "filtered", policy: "mesh/release", text: Some("tickets.get, refunds.pay") }),
        ..TOOLS
    },
];
