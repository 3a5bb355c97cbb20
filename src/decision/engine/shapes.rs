//! Shapes that are in use, each kept once.
//!
//! Knows: that a shape follows from a reach. Must not know: whose reach it is.
//!
//! Most policies reach the same. Ten thousand prepared sets that walk one shape find it in the processor's caches; each
//! walking its own would wait for memory.

use std::sync::{Arc, Mutex, PoisonError};

use crate::decision::project::Shape;
use crate::decision::reach::Reach;

/// Most shapes that are looked for among those made before.
const SHAPES_MAX: usize = 32;

/// The shapes that were last made.
#[derive(Debug, Default)]
pub(super) struct Shapes(Mutex<Vec<(Reach, Arc<Shape>)>>);

impl Shapes {
    /// The shape of a reach.
    pub fn of(&self, reach: Reach) -> Arc<Shape> {
        let mut shapes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, shape)) = shapes.iter().find(|(known, _)| *known == reach) {
            return Arc::clone(shape);
        }
        let shape = Arc::new(Shape::new(&reach));
        if shapes.len() == SHAPES_MAX {
            shapes.remove(0);
        }
        shapes.push((reach, Arc::clone(&shape)));
        shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(itself: bool, whole_context: bool) -> Reach {
        let mut reach = Reach { whole_context, ..Reach::default() };
        reach.principal.itself = itself;
        reach
    }

    #[test]
    fn equal_reaches_share_a_shape_and_others_do_not() {
        let shapes = Shapes::default();
        let first = shapes.of(reach(true, false));
        assert!(Arc::ptr_eq(&first, &shapes.of(reach(true, false))));
        let others = [reach(false, false), reach(true, true)].map(|reach| shapes.of(reach));
        assert!(others.iter().all(|other| !Arc::ptr_eq(other, &first) && format!("{other:?}") != format!("{first:?}")));
    }

    #[test]
    fn no_more_are_kept_than_is_said() {
        let shapes = Shapes::default();
        for number in 0..2 * SHAPES_MAX {
            let mut reach = reach(false, false);
            reach.context.insert(vec![number.to_string()]);
            shapes.of(reach);
        }
        assert_eq!(shapes.0.lock().unwrap().len(), SHAPES_MAX);
    }
}
