//! Maps a client to a value by the id in its certificate.
//!
//! Knows: the id that a verified certificate names. Must not know: what the values are.
//!
//! The value is looked up once a connection. The id comes from the handshake, so nothing in a check, which a caller can
//! shape, can change it.

use super::peers::AllowedClients;
use super::socket::Peer;

/// One value for all clients, and others for some of them.
#[derive(Debug, Clone)]
pub struct ByClient<T> {
    rows: Vec<(AllowedClients, T)>,
    others: T,
}

impl<T> ByClient<T> {
    /// The first row that names the client counts; a client that no row names gets `others`.
    #[must_use]
    pub fn new(rows: Vec<(AllowedClients, T)>, others: T) -> Self {
        Self { rows, others }
    }

    /// The value of this client. No row names a client without a verified certificate.
    #[must_use]
    pub fn of(&self, peer: &Peer) -> &T {
        match peer {
            Peer::Tcp(_) | Peer::Unix => &self.others,
            Peer::Workload(id) => {
                self.rows.iter().find(|(peers, _)| peers.names(id)).map_or(&self.others, |(_, chosen)| chosen)
            }
        }
    }

    /// The same rows with each value converted.
    #[must_use]
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> ByClient<U> {
        let rows = self.rows.into_iter().map(|(peers, thing)| (peers, make(thing))).collect();
        ByClient { rows, others: make(self.others) }
    }
}

impl<T> From<T> for ByClient<T> {
    fn from(others: T) -> Self {
        Self::new(Vec::new(), others)
    }
}

#[cfg(test)]
mod tests {
    use super::super::peers::Settings;
    use super::*;
    use picket_core::identity::SpiffeId;

    fn peers(ids: &[&str], namespaces: &[&str]) -> AllowedClients {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        AllowedClients::new(&Settings { spiffe_ids: owned(ids), namespaces: owned(namespaces), ..Settings::default() })
    }

    #[test]
    fn the_first_row_that_names_a_client_counts_and_others_get_no_row() {
        let gateway = "spiffe://td/ns/edge/sa/gateway";
        let choice =
            ByClient::new(vec![(peers(&[gateway], &[]), "gateway"), (peers(&[], &["td/edge"]), "edge")], "others");
        let workload = |id: &str| Peer::Workload(SpiffeId::parse(id).unwrap());
        for (peer, expected) in [
            (workload(gateway), "gateway"),
            (workload("spiffe://td/ns/edge/sa/gateway2"), "edge"),
            (workload("spiffe://td/ns/edge2/sa/gateway"), "others"),
            (workload("spiffe://td2/ns/edge/sa/gateway"), "others"),
            (workload("spiffe://td/edge"), "others"),
            (Peer::Unix, "others"),
            (Peer::Tcp(([127, 0, 0, 1], 1).into()), "others"),
        ] {
            assert_eq!(*choice.of(&peer), expected, "{peer:?}");
            assert_eq!(*choice.clone().map(str::len).of(&peer), expected.len(), "{peer:?}");
        }
    }
}
