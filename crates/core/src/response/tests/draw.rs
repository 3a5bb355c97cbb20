//! Numbers from a seed, and bodies in pieces.

/// Numbers from a seed (SplitMix64).
pub(super) struct Draw(u64);

impl Draw {
    /// Prints its seed; `RESPONSE_SEED=<seed>` draws the same again.
    pub fn new() -> Self {
        let fresh = uuid::Uuid::now_v7().as_u64_pair().1;
        let seed = number("RESPONSE_SEED").unwrap_or(fresh);
        println!("RESPONSE_SEED={seed}");
        Self(seed)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// The bytes in pieces of one to `longest`.
    pub fn pieces(&mut self, bytes: &[u8], longest: usize) -> Vec<Vec<u8>> {
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + self.below(longest)));
            pieces.push(piece.to_vec());
            rest = behind;
        }
        pieces
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// How many cases a property draws: `RESPONSE_CASES`, or its share of `cargo test`.
pub(super) fn cases(default: u64) -> u64 {
    number("RESPONSE_CASES").unwrap_or(default)
}
