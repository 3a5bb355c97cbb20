//! The sample policies, as they were in `policies/` when this binary was built.

use std::io;

use super::folder::Folder;
use super::scenario::Scenario;

const FILES: &[(&str, &str)] = &[
    ("catalog.yaml", include_str!("../../../policies/catalog.yaml")),
    ("schema.cedarschema", include_str!("../../../policies/schema.cedarschema")),
    ("facts.cedarschema", include_str!("../../../policies/facts.cedarschema")),
    ("mesh/guardrails.cedar", include_str!("../../../policies/mesh/guardrails.cedar")),
    ("mesh/probes.cedar", include_str!("../../../policies/mesh/probes.cedar")),
    ("mesh/release.cedar", include_str!("../../../policies/mesh/release.cedar")),
    ("mesh/tokens.cedar", include_str!("../../../policies/mesh/tokens.cedar")),
    ("namespaces/pay/billing.cedar", include_str!("../../../policies/namespaces/pay/billing.cedar")),
    ("namespaces/shop/inventory.cedar", include_str!("../../../policies/namespaces/shop/inventory.cedar")),
    ("namespaces/shop/orders.cedar", include_str!("../../../policies/namespaces/shop/orders.cedar")),
    ("namespaces/web/storefront.cedar", include_str!("../../../policies/namespaces/web/storefront.cedar")),
];

const AGENTS: &[(&str, &str)] = &[
    ("catalog.yaml", include_str!("../../../policies/library/agents/catalog.yaml")),
    ("detectors.yaml", include_str!("../../../policies/library/agents/detectors.yaml")),
    ("facts.cedarschema", include_str!("../../../policies/library/agents/facts.cedarschema")),
    ("mesh/release.cedar", include_str!("../../../policies/library/agents/mesh/release.cedar")),
    ("mesh/tasks.cedar", include_str!("../../../policies/library/agents/mesh/tasks.cedar")),
    ("mesh/tokens.cedar", include_str!("../../../policies/library/agents/mesh/tokens.cedar")),
    ("namespaces/agents/deploy.cedar", include_str!("../../../policies/library/agents/namespaces/agents/deploy.cedar")),
    (
        "namespaces/agents/tickets.cedar",
        include_str!("../../../policies/library/agents/namespaces/agents/tickets.cedar"),
    ),
    (
        "namespaces/billing/billing.cedar",
        include_str!("../../../policies/library/agents/namespaces/billing/billing.cedar"),
    ),
    (
        "namespaces/models/answers.cedar",
        include_str!("../../../policies/library/agents/namespaces/models/answers.cedar"),
    ),
    ("namespaces/models/models.cedar", include_str!("../../../policies/library/agents/namespaces/models/models.cedar")),
    (
        "namespaces/secrets/secrets.cedar",
        include_str!("../../../policies/library/agents/namespaces/secrets/secrets.cedar"),
    ),
    ("namespaces/support/crm.cedar", include_str!("../../../policies/library/agents/namespaces/support/crm.cedar")),
];

const SUPPORT: &[(&str, &str)] = &[
    ("catalog.yaml", include_str!("../../../policies/library/support/catalog.yaml")),
    ("detectors.yaml", include_str!("../../../policies/library/support/detectors.yaml")),
    ("mesh/prompts.cedar", include_str!("../../../policies/library/support/mesh/prompts.cedar")),
    ("mesh/release.cedar", include_str!("../../../policies/library/support/mesh/release.cedar")),
    (
        "namespaces/models/access.cedar",
        include_str!("../../../policies/library/support/namespaces/models/access.cedar"),
    ),
    (
        "namespaces/models/answers.cedar",
        include_str!("../../../policies/library/support/namespaces/models/answers.cedar"),
    ),
    (
        "namespaces/support/tools.cedar",
        include_str!("../../../policies/library/support/namespaces/support/tools.cedar"),
    ),
];

/// Writes them to `policies/` in the folder.
///
/// # Errors
/// What the system says if a file cannot be written.
pub fn write(scenario: Scenario, folder: &Folder) -> io::Result<()> {
    let files = match scenario {
        Scenario::Shop => FILES,
        Scenario::Agents => AGENTS,
        Scenario::Content => SUPPORT,
    };
    files.iter().try_for_each(|(name, text)| folder.write(&format!("policies/{name}"), text).map(drop))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{AGENTS, FILES, SUPPORT};

    /// Policies, schemas and catalogue below `folder`, without what is no part of a tree.
    fn shipped(folder: &Path, below: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(below).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !matches!(name, "library" | "tests") {
                shipped(folder, &path, found);
            } else if matches!(name, "catalog.yaml" | "detectors.yaml")
                || name.ends_with(".cedar")
                || name.ends_with(".cedarschema")
            {
                found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn the_demo_has_every_sample_policy() {
        let trees = [("policies", FILES), ("policies/library/agents", AGENTS), ("policies/library/support", SUPPORT)];
        for (folder, files) in trees {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
            let mut found = BTreeSet::new();
            shipped(&root, &root, &mut found);
            let had: BTreeSet<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(had, found, "left: what the demo has, right: what lies in {folder}");
        }
    }
}
