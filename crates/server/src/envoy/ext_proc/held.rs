//! Limits the bytes of responses that are held in the process.
//!
//! Knows: numbers. Must not know: what is held, and why.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The limit of the process, and what is held of it.
#[derive(Debug)]
pub(super) struct HeldTotal {
    bytes_max: usize,
    bytes: AtomicUsize,
}

/// The process holds as many bytes as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl HeldTotal {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: AtomicUsize::new(0) }
    }

    /// Bytes that are held now.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What one response holds; given back at its end.
#[derive(Debug)]
pub(super) struct HeldShare {
    total: Arc<HeldTotal>,
    bytes: usize,
}

impl HeldShare {
    pub fn new(total: Arc<HeldTotal>) -> Self {
        Self { total, bytes: 0 }
    }

    /// Sets what the response holds now. An error changes nothing.
    pub fn set(&mut self, bytes: usize) -> Result<(), Full> {
        let (total, own) = (&self.total, self.bytes);
        let change = |held: usize| {
            let next = held.saturating_sub(own).saturating_add(bytes);
            (bytes <= own || next <= total.bytes_max).then_some(next)
        };
        total.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).map_err(|_held| Full)?;
        self.bytes = bytes;
        Ok(())
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        self.total.bytes.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

impl Drop for HeldShare {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_holds_no_more_than_its_limit_and_gives_everything_back() {
        let total = Arc::new(HeldTotal::new(10));
        let (mut one, mut two) = (HeldShare::new(Arc::clone(&total)), HeldShare::new(Arc::clone(&total)));
        assert_eq!((one.set(6), two.set(5), total.bytes()), (Ok(()), Err(Full), 6));
        assert_eq!((two.set(4), one.set(7), total.bytes()), (Ok(()), Err(Full), 10));
        assert_eq!((one.set(2), two.set(8), total.bytes()), (Ok(()), Ok(()), 10));
        drop(two);
        assert_eq!((total.bytes(), one.set(10)), (2, Ok(())));
        drop(one);
        assert_eq!(total.bytes(), 0);
    }
}
