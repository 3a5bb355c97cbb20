//! The agents' scenario: a coding agent, an agent bound to a task, and a person with a fresh login.

use super::{Caller, End, Login, Step};

/// Hosts, each with its service.
pub const SERVICES: &[(&str, &str)] =
    &[(DEPLOY, "agents/deploy-mcp"), (TICKETS, "agents/tickets-mcp"), (BILLING, "billing/api")];

const DEPLOY: &str = "deploy-mcp.prod.example";
const TICKETS: &str = "tickets-mcp.prod.example";
const BILLING: &str = "billing.prod.example";

/// The body of a tool call: the tool's name and its arguments, as JSON.
macro_rules! tool {
    ($name:literal, $arguments:literal) => {
        Some(concat!(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""#,
            $name,
            r#"","arguments":"#,
            $arguments,
            "}}"
        ))
    };
}

const TOOL: Step = Step {
    title: "",
    edit: None,
    caller: Caller::TriageAgent,
    login: Login::Task,
    method: "POST",
    host: TICKETS,
    path: "/mcp",
    headers: &[
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2025-11-25"),
    ],
    body: None,
    status: 403,
    end: End::Policy("deny", &[]),
    upstream: &[],
    release: None,
};

const CODING: Step = Step { caller: Caller::CodingAgent, login: Login::Coding, host: DEPLOY, ..TOOL };

const INVOICE: Step = Step {
    caller: Caller::BillingWorker,
    login: Login::Old,
    method: "GET",
    host: BILLING,
    path: "/v1/invoices/inv_1001",
    headers: &[],
    ..TOOL
};

/// The calls in order.
pub const STEPS: &[Step] = &[
    Step {
        title: "the coding agent drafts a patch",
        body: tool!("drafts.create_patch", r#"{"service":"checkout"}"#),
        status: 200,
        end: End::Policy("allow", &["agents/coding-agent-tools"]),
        ..CODING
    },
    Step {
        title: "it deploys to production: only under an approved change, and the answer says so",
        body: tool!("deploy.production", r#"{"service":"checkout","environment":"production"}"#),
        end: End::Policy("challenge", &["agents/production-needs-a-change"]),
        ..CODING
    },
    Step {
        title: "its token in another agent's hands is worth nothing",
        caller: Caller::TriageAgent,
        body: tool!("drafts.create_patch", r#"{"service":"checkout"}"#),
        end: End::Picket("token_not_bound"),
        ..CODING
    },
    Step {
        title: "the triage agent reads the ticket of its task",
        body: tool!("tickets.get", r#"{"ticket_id":"4711"}"#),
        status: 200,
        end: End::Policy("allow", &["agents/task-bound-tools"]),
        ..TOOL
    },
    Step {
        title: "it reads another customer's ticket: outside its task",
        body: tool!("tickets.get", r#"{"ticket_id":"4712"}"#),
        end: End::Policy("deny", &["mesh/task-ticket"]),
        ..TOOL
    },
    Step {
        title: "it exports the customers: a tool that its task does not name",
        body: tool!("crm.export", "{}"),
        ..TOOL
    },
    Step {
        title: "without a task it may not even search",
        login: Login::NoTask,
        body: tool!("kb.search", r#"{"query":"refund"}"#),
        ..TOOL
    },
    Step {
        title: "a body with two readings is rejected before any policy",
        body: Some(
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"tickets.get","name":"crm.export"}}"#,
        ),
        status: 400,
        end: End::Picket("body_refused"),
        ..TOOL
    },
    Step {
        title: "a person's token without the scope: the answer names it",
        login: Login::Narrow,
        end: End::Policy("challenge", &["mesh/enough-scopes"]),
        ..INVOICE
    },
    Step {
        title: "a person's token that may do far more than this call, an hour after the login",
        status: 401,
        end: End::Policy("challenge", &["mesh/excess-needs-fresh-login"]),
        ..INVOICE
    },
    Step {
        title: "the same after a fresh login",
        login: Login::Fresh,
        status: 200,
        end: End::Policy("allow", &["billing/invoices"]),
        ..INVOICE
    },
];
