use proptest::prelude::*;

use super::{ElementKey, elements};
use crate::call::{Call, Headers};
use crate::identity::fixtures::{GATEWAY, SIDECAR, WEB, call, certificate, xfcc};
use crate::identity::settings::Certificate;
use crate::identity::{Identity, KeyRing, Proof, Rejection, Settings, identify};

const ADMIN: &str = "spiffe://cluster.local/ns/ops/sa/admin";

fn element(by: &str, uri: &str) -> String {
    format!("By={by};Hash={};Subject=\"\";URI={uri}", "ab".repeat(32))
}

fn run(call: &Call, settings: &Settings) -> Result<Identity, Rejection> {
    identify(call, settings, &KeyRing::default())
}

/// The identity, `absent`, or the failure's code.
fn show(call: &Call, settings: &Settings) -> String {
    match run(call, settings) {
        Ok(Identity { workload: None, .. }) => "absent".to_owned(),
        Ok(Identity { workload: Some(workload), .. }) => {
            assert_eq!(workload.proof, Proof::Xfcc);
            workload.id.to_string()
        }
        Err(rejection) => rejection.failure.code.as_str().to_owned(),
    }
}

/// A call that reached the sidecar from `peer`, with that header.
fn behind(peer: &str, header: &str) -> Call {
    let mut call = call().principal(peer).header("x-forwarded-client-cert", header);
    call.peer.destination_principal = Some(SIDECAR.to_owned());
    call
}

fn malformed(text: &str) -> String {
    elements(text).expect_err(text).to_string()
}

#[test]
fn elements_keep_quoted_separators_and_escapes() {
    let text = r#"By=a;Subject="CN=x,O=\"y\";z\\";DNS=d1;DNS=d2,URI=b"#;
    let found = elements(text).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].only(ElementKey::Subject), Some(r#"CN=x,O="y";z\"#));
    assert_eq!(found[0].only(ElementKey::Dns), None, "twice is not once");
    assert_eq!(found[1].only(ElementKey::Uri), Some("b"));
}

#[test]
fn anything_outside_the_grammar_is_malformed_at_its_place() {
    for (text, expected) in [
        ("", "at byte 0: a pair without `=`"),
        ("By", "at byte 0: a pair without `=`"),
        ("by=a", "at byte 0: an unknown key"),
        ("By=a;", "at byte 5: a pair without `=`"),
        ("By=a,", "at byte 5: a pair without `=`"),
        ("By=a, URI=b", "at byte 5: an unknown key"),
        ("By=a;;URI=b", "at byte 5: an unknown key"),
        ("By=a b", "at byte 4: a character"),
        ("By=a=b", "at byte 4: a character"),
        ("By=a\"b", "at byte 4: a character"),
        ("By=ä", "at byte 3: a character"),
        (r#"Subject="a"#, "at byte 8: an open quote"),
        (r#"Subject="a\""#, "at byte 8: an open quote"),
        (r#"Subject="a"b"#, "at byte 11: something between"),
        (r#"Subject="a"""#, "at byte 11: something between"),
    ] {
        assert!(malformed(text).contains(expected), "{text}: {}", malformed(text));
    }
}

#[test]
fn one_hop_names_the_peer_of_the_checking_proxy() {
    let settings = xfcc(1, &[]);
    let last = element(SIDECAR, GATEWAY);
    assert_eq!(show(&behind(GATEWAY, &last), &settings), GATEWAY);
    let forged = format!("{},{last}", element(GATEWAY, ADMIN));
    assert_eq!(show(&behind(GATEWAY, &forged), &settings), GATEWAY, "what the client wrote is not looked at");
}

#[test]
fn two_hops_name_the_client_of_a_listed_proxy() {
    let header = format!("{},{}", element(GATEWAY, WEB), element(SIDECAR, GATEWAY));
    for (settings, expected) in [
        (xfcc(2, &[GATEWAY]), WEB),
        (xfcc(2, &[]), "xfcc_rejected"),
        (xfcc(2, &[ADMIN]), "xfcc_rejected"),
        (xfcc(3, &[GATEWAY]), "absent"),
        (xfcc(1, &[GATEWAY]), GATEWAY),
        (xfcc(0, &[GATEWAY]), "xfcc_rejected"),
    ] {
        assert_eq!(show(&behind(GATEWAY, &header), &settings), expected);
    }
}

#[test]
fn a_waypoint_without_principals_needs_its_own_name_listed() {
    let plain = call().header("x-forwarded-client-cert", &element(GATEWAY, WEB));
    assert_eq!(show(&plain, &xfcc(1, &[GATEWAY])), WEB);
    assert_eq!(show(&plain, &xfcc(1, &[])), "xfcc_rejected");
}

#[test]
fn p14_a_broken_chain_is_rejected() {
    let settings = xfcc(2, &[GATEWAY]);
    let last = element(SIDECAR, GATEWAY);
    for header in [
        format!("{},{last}", element(WEB, ADMIN)),
        format!("{},{}", element(GATEWAY, WEB), element(SIDECAR, WEB)),
        format!("{},{}", element(GATEWAY, WEB), element(WEB, GATEWAY)),
        format!("By={GATEWAY};By={WEB};URI={ADMIN},{last}"),
        format!("By={GATEWAY};URI={WEB};URI={ADMIN},{last}"),
        format!("By={GATEWAY};URI=,{last}"),
        format!("By=;URI={WEB},{last}"),
        format!("URI={WEB},{last}"),
        format!("By={GATEWAY};DNS=web.example,{last}"),
        format!("By={GATEWAY};URI=web.example,{last}"),
    ] {
        assert_eq!(show(&behind(GATEWAY, &header), &settings), "xfcc_rejected", "{header}");
    }
}

#[test]
fn p14_the_last_element_must_be_about_the_peer() {
    let settings = xfcc(1, &[]);
    let header = element(SIDECAR, ADMIN);
    assert_eq!(show(&behind(GATEWAY, &header), &settings), "xfcc_rejected");
    assert_eq!(show(&behind("CN=gateway", &header), &settings), "peer_rejected");
    let (expired, _) = certificate(&[GATEWAY], |params| params.not_after = rcgen::date_time_ymd(2026, 1, 1));
    let mut stale = behind(GATEWAY, &element(SIDECAR, GATEWAY)).certificate(&expired);
    stale.received_at.0 += 1000;
    assert_eq!(show(&stale, &settings), "peer_rejected");
}

#[test]
fn p14_the_checking_proxys_name_counts_only_if_it_saw_a_certificate() {
    let mut forged = call().header("x-forwarded-client-cert", &element(SIDECAR, ADMIN));
    forged.peer.destination_principal = Some(SIDECAR.to_owned());
    assert_eq!(show(&forged, &xfcc(1, &[])), "xfcc_rejected");
    assert_eq!(show(&forged, &xfcc(1, &[GATEWAY])), "xfcc_rejected");
}

#[test]
fn a_required_certificate_is_required_of_the_last_proxy_too() {
    let call = behind(GATEWAY, &element(SIDECAR, GATEWAY));
    let required = Settings { certificate: Certificate::Required, ..xfcc(1, &[]) };
    assert_eq!(show(&call, &required), "peer_rejected");
    let (pem, _) = certificate(&[GATEWAY], |_| {});
    assert_eq!(show(&call.certificate(&pem), &required), GATEWAY);
}

#[test]
fn p14_a_uri_that_splices_an_element_is_rejected() {
    let settings = xfcc(1, &[SIDECAR]);
    for uri in [
        format!("spiffe://cluster.local/x,By={SIDECAR};URI={ADMIN}"),
        format!("spiffe://cluster.local/x;URI={ADMIN}"),
        format!("spiffe://cluster.local/x\",URI={ADMIN}"),
    ] {
        let mut call = call().principal(&uri).header("x-forwarded-client-cert", &element(SIDECAR, &uri));
        call.peer.destination_principal = Some(SIDECAR.to_owned());
        assert!(run(&call, &settings).is_err(), "{uri}");
    }
}

#[test]
fn p14_an_open_quote_never_swallows_what_the_proxy_added() {
    let settings = xfcc(1, &[]);
    for client in ["Subject=\"x", "Subject=\"x\\", "URI=\"", "Subject=\"a\";URI=\"b", "\"", "=", "By", ","] {
        let header = format!("{client},{}", element(SIDECAR, GATEWAY));
        assert_eq!(show(&behind(GATEWAY, &header), &settings), "xfcc_rejected", "{client}");
    }
}

#[test]
fn p14_the_json_form_is_refused() {
    for header in ["[]", "[\"]", &format!("[{{\"By\":\"{SIDECAR}\",\"URI\":\"{ADMIN}\"}}]")] {
        assert_eq!(show(&behind(GATEWAY, header), &xfcc(1, &[SIDECAR])), "xfcc_rejected", "{header}");
    }
}

#[test]
fn p14_two_headers_or_too_long_a_header_are_refused() {
    let last = element(SIDECAR, GATEWAY);
    let twice = behind(GATEWAY, &last).header("x-forwarded-client-cert", &last);
    assert_eq!(show(&twice, &xfcc(1, &[])), "xfcc_rejected");
    let long = format!("Cert=\"{}\",{last}", "a".repeat(16 * 1024));
    assert_eq!(show(&behind(GATEWAY, &long), &xfcc(1, &[])), "xfcc_rejected");
    let mut binary = behind(GATEWAY, "");
    binary.headers = Headers::raw(vec![("x-forwarded-client-cert".to_owned(), vec![0xff])]);
    assert_eq!(show(&binary, &xfcc(1, &[])), "xfcc_rejected");
}

#[test]
fn an_empty_forwarding_header_gives_no_identity() {
    for header in ["-", ""] {
        assert_eq!(show(&behind(GATEWAY, header), &xfcc(1, &[])), "absent");
    }
    assert_eq!(show(&call(), &xfcc(1, &[])), "absent");
}

#[test]
fn p25_a_foreign_trust_domain_is_refused() {
    let header = element(SIDECAR, "spiffe://other.example/ns/web/sa/frontend");
    let call = call().header("x-forwarded-client-cert", &header);
    assert_eq!(show(&call, &xfcc(1, &[SIDECAR])), "trust_domain_refused");
}

/// Text a forger would write: the grammar's own pieces, in any order.
fn forged() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("By=".to_owned()),
        Just("URI=".to_owned()),
        Just("Subject=\"".to_owned()),
        Just("Hash=ab".to_owned()),
        Just(";".to_owned()),
        Just(",".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just(element(SIDECAR, ADMIN)),
        Just(element(GATEWAY, ADMIN)),
        Just(ADMIN.to_owned()),
        Just(GATEWAY.to_owned()),
        Just(SIDECAR.to_owned()),
        ".{0,4}",
    ];
    proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in ".{0,200}", forged in forged()) {
        prop_assert!(elements(&text).map_or(0, |found| found.len()) <= text.len());
        prop_assert!(elements(&forged).map_or(0, |found| found.len()) <= forged.len());
    }

    #[test]
    fn any_bytes_are_judged_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), hops in 0_u8..4) {
        let mut call = behind(GATEWAY, "");
        call.headers = Headers::raw(vec![("x-forwarded-client-cert".to_owned(), bytes)]);
        let accepted = run(&call, &xfcc(hops, &[GATEWAY])).is_ok_and(|identity| identity.workload.is_some());
        prop_assert!(!accepted);
    }

    #[test]
    fn a_client_never_chooses_its_own_identity(client in forged(), hops in 1_u8..4) {
        // An ordinary workload connects; the sidecar appends the truth to whatever it sent.
        let header = format!("{client},{}", element(SIDECAR, WEB));
        if let Ok(Identity { workload: Some(workload), .. }) = run(&behind(WEB, &header), &xfcc(hops, &[GATEWAY])) {
            prop_assert_eq!(workload.id.as_str(), WEB);
        }
    }

    #[test]
    fn a_client_without_certificate_is_nobody(header in forged(), hops in 1_u8..4) {
        let mut call = behind("", &header);
        call.peer.principal = None;
        prop_assert!(run(&call, &xfcc(hops, &[])).map_or(true, |identity| identity.workload.is_none()));
    }

    #[test]
    fn a_client_of_a_listed_proxy_never_chooses_its_own_identity(client in forged()) {
        let header = format!("{client},{},{}", element(GATEWAY, WEB), element(SIDECAR, GATEWAY));
        if let Ok(Identity { workload: Some(workload), .. }) = run(&behind(GATEWAY, &header), &xfcc(2, &[GATEWAY])) {
            prop_assert_eq!(workload.id.as_str(), WEB);
        }
    }
}
