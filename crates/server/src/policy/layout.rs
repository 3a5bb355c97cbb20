//! The layout of a policy tree: its file names, and the unit of each file. Pure.
//!
//! Knows: the layout of `policies/`. Must not know: contents, the file system.

use super::PLATFORM;
use picket_core::call::host::is_dns_label;
use picket_core::catalog::grpc;
use picket_core::content;

/// Files that are allowed at the top of a policy tree.
pub const TOP_FILES: [&str; 6] =
    ["manifest.yaml", "schema.cedarschema", "facts.cedarschema", "catalog.yaml", "entities.json", content::file::FILE];

/// A folder of a policy tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// The tree itself.
    Top,
    /// `mesh/`.
    Mesh,
    /// `namespaces/`.
    Namespaces,
    /// `namespaces/<name>/`.
    Namespace(String),
    /// `descriptors/`: its files are bytes, not texts.
    Descriptors,
}

/// The kind of a directory entry, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A socket, pipe or device.
    Other,
}

/// The handling of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryRole {
    /// Not part of the tree: skipped.
    PassedOver,
    /// A file to read.
    File,
    /// A folder to enter.
    Folder(Folder),
    /// Not allowed here; the text says what is.
    Unexpected(String),
}

impl Folder {
    /// Path relative to the tree, empty for the tree itself.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Top => String::new(),
            Self::Mesh => PLATFORM.to_owned(),
            Self::Namespaces => "namespaces".to_owned(),
            Self::Namespace(name) => format!("namespaces/{name}"),
            Self::Descriptors => grpc::FOLDER.to_owned(),
        }
    }

    /// Path of an entry in this folder, relative to the tree.
    #[must_use]
    pub fn join(&self, name: &str) -> String {
        match self {
            Self::Top => name.to_owned(),
            Self::Mesh | Self::Namespaces | Self::Namespace(_) | Self::Descriptors => {
                format!("{}/{name}", self.path())
            }
        }
    }

    /// The unit that is refused when something in this folder is wrong.
    #[must_use]
    pub fn unit(&self) -> &str {
        match self {
            Self::Top | Self::Mesh | Self::Namespaces | Self::Descriptors => PLATFORM,
            Self::Namespace(name) => name,
        }
    }

    /// The unit that is refused when the entry `name` of this folder is not what it should be: a broken folder of a namespace,
    /// or what stands in its place, is that namespace's trouble and not the platform's.
    #[must_use]
    pub fn owner<'a>(&'a self, name: &'a str) -> &'a str {
        match self {
            Self::Namespaces if name != PLATFORM && is_dns_label(name) => name,
            Self::Top | Self::Mesh | Self::Namespaces | Self::Descriptors | Self::Namespace(_) => self.unit(),
        }
    }

    /// Whether an entry is skipped because of its name alone.
    #[must_use]
    pub fn passes_over(&self, name: &str) -> bool {
        name.starts_with('.') || name.ends_with('~') || name == "README.md" || name.ends_with("_test.yaml")
    }

    /// The handling of an entry of this folder.
    #[must_use]
    pub fn place(&self, name: &str, kind: EntryKind) -> EntryRole {
        if self.passes_over(name) {
            return EntryRole::PassedOver;
        }
        match (self, kind) {
            (_, EntryKind::Other) => EntryRole::Unexpected("only files and folders are read".to_owned()),
            (Self::Top, EntryKind::Folder) => match name {
                PLATFORM => EntryRole::Folder(Self::Mesh),
                "namespaces" => EntryRole::Folder(Self::Namespaces),
                grpc::FOLDER => EntryRole::Folder(Self::Descriptors),
                "tests" | "library" => EntryRole::PassedOver,
                _ => EntryRole::Unexpected(format!(
                    "folders here: mesh, namespaces, descriptors, tests, library; files: {}",
                    TOP_FILES.join(", ")
                )),
            },
            (Self::Top, EntryKind::File) if TOP_FILES.contains(&name) => EntryRole::File,
            (Self::Top, EntryKind::File) => EntryRole::Unexpected(format!(
                "files here: {}; policies belong in mesh/ and namespaces/<namespace>/",
                TOP_FILES.join(", ")
            )),
            (Self::Namespaces, EntryKind::Folder) if name == PLATFORM => {
                EntryRole::Unexpected("`mesh` is reserved; the platform's policies belong in mesh/".to_owned())
            }
            (Self::Namespaces, EntryKind::Folder) if is_dns_label(name) => {
                EntryRole::Folder(Self::Namespace(name.to_owned()))
            }
            (Self::Namespaces, EntryKind::Folder) => EntryRole::Unexpected(
                "a namespace is a DNS label: 1 to 63 of a-z, 0-9 and `-`, which neither begins nor ends it".to_owned(),
            ),
            (Self::Namespaces, EntryKind::File) => {
                EntryRole::Unexpected("only folders here, one for each namespace".to_owned())
            }
            (Self::Descriptors, EntryKind::File) if name.len() > grpc::ENDING.len() && name.ends_with(grpc::ENDING) => {
                EntryRole::File
            }
            (Self::Descriptors, EntryKind::File | EntryKind::Folder) => {
                EntryRole::Unexpected("here are descriptor sets: *.binpb".to_owned())
            }
            (Self::Mesh | Self::Namespace(_), EntryKind::File)
                if name.len() > ".cedar".len() && name.ends_with(".cedar") =>
            {
                EntryRole::File
            }
            (Self::Mesh | Self::Namespace(_), EntryKind::File) => {
                EntryRole::Unexpected("files here: *.cedar, *_test.yaml, README.md".to_owned())
            }
            (Self::Mesh | Self::Namespace(_), EntryKind::Folder) => {
                EntryRole::Unexpected("no sub-folders here; policies are files *.cedar next to each other".to_owned())
            }
        }
    }
}

/// The namespace with the folder that holds `path`, if any.
#[must_use]
pub fn namespace_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("namespaces/")?;
    Some(inside.split_once('/').map_or(inside, |(namespace, _)| namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(place: EntryRole) -> &'static str {
        match place {
            EntryRole::PassedOver => "passed over",
            EntryRole::File => "file",
            EntryRole::Folder(_) => "folder",
            EntryRole::Unexpected(_) => "unexpected",
        }
    }

    #[test]
    fn a_name_is_read_skipped_or_rejected_by_its_place() {
        let shop = || Folder::Namespace("shop".to_owned());
        let rows = [
            (Folder::Top, "catalog.yaml", EntryKind::File, "file"),
            (Folder::Top, "catalog.yml", EntryKind::File, "unexpected"),
            (Folder::Top, "catalog.yaml", EntryKind::Folder, "unexpected"),
            (Folder::Top, "README.md", EntryKind::File, "passed over"),
            (Folder::Top, ".git", EntryKind::Folder, "passed over"),
            (Folder::Top, "..data", EntryKind::Folder, "passed over"),
            (Folder::Top, "mesh", EntryKind::Folder, "folder"),
            (Folder::Top, "mesh", EntryKind::File, "unexpected"),
            (Folder::Top, "Mesh", EntryKind::Folder, "unexpected"),
            (Folder::Top, "tests", EntryKind::Folder, "passed over"),
            (Folder::Top, "library", EntryKind::Folder, "passed over"),
            (Folder::Top, "library", EntryKind::File, "unexpected"),
            (Folder::Top, "a.cedar", EntryKind::File, "unexpected"),
            (Folder::Namespaces, "shop", EntryKind::Folder, "folder"),
            (Folder::Namespaces, "mesh", EntryKind::Folder, "unexpected"),
            (Folder::Namespaces, "Shop", EntryKind::Folder, "unexpected"),
            (Folder::Namespaces, "-shop", EntryKind::Folder, "unexpected"),
            (Folder::Namespaces, "shop", EntryKind::File, "unexpected"),
            (Folder::Mesh, "a.cedar", EntryKind::File, "file"),
            (Folder::Mesh, ".cedar", EntryKind::File, "passed over"),
            (Folder::Mesh, "a.cedar~", EntryKind::File, "passed over"),
            (Folder::Mesh, "a.cedar.bak", EntryKind::File, "unexpected"),
            (Folder::Mesh, "a.cedar", EntryKind::Other, "unexpected"),
            (Folder::Mesh, "more", EntryKind::Folder, "unexpected"),
            (Folder::Top, "descriptors", EntryKind::Folder, "folder"),
            (Folder::Top, "descriptors", EntryKind::File, "unexpected"),
            (Folder::Descriptors, "shop.binpb", EntryKind::File, "file"),
            (Folder::Descriptors, ".binpb", EntryKind::File, "passed over"),
            (Folder::Descriptors, "shop.proto", EntryKind::File, "unexpected"),
            (Folder::Descriptors, "shop.binpb", EntryKind::Folder, "unexpected"),
            (shop(), "a_test.yaml", EntryKind::File, "passed over"),
            (shop(), "notes.txt", EntryKind::File, "unexpected"),
        ];
        for (folder, name, kind, expected) in rows {
            assert_eq!(show(folder.place(name, kind)), expected, "{folder:?} {name} {kind:?}");
        }
    }

    #[test]
    fn a_path_belongs_to_the_namespace_whose_folder_holds_it() {
        assert_eq!(namespace_of("namespaces/shop/a.cedar"), Some("shop"));
        assert_eq!(namespace_of("namespaces/shop"), Some("shop"));
        assert_eq!(namespace_of("mesh/a.cedar"), None);
        assert_eq!(namespace_of("catalog.yaml"), None);
    }
}
