//! A place and a token have many spellings, and none hides one.

use super::*;
use crate::call::Headers;

#[test]
fn a_place_has_many_spellings() {
    let settings = settings(By::Proxy, ForeignTokens::Rejected);
    let evil = Second::OtherSubject.text();
    let base = with_good(By::Proxy, At::Header);
    let calls = [
        base.clone().header("x_token", &evil),
        base.clone().header("x-token", &format!("Bearer {evil}")),
        with_good(By::Proxy, At::Cookie).header("cookie", &format!("sid={evil}")),
        base.clone().header("cookie", &format!("sid=\"{evil}\"")),
        base.clone().header("cookie", &format!("a=b;SID = {evil}")),
        base.clone().header("cookie", &format!("a=b,sid={evil}")),
        base.clone().header("cookie", &format!("s%69d={evil}")),
        with_query(base.clone(), &format!("t%6fk={evil}")),
        with_query(base.clone(), &format!("a=b;TOK={evil}")),
        with_query(base.clone(), &format!("a=b#TOK={evil}")),
        with_form(base.clone(), &format!("access_token#x={evil}")),
        with_query(base.clone(), &format!("access%5Ftoken={evil}")),
        with_query(base.clone(), &format!("access_token[]={evil}")),
        with_query(base.clone(), "access_token"),
        with_query(base.clone(), "%ff=1"),
        with_form(base.clone(), &format!("a=b&ACCESS-TOKEN={evil}")),
    ];
    for call in calls {
        assert_refused(&call, &settings, &format!("{call:?}"));
    }
    for text in
        [format!("{} {evil}", *GOOD), format!("{evil} {}", *GOOD), format!("{} x", *GOOD), format!("a b {}", *GOOD)]
    {
        for at in [At::Authorization, At::Header, At::Cookie] {
            assert_refused(&put(call().metadata("jwt", claims()), at, &text), &settings, &format!("{at:?} {text}"));
        }
    }
    let mut joined = base.clone();
    let value = format!("{},{evil}", *GOOD);
    joined.headers = Headers::joined([("x-token", value.as_bytes())]);
    assert_refused(&joined, &settings, "joined");
    let mut garbled = base.clone();
    garbled.headers = Headers::raw([("cookie", &b"sid=\xff"[..]), ("x-token", GOOD.as_bytes())]);
    assert_refused(&garbled, &settings, "not UTF-8");
    // The same token again, as browsers and proxies send it, is no second one.
    for call in [
        base.clone().header("x-token", &format!("Bearer {}", *GOOD)),
        base.clone().header("cookie", &format!("sid=\"{}\"; other=x", *GOOD)),
        base.clone().header("cookie", "sid=; other=eyJhbGciOiJub25lIn0.e30."),
        with_query(base.clone(), "q=access_token&token=x"),
        base.clone().header("x-other-token", &evil),
    ] {
        assert_eq!(show(&call, &settings), Ok(Some("user-1".to_owned())), "{call:?}");
    }
}

#[test]
fn authorization_presents_a_token_however_it_is_written() {
    let evil = Second::OtherSubject.text();
    let values = |token: &str| {
        [
            format!("bearer {token}"),
            format!("BEARER\t{token}"),
            format!("Bearer  {token}"),
            format!("Bearer{token}"),
            format!("Bearer:{token}"),
            format!("Bearer=\"{token}\""),
            format!("DPoP {token}"),
            format!("JWT {token}"),
            format!("Token token={token}"),
            format!("Basic eA== {token}"),
            token.to_owned(),
            format!("Bearer x,{token}"),
            format!("Basic x,Bearer {token}"),
            format!("Bearer {}, Bearer {token}", *GOOD),
            format!("Bearer {token}="),
        ]
    };
    for foreign in [ForeignTokens::Rejected, ForeignTokens::Absent] {
        let settings = settings(By::Proxy, foreign);
        for value in values(&evil).into_iter().chain(values(&Second::Unsigned.text())) {
            let call = call().header("authorization", &value);
            assert_refused(&call, &settings, &value);
            assert_refused(&call.metadata("jwt", claims()), &settings, &value);
        }
        for value in ["Basic dXNlcjpwYXNz", "Bearer opaque", "Bearer ", "Negotiate abc", "ey", "eyeyey.ey.ey", "x.y.z"]
        {
            let beside = with_good(By::Proxy, At::Header).header("authorization", value);
            assert_refused(&beside, &settings, value);
            let passed = Settings { other_credentials: OtherCredentials::Passed, ..settings.clone() };
            assert_eq!(show(&beside, &passed), Ok(Some("user-1".to_owned())), "{value}");
        }
    }
    // However much could begin one, it is looked at once.
    let many = format!("Basic {}.x.y", "ey".repeat(30_000));
    assert_refused(&call().header("authorization", &many), &settings(By::Us, ForeignTokens::Absent), "many");
}
