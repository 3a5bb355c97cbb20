//! The sample policies, as they are in `policies/` of the repository this binary was built from.

use std::io;

use super::folder::Folder;

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

/// Writes them to `policies/` in the folder.
///
/// # Errors
/// What the system says if a file cannot be written.
pub fn write(folder: &Folder) -> io::Result<()> {
    FILES.iter().try_for_each(|(name, text)| folder.write(&format!("policies/{name}"), text).map(drop))
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
    use super::{FILES, write};

    #[test]
    fn the_demo_has_every_sample_policy() {
        let folder = Folder::new().unwrap();
        write(&folder).unwrap();
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
        let mut count = 0;
        for part in ["", "/mesh", "/namespaces/pay", "/namespaces/shop", "/namespaces/web"] {
            for entry in std::fs::read_dir(format!("{root}{part}")).unwrap() {
                let path = entry.unwrap().path();
                let extension = path.extension().unwrap_or_default();
                count += usize::from(
                    path.is_file()
                        && extension != "json"
                        && !path.ends_with("README.md")
                        && !path.to_string_lossy().ends_with("_test.yaml"),
                );
            }
        }
        assert_eq!(FILES.len(), count, "a file of policies/ is not in FILES");
    }
}
