//! gRPC by hand, for what a good client would not send.

use envoy_types::pb::envoy::service::auth::v3::CheckResponse;
use prost::Message as _;
use tonic::Code;

/// Path of the one method there is.
pub const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// A connection that sends any bytes.
pub struct Raw {
    client: reqwest::Client,
    address: String,
}

/// The answer.
#[derive(Debug)]
pub struct Answer {
    /// `grpc-status`, where the answer has nothing but headers.
    pub code: Option<Code>,
    /// The first message.
    pub message: Option<Vec<u8>>,
}

impl Answer {
    #[track_caller]
    pub fn check_response(&self) -> CheckResponse {
        let message = self.message.as_ref().unwrap_or_else(|| panic!("no message came: {:?}", self.code));
        CheckResponse::decode(message.as_slice()).unwrap()
    }
}

impl Raw {
    pub fn new(address: &str) -> Self {
        let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
        Self { client, address: address.to_owned() }
    }

    /// Calls a method with one message.
    pub async fn call(&self, path: &str, message: &[u8], timeout: Option<&str>) -> Answer {
        let mut frame = vec![0];
        frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(message);
        let request = self.client.post(format!("http://{}{path}", self.address)).body(frame);
        let mut request = request.header("content-type", "application/grpc").header("te", "trailers");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let answer = request.send().await.unwrap();
        let code = answer.headers().get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
        let body = answer.bytes().await.unwrap_or_default();
        Answer { code, message: body.get(5..).map(<[u8]>::to_vec) }
    }
}
