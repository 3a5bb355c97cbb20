//! The compiled plans of services, so that a response does not wait for a compilation.
//!
//! Knows: policies by their generation, lists of detectors. Must not know: responses' bodies.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use smol_str::SmolStr;

use picket_core::content::automaton::TooCostly;
use picket_core::content::detector_set::DetectorSet;
use picket_core::decision::Snapshot;
use picket_core::query::Keys;
use picket_core::response::plan::Plan;

/// Most plans that are kept. There is one for each combination of lists that policies of a service have.
const PLANS_MAX: usize = 256;

/// The `@mask` lists of policies.
pub(super) type MaskLists = BTreeSet<BTreeSet<SmolStr>>;
type Lists = (MaskLists, BTreeSet<SmolStr>);

/// Plans by the lists of detectors that they look for. All are of one `detectors.yaml`.
#[derive(Debug, Default)]
pub(super) struct Plans(Mutex<Compiled>);

#[derive(Debug, Default)]
struct Compiled {
    /// The detectors that the plans below were compiled from.
    detectors: Option<Arc<DetectorSet>>,
    plans: HashMap<Lists, Arc<Plan>>,
}

impl Plans {
    /// The plan for the `@mask` lists and the detectors that policies of one snapshot read.
    ///
    /// # Errors
    /// [`TooCostly`]: the set of all detectors is compiled when their file is read, so a part of it fits.
    pub fn of(&self, snapshot: &Snapshot, masks: &MaskLists, tested: &Keys) -> Result<Arc<Plan>, TooCostly> {
        let detectors = snapshot.detectors();
        let tested = match tested {
            Keys::All => detectors.detectors().names().map(SmolStr::new).collect(),
            Keys::Some(names) => names.iter().map(SmolStr::new).collect(),
        };
        let lists = (masks.clone(), tested);
        let mut compiled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = compiled.detectors.as_ref().is_some_and(|known| Arc::ptr_eq(known, detectors));
        if !is_known || compiled.plans.len() >= PLANS_MAX {
            *compiled = Compiled { detectors: Some(Arc::clone(detectors)), plans: HashMap::new() };
        }
        if let Some(known) = compiled.plans.get(&lists) {
            return Ok(Arc::clone(known));
        }
        let plan = Arc::new(Plan::new(detectors.detectors(), &lists.0, &lists.1)?);
        compiled.plans.insert(lists, Arc::clone(&plan));
        Ok(plan)
    }
}
