//! Loads one namespace: its new text, else its active version, else no version and its calls are denied.
//!
//! Knows: one namespace and the platform. Must not know: other namespaces.

use std::cell::OnceCell;
use std::sync::Arc;

use super::base::Base;
use super::{Report, bounded};
use crate::decision::bundle::{Bundle, BundleError, Pace};
use crate::decision::snapshot::{Files, Namespace, NamespaceVersion, Platform, Refusal, Snapshot, digest};
use crate::problem::Problem;

/// The platform and the base of a namespace's load.
pub(super) struct LoadContext<'a> {
    pub(super) platform: &'a Platform,
    pub(super) base: &'a Base<'a>,
}

/// Why the new text is not active.
enum Fault {
    Refused(Arc<Refusal>),
    Late,
}

/// A text that was loaded under an equal platform is not loaded again, whether it was valid or not. So an edit of the
/// mesh costs the same however large the namespaces are.
pub(super) fn next(name: &str, files: &Arc<Files>, context: &LoadContext<'_>, report: &mut Report) -> NamespaceVersion {
    let new_digest = digest(files.iter().map(|(path, text)| (path.as_str(), text.as_ref())));
    let is_misplaced = report.refused.contains(name);
    let loaded =
        context.base.versions(name, context.platform).find(|part| is_loaded(part) && part.digest == new_digest);
    if let (Some(part), false) = (loaded, is_misplaced) {
        return NamespaceVersion { refused: None, ..part.clone() };
    }
    // Started when something is loaded, and not before.
    let begun = OnceCell::new();
    let late = || begun.get_or_init(|| (context.base.begin)(name, context.base.stakes(context.platform)))();
    let fault = match known_rejection(name, &new_digest, context) {
        _ if is_misplaced => Fault::Refused(Arc::new(Refusal { digest: new_digest.clone(), problems: Vec::new() })),
        Some(known) => Fault::Refused(known),
        None => match unit(name, files, context, &late) {
            Ok((unit, notes)) => {
                report.problems.extend(bounded(name, notes));
                let state = Namespace::Loaded(Arc::new(unit));
                return NamespaceVersion { state, files: Arc::clone(files), digest: new_digest, refused: None };
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
    match active_version(name, &new_digest, context, &late) {
        Ok(Some(part)) => NamespaceVersion { refused, ..part },
        Ok(None) => {
            NamespaceVersion { state: Namespace::Invalid, files: Arc::clone(files), digest: new_digest, refused }
        }
        Err(BundleError::Late) => {
            report.postpone(name);
            NamespaceVersion { state: Namespace::Invalid, files: Arc::clone(files), digest: new_digest, refused }
        }
        Err(BundleError::Faulty(problems)) => {
            let message = format!(
                "the active version of `{name}` no longer fits catalogue, schema and facts: its calls are denied"
            );
            let help =
                "fix its policies, or restore the names that they use; `picket validate` shows both before a rollout";
            report.refuse(name, vec![Problem::error(format!("namespaces/{name}"), message).help(help)]);
            report.refuse(name, bounded(name, problems));
            NamespaceVersion { state: Namespace::Invalid, files: Arc::clone(files), digest: new_digest, refused }
        }
    }
}

fn is_loaded(part: &NamespaceVersion) -> bool {
    match part.state {
        Namespace::Loaded(_) => true,
        Namespace::Invalid => false,
    }
}

fn known_rejection(name: &str, digest: &str, context: &LoadContext<'_>) -> Option<Arc<Refusal>> {
    let refusals = context.base.versions(name, context.platform).filter_map(|part| part.refused.as_ref());
    refusals.into_iter().find(|refusal| refusal.digest == digest).cloned()
}

/// The active version, loaded again if the platform is new; `None` without one.
fn active_version(
    name: &str,
    new_digest: &str,
    context: &LoadContext<'_>,
    late: &dyn Fn() -> bool,
) -> Result<Option<NamespaceVersion>, BundleError> {
    let Some(old) = context.base.active(name).filter(|old| is_loaded(old)) else { return Ok(None) };
    let fits_platform =
        |snapshot: &&Arc<Snapshot>| snapshot.platform().validation_digest == context.platform.validation_digest;
    if context.base.previous.is_some_and(|previous| fits_platform(&previous)) {
        return Ok(Some(old.clone()));
    }
    if let Some(part) =
        context.base.versions(name, context.platform).find(|part| is_loaded(part) && part.digest == old.digest)
    {
        return Ok(Some(part.clone()));
    }
    if late() {
        return Err(BundleError::Late);
    }
    if old.digest == new_digest {
        // It is the same text that was just rejected.
        return Err(BundleError::Faulty(Vec::new()));
    }
    let (unit, _) = unit(name, &old.files, context, late)?;
    let state = Namespace::Loaded(Arc::new(unit));
    Ok(Some(NamespaceVersion { state, files: Arc::clone(&old.files), digest: old.digest.clone(), refused: None }))
}

fn unit(
    name: &str,
    files: &Files,
    context: &LoadContext<'_>,
    late: &dyn Fn() -> bool,
) -> Result<(Bundle, Vec<Problem>), BundleError> {
    let files: Vec<(&str, &Arc<str>)> = files.iter().map(|(path, text)| (path.as_str(), text)).collect();
    let mut notes = Vec::new();
    let pace = Pace { is_late: late, pause: context.base.pause };
    let unit = Bundle::load(name, &files, context.platform.validation(), &mut notes, pace)?;
    Ok((unit, notes))
}
