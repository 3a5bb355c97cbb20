//! What the demonstration does, call by call, and what must come of it.

/// A workload of the sample shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// Pages of the shop.
    Frontend,
    /// Keeps orders, charges cards.
    Orders,
    /// People who refund.
    Backoffice,
}

impl Caller {
    /// Every caller.
    pub const ALL: [Self; 3] = [Self::Frontend, Self::Orders, Self::Backoffice];

    /// Its name, which is also that of its files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Orders => "orders",
            Self::Backoffice => "backoffice",
        }
    }

    /// Its SPIFFE id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Frontend => "spiffe://cluster.local/ns/web/sa/frontend",
            Self::Orders => "spiffe://cluster.local/ns/shop/sa/orders",
            Self::Backoffice => "spiffe://cluster.local/ns/pay/sa/backoffice",
        }
    }
}

/// A login that a call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// Nobody logged in.
    None,
    /// An hour ago.
    Old,
    /// Just now, by a method that cannot be phished.
    Fresh,
}

impl Login {
    /// Name of the file that holds the header with the token; none without a login.
    #[must_use]
    pub fn file(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Old => Some("login-old.header"),
            Self::Fresh => Some("login-fresh.header"),
        }
    }
}

/// Who ends a call, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Picket's policies: the decision and the deciding policies; no policy decides where none permits.
    Policy(&'static str, &'static [&'static str]),
    /// Picket before any policy: the code of the failure.
    Picket(&'static str),
    /// Envoy alone; Picket is not asked.
    Envoy,
}

/// A change of a file in the policy tree, while everything runs.
#[derive(Debug, Clone, Copy)]
pub struct Edit {
    /// The file.
    pub file: &'static str,
    /// What is added to it.
    pub text: &'static str,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What it shows.
    pub title: &'static str,
    /// Done before the call, which is then repeated until the change shows.
    pub edit: Option<Edit>,
    /// Who calls.
    pub caller: Caller,
    /// Who is logged in.
    pub login: Login,
    /// Method.
    pub method: &'static str,
    /// Host.
    pub host: &'static str,
    /// Path, sent as it is.
    pub path: &'static str,
    /// Headers that the caller adds.
    pub headers: &'static [(&'static str, &'static str)],
    /// Status that must come back.
    pub status: u16,
    /// Who must have ended it.
    pub end: End,
    /// Headers the upstream must get, `None` for those it must not get.
    pub upstream: &'static [(&'static str, Option<&'static str>)],
}

/// Hosts and the services they stand for.
pub const SERVICES: &[(&str, &str)] = &[(ORDERS, "shop/orders"), (BILLING, "pay/billing")];

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
    status: 403,
    end: End::Policy("deny", &[]),
    upstream: &[],
};

/// The calls in order.
pub const STEPS: &[Step] = &[
    Step {
        title: "the storefront reads an order; the shop is told who calls",
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
        title: "a forged certificate header makes nobody an operator",
        path: "/admin/users",
        headers: &[("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/platform/sa/console")],
        ..CALL
    },
    Step { title: "a path with dots is judged as the page it means", path: "/v1/orders/../../admin/users", ..CALL },
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
