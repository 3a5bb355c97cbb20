//! The demo's scenario: its calls, each with the expected result.

mod agents;
mod content;

/// A scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// The shop of `policies/`.
    Shop,
    /// The agents of `policies/library/agents`.
    Agents,
    /// The support desk of `policies/library/support`.
    Content,
}

impl Scenario {
    /// Trust domain of its workloads.
    #[must_use]
    pub fn trust_domain(self) -> &'static str {
        match self {
            Self::Shop => "cluster.local",
            Self::Agents | Self::Content => "prod.example",
        }
    }

    /// Its calls, in order.
    #[must_use]
    pub fn steps(self) -> &'static [Step] {
        match self {
            Self::Shop => STEPS,
            Self::Agents => agents::STEPS,
            Self::Content => content::STEPS,
        }
    }

    /// Hosts, each with its service.
    #[must_use]
    pub fn services(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Shop => SERVICES,
            Self::Agents => agents::SERVICES,
            Self::Content => content::SERVICES,
        }
    }

    /// The caller.
    #[must_use]
    pub fn callers(self) -> &'static [Caller] {
        match self {
            Self::Shop => &[Caller::Frontend, Caller::Orders, Caller::Backoffice],
            Self::Agents => &[Caller::CodingAgent, Caller::TriageAgent, Caller::BillingWorker],
            Self::Content => &[Caller::Chatbot, Caller::Console],
        }
    }

    /// Its title.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Shop => "Three workloads call a shop",
            Self::Agents => "Two agents and a worker call MCP servers and an API",
            Self::Content => "A chatbot and a console call a model",
        }
    }

    /// Whether Envoy sends its responses to Picket, and its upstream is a provider of models.
    #[must_use]
    pub fn has_answers(self) -> bool {
        match self {
            Self::Shop | Self::Agents => false,
            Self::Content => true,
        }
    }
}

/// A workload that calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// Pages of the shop.
    Frontend,
    /// Keeps orders, charges cards.
    Orders,
    /// People who refund.
    Backoffice,
    /// An agent that writes code and deploys it.
    CodingAgent,
    /// An agent that works on one ticket at a time.
    TriageAgent,
    /// Reads invoices on behalf of people.
    BillingWorker,
    /// Answers customers with a model.
    Chatbot,
    /// The same model for the staff of the support desk.
    Console,
}

impl Caller {
    /// Its name, which is also that of its files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Orders => "orders",
            Self::Backoffice => "backoffice",
            Self::CodingAgent => "coding-agent",
            Self::TriageAgent => "triage-agent",
            Self::BillingWorker => "billing-worker",
            Self::Chatbot => "chatbot",
            Self::Console => "console",
        }
    }

    /// Its SPIFFE id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Frontend => "spiffe://cluster.local/ns/web/sa/frontend",
            Self::Orders => "spiffe://cluster.local/ns/shop/sa/orders",
            Self::Backoffice => "spiffe://cluster.local/ns/pay/sa/backoffice",
            Self::CodingAgent => "spiffe://prod.example/ns/agents/sa/coding-agent",
            Self::TriageAgent => "spiffe://prod.example/ns/agents/sa/triage-agent",
            Self::BillingWorker => "spiffe://prod.example/ns/billing/sa/billing-worker",
            Self::Chatbot => "spiffe://prod.example/ns/support/sa/chatbot",
            Self::Console => "spiffe://prod.example/ns/support/sa/console",
        }
    }
}

/// The tokens that a call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// None.
    None,
    /// A person who logged in an hour ago.
    Old,
    /// The same just now, by a method that cannot be phished.
    Fresh,
    /// The coding agent's, made for it on behalf of a person.
    Coding,
    /// The triage agent's, likewise, without a task.
    NoTask,
    /// The same with a task that names a ticket and tools.
    Task,
    /// A worker's login with too few scopes.
    Narrow,
}

impl Login {
    /// Name of the file that holds the headers with the tokens; none without any.
    #[must_use]
    pub fn file(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Old => Some("login-old.header"),
            Self::Fresh => Some("login-fresh.header"),
            Self::Coding => Some("coding-agent.header"),
            Self::NoTask => Some("triage-agent.header"),
            Self::Task => Some("triage-agent-task.header"),
            Self::Narrow => Some("login-narrow.header"),
        }
    }
}

/// The component that ends a call, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Picket's policies: the decision and the deciding policies; no policy decides where none permits.
    Policy(&'static str, &'static [&'static str]),
    /// Picket before any policy: the code of the failure.
    Picket(&'static str),
    /// Envoy alone; Picket gets no check.
    Envoy,
}

/// A change of a file in the policy tree, while everything runs.
#[derive(Debug, Clone, Copy)]
pub struct Edit {
    /// The file.
    pub file: &'static str,
    /// The added headers.
    pub text: &'static str,
}

/// How a model's answer must leave.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// Outcome in the decision log: `released`, `filtered`, `masked` or `refused`.
    pub outcome: &'static str,
    /// A policy that must be among those that determined it.
    pub policy: &'static str,
    /// Text that the client must get, all frames together; none if nothing of the answer may leave.
    pub text: Option<&'static str>,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Its meaning.
    pub title: &'static str,
    /// Done before the call, which is then repeated until the change shows.
    pub edit: Option<Edit>,
    /// The caller.
    pub caller: Caller,
    /// The person who is logged in.
    pub login: Login,
    /// Method.
    pub method: &'static str,
    /// Host.
    pub host: &'static str,
    /// Path, sent as it is.
    pub path: &'static str,
    /// Headers that the caller adds.
    pub headers: &'static [(&'static str, &'static str)],
    /// JSON that it sends; none sends nothing.
    pub body: Option<&'static str>,
    /// Status that must come back.
    pub status: u16,
    /// The component that must have ended it.
    pub end: End,
    /// Headers the upstream must get, `None` for those it must not get.
    pub upstream: &'static [(&'static str, Option<&'static str>)],
    /// How the answer of the model must leave; none if no model may get the call.
    pub release: Option<Release>,
}

const SERVICES: &[(&str, &str)] = &[(ORDERS, "shop/orders"), (BILLING, "pay/billing")];

const ORDERS: &str = "orders.shop.svc.cluster.local";
const BILLING: &str = "billing.pay.svc.cluster.local";

const CALL: Step = Step {
    title: "",
    edit: None,
    caller: Caller::Frontend,
    login: Login::None,
    method: "GET",
    host: ORDERS,
    path: "/v1/orders/42",
    headers: &[],
    body: None,
    status: 403,
    end: End::Policy("deny", &[]),
    upstream: &[],
    release: None,
};

const STEPS: &[Step] = &[
    Step {
        title: "the storefront reads an order; the shop gets the caller in a header",
        status: 200,
        end: End::Policy("allow", &["shop/storefront-reads"]),
        upstream: &[("x-caller", Some("spiffe://cluster.local/ns/web/sa/frontend")), ("x-team", Some("web"))],
        ..CALL
    },
    Step { title: "the back office does not: no policy permits it", caller: Caller::Backoffice, ..CALL },
    Step {
        title: "forged headers are replaced or gone before the upstream sees them",
        headers: &[
            ("x-picket-verdict", "allow"),
            ("x-caller", "the-boss"),
            ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/platform/sa/console"),
        ],
        status: 200,
        end: End::Policy("allow", &["shop/storefront-reads"]),
        upstream: &[("x-picket-verdict", None), ("x-caller", Some("spiffe://cluster.local/ns/web/sa/frontend"))],
        ..CALL
    },
    Step {
        title: "a forged certificate header does not make the caller an operator",
        path: "/admin/users",
        headers: &[("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/platform/sa/console")],
        ..CALL
    },
    Step {
        title: "a path with dots is evaluated as the page it resolves to",
        path: "/v1/orders/../../admin/users",
        ..CALL
    },
    Step {
        title: "an escaped slash has two readings: Envoy refuses it",
        path: "/v1/orders%2F..%2F..%2Fadmin",
        status: 400,
        end: End::Envoy,
        ..CALL
    },
    Step {
        title: "so has a path parameter: Picket refuses it",
        path: "/v1/orders/42;admin=true",
        status: 400,
        end: End::Picket("path_refused"),
        ..CALL
    },
    Step {
        title: "orders charges a card",
        caller: Caller::Orders,
        method: "POST",
        host: BILLING,
        path: "/v1/charges",
        status: 200,
        end: End::Policy("allow", &["pay/orders-charge"]),
        ..CALL
    },
    Step {
        title: "a refund an hour after the login: log in again (401 says how)",
        caller: Caller::Backoffice,
        login: Login::Old,
        method: "POST",
        host: BILLING,
        path: "/v1/refunds",
        status: 401,
        end: End::Policy("challenge", &["pay/fresh-login-for-refunds"]),
        ..CALL
    },
    Step {
        title: "the same refund after a fresh login",
        caller: Caller::Backoffice,
        login: Login::Fresh,
        method: "POST",
        host: BILLING,
        path: "/v1/refunds",
        status: 200,
        end: End::Policy("allow", &["pay/desk-refunds"]),
        upstream: &[("x-refunded-by", Some("alice"))],
        ..CALL
    },
    Step {
        title: "the shop's team now permits everything: the back office reads an order",
        edit: Some(Edit {
            file: "namespaces/shop/everything.cedar",
            text: "@id(\"everything\")\npermit (principal, action in Action::\"any\", resource);\n",
        }),
        caller: Caller::Backoffice,
        status: 200,
        end: End::Policy("allow", &["shop/everything"]),
        ..CALL
    },
    Step {
        title: "a guardrail of the mesh still holds against that permit",
        caller: Caller::Backoffice,
        path: "/admin/users",
        status: 404,
        end: End::Policy("deny", &["mesh/admin-is-for-operators"]),
        ..CALL
    },
    // Billing takes tokens, so who has no permit is asked to log in.
    Step {
        title: "and the shop's permit opens nothing of another team's",
        host: BILLING,
        path: "/v1/charges",
        status: 401,
        end: End::Policy("challenge", &[]),
        ..CALL
    },
];
