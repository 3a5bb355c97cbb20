//! One row per rule of the canonical URI.

use super::canonical;

#[test]
fn a_canonical_uri_stays_what_it_is() {
    let cases = [
        "ticket://4711/attachments/1",
        "ticket://CHG0048213",
        "ticket://4711:80/x",
        "file:///etc/hosts",
        "file:///",
        "urn:isbn:0451450523",
        "mailto:ana@prod.example",
        "docs:guide/start",
        "https://docs.example/a/b",
        "https://docs.example:8443/a",
        "http://10.4.7.9/x",
        "note://x/%C3%BC%20b",
        "note://x/c%23",
        "note://x/100%25",
        "note://x/a.b/..c/.../.d",
        "note://x?q=a%26b%3Dc&d=/e//f..",
        "a+b-c.d://x",
    ];
    for uri in cases {
        assert_eq!(canonical(uri).as_deref(), Ok(uri));
    }
}

#[test]
fn one_slash_at_the_end_is_dropped() {
    for (uri, expected) in [
        ("ticket://4711/", "ticket://4711"),
        ("ticket://4711/a/", "ticket://4711/a"),
        ("docs:a/b/", "docs:a/b"),
        ("file:///etc/", "file:///etc"),
    ] {
        assert_eq!(canonical(uri).as_deref(), Ok(expected));
        assert_eq!(canonical(expected).as_deref(), Ok(expected), "not a fixed point");
    }
}

#[test]
fn text_that_another_reader_could_change_is_rejected() {
    let cases = [
        "",
        "x",
        ":",
        "x:",
        "x://",
        "x://?q",
        "//a/b",
        "/etc/hosts",
        "Ticket://4711",
        "1x://a",
        "x y://a",
        "file:/etc",
        "x:/a",
        "x:./a",
        "x:../a",
        "x:..",
        "ticket://4711/../4712",
        "ticket://4711/..",
        "ticket://4711/./a",
        "ticket://4711/a/.",
        "ticket://../a",
        "ticket://4711/a?/../4712",
        "ticket://4711/a?b/..",
        "ticket://4711/a?./b",
        "ticket://4711/%2e%2e/4712",
        "ticket://4711/%2E%2E/4712",
        "ticket://4711/.%2E/4712",
        "ticket://4711//a",
        "ticket://4711/a//",
        "ticket:////4711",
        "ticket://4711/a/?q",
        "ticket://4711/?q",
    ];
    all_refused(&cases);
}

#[test]
fn escapes_and_authorities_have_one_spelling() {
    let cases = [
        "ticket://4711/a%2Fb",
        "ticket://4711/a%2fb",
        "ticket://4711/a%5Cb",
        "ticket://4711/a\\..\\b",
        "ticket://4711/a%3Bb",
        "ticket://4711/..;/b",
        "ticket://4711/%41",
        "ticket://4711/%c3%bc",
        "ticket://4711/ü",
        "ticket://4711/%C0%AF",
        "ticket://4711/%FF",
        "ticket://4711/%252e",
        "ticket://4711/%00",
        "ticket://4711/%0A",
        "ticket://4711/%7F",
        "ticket://4711/%C2%85",
        "ticket://4711/a\tb",
        "ticket://4711/a b",
        "ticket://4711/%",
        "ticket://4711/%4",
        "ticket://4711/%zz",
        "ticket://4711/a%3Ab",
        "ticket://4711/#f",
        "ticket://4711/[x]",
        "ticket://4711/{x}",
        "ticket://u@4711/x",
        "ticket://u%404711/x",
        "ticket://4711:/x",
        "https://Docs.example/a",
        "https://docs.example:443/a",
        "https://docs.example:08443/a",
        "https://docs.example./a",
        "http://0x7f.1/a",
        "http://127.1/a",
        "http://127.0.0.01/a",
        "file://localhost/etc",
        "file://host/etc",
    ];
    all_refused(&cases);
    assert!(canonical(&format!("x://a/{}", "b".repeat(2048))).is_err());
    assert!(canonical(&format!("x://a{}", "/b".repeat(32))).is_ok());
    assert!(canonical(&format!("x://a{}", "/b".repeat(33))).is_err());
}

fn all_refused(uris: &[&str]) {
    for uri in uris {
        assert!(canonical(uri).is_err(), "{uri} became {:?}", canonical(uri));
    }
}
