//! Denials in every form, sent through Envoy: with any status, nothing is forwarded, also when failing open.

use picket::catalog::a2a::Version;
use picket::catalog::mcp::{DenialStyle, Elicitation, ProtocolVersion};
use picket::check::Judgement;
use picket::decision::Verdict;
use picket::decision::verdict::{Denial, Effect, Reason};
use picket::denial_format::{A2aFormat, DenialFormat, IdEcho, McpFormat, McpTarget, ResponseMode};
use picket::envoy::decode::Caller;
use picket::envoy::encode;
use picket::failure::{Code, Failure};
use picket::obligation::challenge::Challenge;
use serde_json::json;

use crate::envoy::bench::{Bench, get, listener};

fn mcp(form: DenialStyle) -> McpFormat {
    McpFormat {
        form,
        version: Some(ProtocolVersion::July2026),
        id: IdEcho::Id("7".to_owned()),
        asked: McpTarget::Tool("deploy.production".to_owned()),
        requested: None,
        elicitation: None,
        note: None,
    }
}

fn replies() -> Vec<(&'static str, DenialFormat)> {
    let url = "https://approve.example/{decision_id}".to_owned();
    let elicitation = Some(Elicitation { url, message: "approve".to_owned() });
    let stream = A2aFormat {
        version: Some(Version::V10),
        id: IdEcho::Id("1".to_owned()),
        awaits: ResponseMode::TaskStream,
        requested: None,
        context_id: None,
        task_id: None,
    };
    vec![
        ("application/problem+json", DenialFormat::Plain),
        ("application/problem+json", DenialFormat::Mcp(mcp(DenialStyle::HttpProblem))),
        ("application/json", DenialFormat::Mcp(mcp(DenialStyle::HttpJsonrpc))),
        ("application/json", DenialFormat::Mcp(mcp(DenialStyle::RpcError200))),
        ("application/json", DenialFormat::Mcp(mcp(DenialStyle::ToolError200))),
        ("application/json", DenialFormat::Mcp(mcp(DenialStyle::Hidden))),
        (
            "application/problem+json",
            DenialFormat::Mcp(McpFormat { id: IdEcho::Nothing, ..mcp(DenialStyle::HttpJsonrpc) }),
        ),
        ("application/json", DenialFormat::Mcp(McpFormat { elicitation, ..mcp(DenialStyle::HttpJsonrpc) })),
        ("application/json", DenialFormat::A2a(A2aFormat { awaits: ResponseMode::Task, ..stream.clone() })),
        ("text/event-stream", DenialFormat::A2a(stream)),
        ("application/json", DenialFormat::Openai),
        ("application/json", DenialFormat::Anthropic),
    ]
}

fn refused(reply: DenialFormat) -> encode::Answer {
    let denial = Denial { reason: Reason::Remedy, status: None, public_reason: None, detail: String::new() };
    let effect = Effect::Challenge(Challenge::Approve { kind: None }, denial);
    let verdict = Verdict { effect, determining: Vec::new(), errors: Vec::new(), would_be: None };
    let judgement = Judgement { result: Ok(verdict), reply, ..Judgement::failed(Failure::new(Code::Internal, "")) };
    encode::answer(std::sync::Arc::new(judgement), uuid::Uuid::now_v7(), None, Caller::Http)
}

#[tokio::test]
async fn no_form_of_a_refusal_reaches_the_upstream() {
    let open = json!({"failure_mode_allow": true});
    let bench = Bench::start(vec![listener("closed"), listener("open").authz(open)], &[]).await;
    for (media, reply) in replies() {
        let refused = refused(reply.clone());
        let body = match refused.response().unwrap().http_response {
            Some(envoy_types::ext_authz::v3::pb::HttpResponse::DeniedResponse(denied)) => denied.body,
            other => panic!("{other:?}"),
        };
        for mode in ["closed", "open"] {
            let outcome = bench.send(mode, refused.response().unwrap(), &get(&[])).await;
            assert_eq!(outcome.upstream(), None, "{reply:?}");
            let answer = outcome.answer();
            assert_eq!((answer.status, answer.text()), (refused.status, body.clone()), "{reply:?}");
            assert_eq!(answer.values("content-type").next().unwrap_or_default(), media, "{reply:?}");
        }
    }
}
