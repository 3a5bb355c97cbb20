//! The actions of the schema, each with its action groups.
//!
//! Knows: Cedar's core crate. Must not know: policies, calls.

use std::sync::Arc;

use cedar_policy::{Entities, Entity, Schema};
use cedar_policy_core::ast::{self, Eid};
use cedar_policy_core::entities::{self as ast_entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;

use crate::query::quick::Map;

/// Number of entities that a call usually adds: principal, resource, and bags.
const CALL_ENTITIES: usize = 6;

/// An action with its groups. Without them `action in Action::"write"` would silently stop matching, so every evaluated
/// store has them.
#[derive(Debug)]
pub struct Action {
    /// Its own entity and those of all groups above it.
    pub closure: Vec<Entity>,
    /// Its name.
    pub(in crate::decision) uid: Arc<ast::EntityUID>,
    /// A store of just the closure.
    pub(in crate::decision) store: ast_entities::Entities,
}

/// For each action, its own entity and those of all groups above it.
pub(super) fn closures(schema: &Schema) -> Result<Map<String, Action>, String> {
    let all = schema.action_entities().map_err(|error| error.to_string())?;
    let mut closures = Map::default();
    for action in all.iter() {
        let groups = all.ancestors(&action.uid()).into_iter().flatten().filter_map(|uid| all.get(uid)).cloned();
        let closure: Vec<Entity> = std::iter::once(action.clone()).chain(groups).collect();
        // Computed here once, by Cedar's public interface, and not per call.
        let store = Entities::from_entities(closure.iter().cloned(), None).map_err(|error| error.to_string())?;
        let store: &ast_entities::Entities = store.as_ref();
        let uid: ast::EntityUID = action.uid().into();
        let id = action.uid().id().unescaped().to_owned();
        let store = with_capacity_for_call(store.clone(), uid.entity_type())?;
        closures.insert(id, Action { closure, uid: Arc::new(uid), store });
    }
    Ok(closures)
}

/// The same store with capacity for a call's entities, so that a copy need not grow: hash tables keep their capacity
/// when an entry is removed, and when they are copied.
fn with_capacity_for_call(
    store: ast_entities::Entities,
    kind: &ast::EntityType,
) -> Result<ast_entities::Entities, String> {
    let named = |number: usize| ast::EntityUID::from_components(kind.clone(), Eid::new(format!("room/{number}")), None);
    let (schema, closed) = (None::<&NoEntitiesSchema>, TCComputation::AssumeAlreadyComputed);
    let placeholders = (0..CALL_ENTITIES).map(|number| Arc::new(ast::Entity::with_uid(named(number))));
    let full = store.add_entities(placeholders, schema, closed, Extensions::all_available());
    let full = full.map_err(|error| error.to_string())?;
    full.remove_entities((0..CALL_ENTITIES).map(named), closed).map_err(|error| error.to_string())
}
