//! Facts of a check that are known before it is decoded.

use super::*;

#[test]
fn the_outline_needs_no_valid_check() {
    let request = check("GET", "/../x", &[("content-type", "Application/grpc+proto"), ("x-request-id", "r-1")]);
    let of = |request: &CheckRequest| format!("{:?}", outline(&CheckView::of(request)));
    let grpc = Outline { caller: Caller::Grpc, request_id: Some("r-1"), trace_parent: None };
    assert_eq!(of(&request), format!("{grpc:?}"));
    let nothing = format!("{:?}", Outline::default());
    assert_eq!(of(&joined(&[("x-request-id", "a\nb")])), nothing);
    let twice = check("GET", "/", &[("traceparent", "a"), ("traceparent", "b")]);
    assert_eq!((of(&twice), code(twice)), (nothing.clone(), None));
    assert_eq!(outline(&CheckView::of(&joined(&[("content-type", "application/json")]))).caller, Caller::Http);
    assert_eq!(of(&CheckRequest::default()), nothing);
}

#[test]
fn of_equal_names_in_a_map_the_last_counts() {
    let parts = ["1", "2"].map(|value| {
        let mut part = joined(&[("x-request-id", value)]);
        part.attributes.as_mut().unwrap().context_extensions = [("service".to_owned(), value.to_owned())].into();
        part.encode_to_vec()
    });
    // Protobuf merges messages that follow one another.
    let bytes = parts.concat().into();
    let sent = CheckView::read(&bytes).unwrap();
    assert_eq!(outline(&sent).request_id, Some("2"));
    let call = call(&sent, Limits::default(), UnixMillis(1)).unwrap();
    assert_eq!(call.headers.all("x-request-id").collect::<Vec<_>>(), [b"2"]);
    assert_eq!(call.extensions.get("service").map(String::as_str), Some("2"));
}
