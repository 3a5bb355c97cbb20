//! The deadline of a check: our own timeout, or the shorter one of the proxy.

use std::time::Duration;

use tonic::metadata::MetadataMap;

/// Kept back of the proxy's own timeout, so that our answer arrives before it gives up.
const WAY_BACK: Duration = Duration::from_millis(10);

/// The shorter of `own` and what `grpc-timeout` leaves after the way back.
///
/// A malformed `grpc-timeout` is passed over: it comes from the proxy, and ours is a bound already.
pub(super) fn of(own: Duration, metadata: &MetadataMap) -> Duration {
    let theirs = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(parse);
    theirs.map_or(own, |theirs| own.min(theirs.saturating_sub(WAY_BACK)))
}

/// `TimeoutValue TimeoutUnit` of gRPC over HTTP/2: up to eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxys_timeout_only_ever_shortens_ours() {
        let own = Duration::from_millis(150);
        let rows = [
            ("200m", 150),
            ("160m", 150),
            ("100m", 90),
            ("10m", 0),
            ("1m", 0),
            ("0S", 0),
            ("50000u", 40),
            ("99999999H", 150),
            ("30000000n", 20),
            // Malformed ones.
            ("", 150),
            ("m", 150),
            ("5", 150),
            ("+5m", 150),
            ("5x", 150),
            ("123456789n", 150),
            ("5 m", 150),
        ];
        for (text, millis) in rows {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(of(own, &metadata), Duration::from_millis(millis), "{text:?}");
        }
        assert_eq!(of(own, &MetadataMap::new()), own);
    }
}
