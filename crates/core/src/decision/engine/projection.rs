//! Projects a query onto a read set: as a cache key for a decision, and as inputs of the evaluator.
//!
//! Knows: queries, and read sets in a form that is quick to walk. Must not know: Cedar, caches.
//!
//! A [`Projected`] query borrows; nothing is copied to write a key. Key and inputs walk the same [`Projected`], so the
//! key contains every input of an evaluation.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::decision::read_set::{EntityReadSet, Path, ReadSet};
use crate::query::{Keys, Node, Query, Record, Uid, Value, bytes_elsewhere};

mod cache_key;

/// A read set in a form that is walked along a query.
#[derive(Debug, Default)]
pub struct Projection {
    principal: EntityProjection,
    resource: EntityProjection,
    context: Tree,
    bags: Bags,
}

/// The names of a record in the read set.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tree {
    /// All of them, with everything below.
    Whole,
    /// Just these, each with a tree of its own.
    Names(BTreeMap<String, Tree>),
}

#[derive(Debug, Default)]
struct EntityProjection {
    attributes: Tree,
    tags: Tree,
    ancestors: Ancestors,
    /// The id is compared, not only tested for membership.
    itself: bool,
}

#[derive(Debug)]
enum Ancestors {
    /// All ancestors.
    All,
    /// Those that conditions name. Those that scopes name were tested when the policies were selected.
    Named(Vec<Uid>),
}

#[derive(Debug)]
enum Bags {
    /// Every bag with all its tags.
    All,
    /// The bags at these paths of the context, each with these tags.
    At(Vec<(Path, Tree)>),
}

impl Default for Tree {
    fn default() -> Self {
        Self::Names(BTreeMap::new())
    }
}

impl Default for Ancestors {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl Default for Bags {
    fn default() -> Self {
        Self::At(Vec::new())
    }
}

impl Tree {
    fn of_paths<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut tree = Self::default();
        paths.into_iter().for_each(|path| tree.add(path));
        tree
    }

    fn of_keys(keys: &Keys) -> Self {
        match keys {
            Keys::All => Self::Whole,
            Keys::Some(keys) => Self::Names(keys.iter().map(|key| (key.clone(), Self::Whole)).collect()),
        }
    }

    /// Returns whether the read set has nothing of the record.
    fn is_empty(&self) -> bool {
        match self {
            Self::Whole => false,
            Self::Names(names) => names.is_empty(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Whole => 0,
            Self::Names(names) => names.iter().map(|(name, below)| name.len() + 64 + below.bytes()).sum(),
        }
    }

    fn add(&mut self, path: &[String]) {
        match (&mut *self, path.split_first()) {
            (Self::Whole, _) => {}
            (Self::Names(_), None) => *self = Self::Whole,
            (Self::Names(names), Some((first, below))) => names.entry(first.clone()).or_default().add(below),
        }
    }
}

impl Projection {
    /// The projection onto a read set.
    #[must_use]
    pub fn new(read_set: &ReadSet) -> Self {
        let (context, bags) = if read_set.whole_context {
            (Tree::Whole, Bags::All)
        } else {
            // A bag is looked up by the value at its path, so the path is in the read set as well.
            let context = Tree::of_paths(read_set.context.iter().chain(read_set.bags.keys()));
            let bags = read_set.bags.iter().map(|(path, keys)| (path.clone(), Tree::of_keys(keys)));
            (context, Bags::At(bags.collect()))
        };
        Self {
            principal: EntityProjection::new(&read_set.principal),
            resource: EntityProjection::new(&read_set.resource),
            context,
            bags,
        }
    }

    /// Roughly how much memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bags = match &self.bags {
            Bags::All => 0,
            Bags::At(bags) => bags.iter().map(|(_, tree)| 128 + tree.bytes()).sum(),
        };
        self.principal.bytes() + self.resource.bytes() + self.context.bytes() + bags
    }

    /// Projects a query.
    #[must_use]
    pub fn project<'a>(&'a self, query: &'a Query) -> Projected<'a> {
        Projected { query, projection: self }
    }
}

impl EntityProjection {
    fn new(read_set: &EntityReadSet) -> Self {
        let ancestors = if read_set.whole || read_set.all_ancestors {
            Ancestors::All
        } else {
            Ancestors::Named(read_set.within.iter().cloned().collect())
        };
        let (attributes, tags) = if read_set.whole {
            (Tree::Whole, Tree::Whole)
        } else {
            (Tree::of_paths(&read_set.paths), Tree::of_keys(&read_set.tags))
        };
        Self { attributes, tags, ancestors, itself: read_set.itself }
    }

    fn bytes(&self) -> usize {
        let names: &[Uid] = match &self.ancestors {
            Ancestors::All => &[],
            Ancestors::Named(within) => within,
        };
        let names: usize =
            names.iter().map(|uid| size_of::<Uid>() + bytes_elsewhere(&uid.kind) + bytes_elsewhere(&uid.id)).sum();
        names + self.attributes.bytes() + self.tags.bytes()
    }
}

/// The part of a query in the read set.
#[derive(Debug, Clone, Copy)]
pub struct Projected<'a> {
    query: &'a Query,
    projection: &'a Projection,
}

/// The part of an entity in the read set.
#[derive(Debug, Clone, Copy)]
pub struct ProjectedEntity<'a> {
    node: &'a Node,
    projection: &'a EntityProjection,
}

/// The part of a record in the read set.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    record: &'a Record,
    /// `None` for all of it.
    names: Option<&'a BTreeMap<String, Tree>>,
}

/// Approximate size of a query: an upper bound for every text, set and record in it.
pub(in crate::decision) fn query_bytes(query: &Query) -> usize {
    let mut read_set = ReadSet { whole_context: true, ..ReadSet::default() };
    (read_set.principal.whole, read_set.resource.whole) = (true, true);
    Projection::new(&read_set).project(query).bytes()
}

/// The part of a value in the read set.
#[derive(Debug, Clone, Copy)]
pub enum ProjectedValue<'a> {
    /// All of it.
    Whole(&'a Value),
    /// A record with only some names in the read set. It is present even if it has none of them: `has` tests the record
    /// itself.
    Part(Fields<'a>),
}

impl<'a> Projected<'a> {
    /// The principal.
    #[must_use]
    pub fn principal(&self) -> ProjectedEntity<'a> {
        ProjectedEntity { node: &self.query.principal, projection: &self.projection.principal }
    }

    /// The resource.
    #[must_use]
    pub fn resource(&self) -> ProjectedEntity<'a> {
        ProjectedEntity { node: &self.query.resource, projection: &self.projection.resource }
    }

    /// Id of the action.
    #[must_use]
    pub fn action(&self) -> &'a str {
        &self.query.action
    }

    /// The context.
    #[must_use]
    pub fn context(&self) -> Fields<'a> {
        Fields::new(&self.query.context, &self.projection.context)
    }

    /// Bags in the read set, each with its tags; a bag may occur twice, with different tags.
    pub fn bags(&self) -> impl Iterator<Item = (&'a Uid, Fields<'a>)> + use<'a> {
        let (query, projection) = (self.query, self.projection);
        let (all, at): (&[Node], &[(Path, Tree)]) = match &projection.bags {
            Bags::All => (&query.bags, &[]),
            Bags::At(paths) => (&[], paths),
        };
        let named = at.iter().filter_map(|(path, tags)| {
            let bag = bag_at(query, path)?;
            Some((&bag.uid, Fields::new(&bag.tags, tags)))
        });
        all.iter().map(|bag| (&bag.uid, Fields { record: &bag.tags, names: None })).chain(named)
    }

    /// Approximate size of the projection: an upper bound for every text, set and record in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let mut key = Vec::with_capacity(512);
        self.write_key(&mut key);
        key.len() + self.name_bytes()
    }

    /// Length of the names of principal and resource, which a key omits if only scopes test them.
    #[must_use]
    pub fn name_bytes(&self) -> usize {
        [self.principal(), self.resource()].into_iter().map(|node| node.uid().id.len()).sum()
    }

    /// Writes all inputs of an evaluation, so that queries with different projections have different keys.
    pub fn write_key(&self, out: &mut Vec<u8>) {
        cache_key::write(self, out);
    }
}

fn bag_at<'a>(query: &'a Query, path: &Path) -> Option<&'a Node> {
    let (first, below) = path.split_first()?;
    let mut value = query.context.get(first.as_str())?;
    for name in below {
        let Value::Record(record) = value else { return None };
        value = record.get(name.as_str())?;
    }
    match value {
        Value::Entity(uid) => query.bags.iter().find(|bag| bag.uid == *uid),
        _ => None,
    }
}

impl<'a> ProjectedEntity<'a> {
    /// Its name.
    #[must_use]
    pub fn uid(&self) -> &'a Uid {
        &self.node.uid
    }

    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> Fields<'a> {
        Fields::new(&self.node.attributes, &self.projection.attributes)
    }

    /// Its tags.
    #[must_use]
    pub fn tags(&self) -> Fields<'a> {
        Fields::new(&self.node.tags, &self.projection.tags)
    }

    /// Returns whether only its name is in the read set.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        let EntityProjection { attributes, tags, ancestors, itself: _ } = self.projection;
        let unasked = match ancestors {
            Ancestors::All => false,
            Ancestors::Named(within) => within.is_empty(),
        };
        unasked && [attributes, tags].into_iter().all(Tree::is_empty)
    }

    /// Its ancestors.
    pub fn ancestors(&self) -> impl Iterator<Item = &'a Uid> + use<'a> {
        let node = self.node;
        let (all, within): (_, &[Uid]) = match &self.projection.ancestors {
            Ancestors::All => (Some(&node.ancestors), &[]),
            Ancestors::Named(within) => (None, within),
        };
        // A caller may be in very many groups, of which policies name few: walk the policies' names.
        let named = within.iter().filter(|uid| node.ancestors.contains(uid));
        all.into_iter().flatten().chain(named).filter(|uid| **uid != node.uid)
    }
}

impl<'a> Fields<'a> {
    fn new(record: &'a Record, tree: &'a Tree) -> Self {
        let names = match tree {
            Tree::Whole => None,
            Tree::Names(names) => Some(names),
        };
        Self { record, names }
    }

    /// Calls `work` for every field in the read set, by name.
    ///
    /// # Errors
    /// The first error of `work`.
    pub fn try_each<E>(self, mut work: impl FnMut(&'a SmolStr, ProjectedValue<'a>) -> Result<(), E>) -> Result<(), E> {
        let Some(names) = self.names else {
            return self.record.iter().try_for_each(|(name, value)| work(name, ProjectedValue::Whole(value)));
        };
        names.iter().try_for_each(|(name, tree)| {
            let found = self.record.find_index(name.as_str()).ok().and_then(|at| self.record.get_indexed(at));
            found.map_or(Ok(()), |(name, value)| work(name, ProjectedValue::new(value, tree)))
        })
    }
}

impl<'a> From<&'a Record> for Fields<'a> {
    fn from(record: &'a Record) -> Self {
        Self { record, names: None }
    }
}

impl<'a> ProjectedValue<'a> {
    fn new(value: &'a Value, tree: &'a Tree) -> Self {
        match (value, tree) {
            (Value::Record(record), Tree::Names(names)) => Self::Part(Fields { record, names: Some(names) }),
            // A value without names is in the read set as a whole, however far the path continues below it.
            (whole, Tree::Whole | Tree::Names(_)) => Self::Whole(whole),
        }
    }
}
