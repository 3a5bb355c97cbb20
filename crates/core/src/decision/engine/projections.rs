//! Shares equal projections between prepared policy sets.
//!
//! Knows: that a projection follows from a read set. Must not know: the policies behind a read set.
//!
//! Most policies have the same read set. Ten thousand prepared sets that share one projection find it in the CPU's
//! caches; with a projection each they would wait for memory.

use std::sync::{Arc, Mutex, PoisonError};

use super::projection::Projection;
use crate::decision::read_set::ReadSet;

/// Most projections that are cached and compared.
const PROJECTIONS_MAX: usize = 32;

/// The latest projections.
#[derive(Debug, Default)]
pub(super) struct Projections(Mutex<Vec<(ReadSet, Arc<Projection>)>>);

impl Projections {
    /// The projection of a read set.
    pub fn of(&self, read_set: ReadSet) -> Arc<Projection> {
        let mut projections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, projection)) = projections.iter().find(|(known, _)| *known == read_set) {
            return Arc::clone(projection);
        }
        let projection = Arc::new(Projection::new(&read_set));
        if projections.len() == PROJECTIONS_MAX {
            projections.remove(0);
        }
        projections.push((read_set, Arc::clone(&projection)));
        projection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_set(itself: bool, whole_context: bool) -> ReadSet {
        let mut read_set = ReadSet { whole_context, ..ReadSet::default() };
        read_set.principal.itself = itself;
        read_set
    }

    #[test]
    fn equal_read_sets_share_a_projection_and_others_do_not() {
        let projections = Projections::default();
        let first = projections.of(read_set(true, false));
        assert!(Arc::ptr_eq(&first, &projections.of(read_set(true, false))));
        let others = [read_set(false, false), read_set(true, true)].map(|read_set| projections.of(read_set));
        assert!(others.iter().all(|other| !Arc::ptr_eq(other, &first) && format!("{other:?}") != format!("{first:?}")));
    }

    #[test]
    fn no_more_projections_are_cached_than_the_limit() {
        let projections = Projections::default();
        for number in 0..2 * PROJECTIONS_MAX {
            let mut read_set = read_set(false, false);
            read_set.context.insert(vec![number.to_string()]);
            projections.of(read_set);
        }
        assert_eq!(projections.0.lock().unwrap().len(), PROJECTIONS_MAX);
    }
}
