//! The contract of masking responses.

mod apis;
mod calls;
mod documents;
mod draw;
mod events;
mod framing;
mod grpc;
mod guessed;
mod helpers;
mod limits;
mod mixed;
mod model;
mod nested;
mod properties;
mod rulings;
