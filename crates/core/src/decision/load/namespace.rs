//! Loads one namespace: its new text, else its version in force, else no version and its calls are denied.
//!
//! Knows: one namespace and the platform. Must not know: other namespaces.

use std::cell::OnceCell;
use std::sync::Arc;

use super::base::Base;
use super::{Report, bounded};
use crate::decision::bundle::{Bundle, BundleError, Pace};
use crate::decision::snapshot::{Files, Namespace, Part, Platform, Refusal, Snapshot, digest};
use crate::problem::Problem;

/// What a namespace is loaded under.
pub(super) struct Under<'a> {
    pub(super) platform: &'a Platform,
    pub(super) base: &'a Base<'a>,
}

/// Why the new text is not in force.
enum Fault {
    Refused(Arc<Refusal>),
    Late,
}

/// A text that was loaded on this ground before is not loaded again, whatever came of it: an edit of the mesh then costs the
/// same whatever the namespaces hold.
pub(super) fn next(name: &str, files: &Arc<Files>, under: &Under<'_>, report: &mut Report) -> Part {
    let new_digest = digest(files.iter().map(|(path, text)| (path.as_str(), text.as_ref())));
    let is_misplaced = report.refused.contains(name);
    let loaded = under.base.versions(name, under.platform).find(|part| is_loaded(part) && part.digest == new_digest);
    if let (Some(part), false) = (loaded, is_misplaced) {
        return Part { refused: None, ..part.clone() };
    }
    // Begun where something is loaded, and not before.
    let begun = OnceCell::new();
    let late = || begun.get_or_init(|| (under.base.begin)(name, under.base.stakes(under.platform)))();
    let fault = match known_refusal(name, &new_digest, under) {
        _ if is_misplaced => Fault::Refused(Arc::new(Refusal { digest: new_digest.clone(), problems: Vec::new() })),
        Some(known) => Fault::Refused(known),
        None => match unit(name, files, under, &late) {
            Ok((unit, notes)) => {
                report.problems.extend(bounded(name, notes));
                let state = Namespace::Loaded(Arc::new(unit));
                return Part { state, files: Arc::clone(files), digest: new_digest, refused: None };
            }
            Err(BundleError::Faulty(problems)) => {
                let problems = bounded(name, problems);
                Fault::Refused(Arc::new(Refusal { digest: new_digest.clone(), problems }))
            }
            Err(BundleError::Late) => Fault::Late,
        },
    };
    let refused = match fault {
        Fault::Refused(refusal) => {
            report.refuse(name, refusal.problems.clone());
            Some(refusal)
        }
        Fault::Late => {
            report.postpone(name);
            None
        }
    };
    match kept(name, &new_digest, under, &late) {
        Ok(Some(part)) => Part { refused, ..part },
        Ok(None) => Part { state: Namespace::Invalid, files: Arc::clone(files), digest: new_digest, refused },
        Err(BundleError::Late) => {
            report.postpone(name);
            Part { state: Namespace::Invalid, files: Arc::clone(files), digest: new_digest, refused }
        }
        Err(BundleError::Faulty(problems)) => {
            let message = format!(
                "the version of `{name}` in force no longer fits catalogue, schema and facts: its calls are denied"
            );
            let help = "mend its policies, or bring back what they name; `picket validate` shows both before you ship";
            report.refuse(name, vec![Problem::error(format!("namespaces/{name}"), message).help(help)]);
            report.refuse(name, bounded(name, problems));
            Part { state: Namespace::Invalid, files: Arc::clone(files), digest: new_digest, refused }
        }
    }
}

fn is_loaded(part: &Part) -> bool {
    match part.state {
        Namespace::Loaded(_) => true,
        Namespace::Invalid => false,
    }
}

fn known_refusal(name: &str, digest: &str, under: &Under<'_>) -> Option<Arc<Refusal>> {
    let refusals = under.base.versions(name, under.platform).filter_map(|part| part.refused.as_ref());
    refusals.into_iter().find(|refusal| refusal.digest == digest).cloned()
}

/// The version in force, loaded again where the ground is new; `None` where there is none.
fn kept(name: &str, new_digest: &str, under: &Under<'_>, late: &dyn Fn() -> bool) -> Result<Option<Part>, BundleError> {
    let Some(old) = under.base.in_force(name).filter(|old| is_loaded(old)) else { return Ok(None) };
    let on_this_ground = |snapshot: &&Arc<Snapshot>| snapshot.platform().ground == under.platform.ground;
    if under.base.previous.is_some_and(|previous| on_this_ground(&previous)) {
        return Ok(Some(old.clone()));
    }
    if let Some(part) =
        under.base.versions(name, under.platform).find(|part| is_loaded(part) && part.digest == old.digest)
    {
        return Ok(Some(part.clone()));
    }
    if late() {
        return Err(BundleError::Late);
    }
    if old.digest == new_digest {
        // It is the very text that was just refused.
        return Err(BundleError::Faulty(Vec::new()));
    }
    let (unit, _) = unit(name, &old.files, under, late)?;
    let state = Namespace::Loaded(Arc::new(unit));
    Ok(Some(Part { state, files: Arc::clone(&old.files), digest: old.digest.clone(), refused: None }))
}

fn unit(
    name: &str,
    files: &Files,
    under: &Under<'_>,
    late: &dyn Fn() -> bool,
) -> Result<(Bundle, Vec<Problem>), BundleError> {
    let files: Vec<(&str, &Arc<str>)> = files.iter().map(|(path, text)| (path.as_str(), text)).collect();
    let mut notes = Vec::new();
    let pace = Pace { is_late: late, pause: under.base.pause };
    let unit = Bundle::load(name, &files, under.platform.validation(), &mut notes, pace)?;
    Ok((unit, notes))
}
