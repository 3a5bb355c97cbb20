//! Whole answers. If one changed on purpose: `UPDATE_EXPECT=1 cargo test --lib goldens`, and say why in the commit.

use expect_test::{Expect, expect};

use super::*;
use crate::envoy::json;

fn golden(result: Result<Effect, Code>, caller: Caller, expected: Expect) {
    let answer = answer(judgement(result), Some(&get(&[("x-picket-user", "admin")])), caller);
    expected.assert_eq(&serde_json::to_string_pretty(&json::check_response(&answer.response().unwrap())).unwrap());
}

#[test]
fn an_allow_sets_its_status_and_carries_its_mutations() {
    let mutations = Mutations {
        set_headers: map([("x-caller", "a b")]),
        remove_headers: names(["cookie"]),
        response_headers: map([("x-seen", "1")]),
        set_query: map([("tenant", "a%20b")]),
        remove_query: names(["debug"]),
        metadata: map([("team", "web")]),
        log_full: false,
    };
    golden(
        Ok(Effect::Allow(mutations)),
        Caller::Http,
        expect![[r#"
            {
              "dynamicMetadata": {
                "decision": "allow",
                "decision_id": "00000000-0000-0000-0000-000000007f3c",
                "digests": {
                  "mesh": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                },
                "policies": [
                  "shop/a"
                ],
                "reason": "policy_permit",
                "service": "shop/orders",
                "team": "web"
              },
              "okResponse": {
                "headers": [
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "x-caller",
                      "value": "a b"
                    }
                  }
                ],
                "headersToRemove": [
                  "cookie",
                  "x-picket-user"
                ],
                "queryParametersToRemove": [
                  "debug"
                ],
                "queryParametersToSet": [
                  {
                    "key": "tenant",
                    "value": "a%20b"
                  }
                ],
                "responseHeadersToAdd": [
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "x-seen",
                      "value": "1"
                    }
                  }
                ]
              },
              "status": {
                "code": 0
              }
            }"#]],
    );
}

#[test]
fn a_denial_is_a_denied_response() {
    golden(
        Ok(Effect::Deny(denial(Some(404), Some("outside_task")))),
        Caller::Http,
        expect![[r#"
            {
              "deniedResponse": {
                "body": "{\"decision_id\":\"00000000-0000-0000-0000-000000007f3c\",\"reason\":\"outside_task\",\"title\":\"Not Found\"}",
                "headers": [
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "cache-control",
                      "value": "no-store"
                    }
                  },
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "x-picket-decision-id",
                      "value": "00000000-0000-0000-0000-000000007f3c"
                    }
                  },
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "content-type",
                      "value": "application/problem+json"
                    }
                  }
                ],
                "status": {
                  "code": 404
                }
              },
              "dynamicMetadata": {
                "decision": "deny",
                "decision_id": "00000000-0000-0000-0000-000000007f3c",
                "digests": {
                  "mesh": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                },
                "policies": [
                  "shop/a"
                ],
                "reason": "policy_forbid",
                "service": "shop/orders"
              },
              "status": {
                "code": 7
              }
            }"#]],
    );
}

#[test]
fn a_grpc_caller_reads_a_message() {
    golden(
        Ok(Effect::Deny(denial(Some(404), None))),
        Caller::Grpc,
        expect![[r#"
            {
              "deniedResponse": {
                "body": "denied (decision 00000000-0000-0000-0000-000000007f3c)",
                "headers": [
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "cache-control",
                      "value": "no-store"
                    }
                  },
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "x-picket-decision-id",
                      "value": "00000000-0000-0000-0000-000000007f3c"
                    }
                  }
                ],
                "status": {
                  "code": 403
                }
              },
              "dynamicMetadata": {
                "decision": "deny",
                "decision_id": "00000000-0000-0000-0000-000000007f3c",
                "digests": {
                  "mesh": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                },
                "policies": [
                  "shop/a"
                ],
                "reason": "policy_forbid",
                "service": "shop/orders"
              },
              "status": {
                "code": 7
              }
            }"#]],
    );
}

#[test]
fn a_challenge_names_the_way_to_an_allow() {
    let challenge = Challenge::StepUp { acr: Some("phr".to_owned()), max_age_seconds: Some(300) };
    golden(
        Ok(Effect::Challenge(challenge, denial(None, None))),
        Caller::Http,
        expect![[r#"
            {
              "deniedResponse": {
                "body": "{\"decision_id\":\"00000000-0000-0000-0000-000000007f3c\",\"remedy\":{\"acr_values\":\"phr\",\"kind\":\"step_up\",\"max_age\":300},\"title\":\"Unauthorized\"}",
                "headers": [
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "cache-control",
                      "value": "no-store"
                    }
                  },
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "x-picket-decision-id",
                      "value": "00000000-0000-0000-0000-000000007f3c"
                    }
                  },
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "content-type",
                      "value": "application/problem+json"
                    }
                  },
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "www-authenticate",
                      "value": "Bearer error=\"insufficient_user_authentication\", error_description=\"a stronger or more recent login is needed\", acr_values=\"phr\", max_age=\"300\""
                    }
                  }
                ],
                "status": {
                  "code": 401
                }
              },
              "dynamicMetadata": {
                "decision": "challenge",
                "decision_id": "00000000-0000-0000-0000-000000007f3c",
                "digests": {
                  "mesh": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                },
                "policies": [
                  "shop/a"
                ],
                "reason": "policy_forbid",
                "service": "shop/orders"
              },
              "status": {
                "code": 16
              }
            }"#]],
    );
}

#[test]
fn our_own_trouble_is_a_503_with_its_code() {
    golden(
        Err(Code::Deadline),
        Caller::Http,
        expect![[r#"
            {
              "deniedResponse": {
                "body": "{\"decision_id\":\"00000000-0000-0000-0000-000000007f3c\",\"reason\":\"deadline\",\"title\":\"Service Unavailable\"}",
                "headers": [
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "cache-control",
                      "value": "no-store"
                    }
                  },
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "x-picket-decision-id",
                      "value": "00000000-0000-0000-0000-000000007f3c"
                    }
                  },
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "content-type",
                      "value": "application/problem+json"
                    }
                  },
                  {
                    "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": {
                      "key": "retry-after",
                      "value": "1"
                    }
                  }
                ],
                "status": {
                  "code": 503
                }
              },
              "dynamicMetadata": {
                "decision": "error",
                "decision_id": "00000000-0000-0000-0000-000000007f3c",
                "digests": {
                  "mesh": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                },
                "policies": [],
                "reason": "deadline",
                "service": "shop/orders"
              },
              "status": {
                "code": 14
              }
            }"#]],
    );
}
