use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, SanType};

use super::read;
use crate::failure::Code;
use crate::identity::fixtures::{WEB, call, certificate};
use crate::identity::settings::Certificate;
use crate::identity::{Proof, SourceResult};

/// The outcome in one word: an id, a code, or `absent`.
fn show(call: &crate::call::Call, setting: Certificate) -> String {
    match read(call, setting) {
        SourceResult::NotPresented => "absent".to_owned(),
        SourceResult::Accepted(proven) => {
            assert_eq!(proven.workload.proof, Proof::Mtls);
            proven.workload.id.to_string()
        }
        SourceResult::Rejected(failure) => {
            assert_eq!(failure.code, Code::PeerRejected);
            failure.detail
        }
    }
}

fn rejected_with(pem: &str, why: &str) {
    let said = show(&call().principal(WEB).certificate(pem), Certificate::Checked);
    assert!(said.contains(why), "`{said}` does not say `{why}`");
}

#[test]
fn a_connection_without_certificate_presents_nothing() {
    assert_eq!(show(&call(), Certificate::Checked), "absent");
    assert_eq!(show(&call(), Certificate::Required), "absent");
    assert_eq!(show(&call().principal(""), Certificate::Required), "absent");
}

#[test]
fn a_principal_alone_is_an_identity_only_where_no_certificate_is_required() {
    assert_eq!(show(&call().principal(WEB), Certificate::Checked), WEB);
    assert!(show(&call().principal(WEB), Certificate::Required).contains("requires it"));
}

#[test]
fn a_good_certificate_gives_its_thumbprint() {
    let (pem, expected) = certificate(&[WEB], |_| {});
    for setting in [Certificate::Checked, Certificate::Required] {
        match read(&call().principal(WEB).certificate(&pem), setting) {
            SourceResult::Accepted(proven) => assert_eq!(proven.thumbprint, Some(expected)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn p23_a_principal_that_is_not_a_spiffe_id_is_rejected() {
    for principal in [
        "orders.shop.svc",
        "CN=orders,O=shop",
        "spiffe://cluster.local",
        "spiffe://Cluster.local/ns/a/sa/b",
        "SPIFFE://cluster.local/ns/a/sa/b",
        "spiffe://cluster.local/ns/a/sa/b?x",
        "spiffe://cluster.local/ns/a/sa/b,URI=spiffe://cluster.local/ns/x/sa/admin",
        "spiffe://user@cluster.local/ns/a/sa/b",
        "spiffe://cluster.local:1/ns/a/sa/b",
    ] {
        let said = show(&call().principal(principal), Certificate::Checked);
        assert!(said.contains("not a SPIFFE id"), "{principal}: {said}");
    }
}

#[test]
fn p23_a_certificate_must_have_exactly_the_principals_uri() {
    let dns = |params: &mut CertificateParams| {
        params.subject_alt_names = vec![SanType::DnsName(WEB.try_into().unwrap())];
    };
    let other = "spiffe://cluster.local/ns/web/sa/other";
    for (pem, why) in [
        (certificate(&[], dns).0, "0 URIs"),
        (certificate(&[WEB, other], |_| {}).0, "2 URIs"),
        (certificate(&[WEB, WEB], |_| {}).0, "2 URIs"),
        (certificate(&[other], |_| {}).0, "not `source.principal`"),
        (certificate(&[], |params| params.distinguished_name.push(DnType::CommonName, WEB)).0, "no alternative names"),
    ] {
        rejected_with(&pem, why);
    }
}

#[test]
fn p23_a_name_with_a_control_character_is_rejected() {
    for name in ["good.example\0.evil.example", "good.example\nURI:spiffe://x/y", "\u{7f}"] {
        let (pem, _) = certificate(&[WEB], |params| {
            params.subject_alt_names.push(SanType::DnsName(name.try_into().unwrap()));
        });
        rejected_with(&pem, "control character");
    }
    let uri = format!("{WEB}\0");
    rejected_with(&certificate(&[&uri], |_| {}).0, "not `source.principal`");
}

#[test]
fn p24_a_certificate_without_principal_is_rejected() {
    let (pem, _) = certificate(&[WEB], |_| {});
    assert!(show(&call().certificate(&pem), Certificate::Checked).contains("without `source.principal`"));
}

#[test]
fn p24_an_authority_is_not_a_workload() {
    let (pem, _) = certificate(&[WEB], |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    rejected_with(&pem, "authority");
}

#[test]
fn p26_a_certificate_out_of_its_time_is_rejected() {
    let between = |from: (i32, u8), to: (i32, u8)| {
        certificate(&[WEB], |params| {
            params.not_before = rcgen::date_time_ymd(from.0, from.1, 1);
            params.not_after = rcgen::date_time_ymd(to.0, to.1, 1);
        })
        .0
    };
    rejected_with(&between((2025, 1), (2025, 12)), "expired");
    rejected_with(&between((2026, 2), (2026, 3)), "not valid yet");
    let edge = call().principal(WEB).certificate(&between((2026, 1), (2026, 1)));
    assert_eq!(show(&edge, Certificate::Checked), WEB, "both ends of the validity belong to it");
}

#[test]
fn anything_but_one_certificate_is_rejected() {
    let (pem, _) = certificate(&[WEB], |_| {});
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for (text, why) in [
        ("garbage".to_owned(), "not URL-encoded PEM"),
        (key, "not URL-encoded PEM"),
        (format!("{pem}{pem}"), "followed by"),
        (format!("x{pem}"), "not URL-encoded PEM"),
        (pem.replace('M', "*"), "not "),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), "not X.509"),
        ("-----BEGIN CERTIFICATE-----\n".to_owned(), "not PEM"),
        ("A".repeat(70_000), "longer than"),
    ] {
        rejected_with(&text, why);
    }
}
