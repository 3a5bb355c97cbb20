use crate::call::{Body, Call};
use crate::failure::Code;
use crate::identity::fixtures::{call, metadata, tokens};
use crate::identity::settings::{FormTokens, Settings};
use crate::identity::{KeyRing, identify, is_momentary};

fn profile() -> Settings {
    tokens(&[metadata()])
}

fn post(headers: &[(&str, &str)], body: Body) -> Call {
    let mut sent = headers.iter().fold(call(), |call, (name, value)| call.header(name, value));
    sent.method = "POST".to_owned();
    sent.body = body;
    sent
}

fn whole(text: &str) -> Body {
    Body::Complete(text.as_bytes().to_vec().into())
}

fn code(call: &Call, settings: &Settings) -> Result<(), Code> {
    identify(call, settings, &KeyRing::default()).map(drop).map_err(|rejection| rejection.failure.code)
}

const TYPES: &[&str] = &[
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded;charset=UTF-8",
    "APPLICATION/X-WWW-FORM-URLENCODED; charset=\"utf-8\"; x=y",
    " application/x-www-form-urlencoded",
    "application/json,application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded,application/json",
];

#[test]
fn a_token_in_a_form_is_found_however_the_form_is_announced() {
    for kind in TYPES {
        let typed = |body| post(&[("content-type", kind)], body);
        assert_eq!(code(&typed(whole("access_token=x")), &profile()), Err(Code::TokenRejected), "{kind}");
        assert_eq!(code(&typed(whole("a=b&access%5Ftoken=x")), &profile()), Err(Code::TokenRejected), "{kind}");
        assert_eq!(code(&typed(whole("a=b&token=access_token")), &profile()), Ok(()), "{kind}");
        assert_eq!(code(&typed(whole("")), &profile()), Ok(()), "{kind}");
    }
    for headers in [
        &[][..],
        &[("content-type", "")],
        &[("content-type", "application/json"), ("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/json"), ("content_type", "application/x-www-form-urlencoded")],
    ] {
        assert_eq!(code(&post(headers, whole("access_token=x")), &profile()), Err(Code::TokenRejected), "{headers:?}");
        assert_eq!(code(&post(headers, whole("a=b")), &profile()), Ok(()), "{headers:?}");
    }
    for charset in ["utf-16", "ibm037", "UTF-16LE", "\"utf-7\""] {
        let kind = format!("application/x-www-form-urlencoded; charset={charset}");
        assert_eq!(code(&post(&[("content-type", &kind)], whole("a=b")), &profile()), Err(Code::TokenRejected));
    }
    let garbled = Body::Complete(b"acc\xffess_token=x".to_vec().into());
    assert_eq!(code(&post(&[("content-type", TYPES[0])], garbled), &profile()), Err(Code::TokenRejected));
}

#[test]
fn a_form_that_was_not_seen_whole_counts_as_one_with_a_token() {
    let bodies = [
        (Body::NotSent, Code::BodyIncomplete),
        (Body::Unproven("cut"), Code::BodyIncomplete),
        (Body::Encoded { bytes: b"x".to_vec().into(), encoding: "gzip".to_owned() }, Code::BodyEncoded),
    ];
    let types = TYPES.iter().copied().chain(["multipart/form-data; boundary=x", "Multipart/Mixed"]);
    for kind in types {
        for (body, expected) in &bodies {
            for method in ["POST", "GET", "PUT"] {
                let mut call = post(&[("content-type", kind)], body.clone());
                call.method = method.to_owned();
                assert_eq!(code(&call, &profile()), Err(*expected), "{kind} {method}");
                assert!(is_momentary(&call, &profile()));
                let unread = Settings { form_tokens: FormTokens::NotRead, ..profile() };
                assert_eq!(code(&call, &unread), Ok(()));
                assert_eq!(code(&call, &Settings::default()), Ok(()));
            }
        }
    }
    for framing in [("transfer-encoding", "chunked"), ("content-length", "5")] {
        assert_eq!(code(&post(&[framing], Body::NotSent), &profile()), Err(Code::BodyIncomplete), "{framing:?}");
    }
}

#[test]
fn other_bodies_and_no_bodies_are_left_alone() {
    let none = |headers: &[(&str, &str)]| code(&post(headers, Body::NotSent), &profile());
    assert_eq!(none(&[]), Ok(()));
    assert_eq!(none(&[("content-length", "0")]), Ok(()));
    assert_eq!(none(&[("content-length", "0"), ("content-type", TYPES[0])]), Ok(()));
    for kind in ["application/json", "application/grpc", "text/plain", "application/octet-stream"] {
        let sent = [("content-type", kind), ("transfer-encoding", "chunked")];
        assert_eq!(none(&sent), Ok(()), "{kind}");
        assert!(!is_momentary(&post(&sent, Body::NotSent), &profile()), "{kind}");
    }
}

#[test]
fn a_part_that_could_be_named_so_is_refused() {
    let part = |head: &str| whole(&format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\nv\r\n--x--\r\n"));
    let sent = |head: &str| code(&post(&[("content-type", "multipart/form-data; boundary=x")], part(head)), &profile());
    for head in ["name=\"access_token\"", "name=Access-Token", "name=\"access_token[]\"", "name*=utf-8''access%5ftoken"]
    {
        assert_eq!(sent(head), Err(Code::TokenRejected), "{head}");
    }
    assert_eq!(sent("name=\"file\"; filename=\"a.txt\""), Ok(()));
}
