//! Which names may stand where in a policy tree, and which unit each belongs to. Pure.
//!
//! Knows: the layout of `policies/`. Must not know: contents, the file system.

use super::PLATFORM;
use crate::call::host::is_dns_label;
use crate::catalog::grpc;

/// Files that may stand at the top of a policy tree.
pub const TOP_FILES: [&str; 5] =
    ["manifest.yaml", "schema.cedarschema", "facts.cedarschema", "catalog.yaml", "entities.json"];

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

/// What a directory entry is, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A socket, pipe or device.
    Other,
}

/// What is to be done with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Not part of the tree: passed over.
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

    /// Whether an entry's name alone says that it is passed over, whatever it is.
    #[must_use]
    pub fn passes_over(&self, name: &str) -> bool {
        name.starts_with('.') || name.ends_with('~') || name == "README.md" || name.ends_with("_test.yaml")
    }

    /// What an entry of this folder is.
    #[must_use]
    pub fn place(&self, name: &str, kind: Kind) -> Place {
        if self.passes_over(name) {
            return Place::PassedOver;
        }
        match (self, kind) {
            (_, Kind::Other) => Place::Unexpected("only files and folders are read".to_owned()),
            (Self::Top, Kind::Folder) => match name {
                PLATFORM => Place::Folder(Self::Mesh),
                "namespaces" => Place::Folder(Self::Namespaces),
                grpc::FOLDER => Place::Folder(Self::Descriptors),
                "tests" | "library" => Place::PassedOver,
                _ => Place::Unexpected(format!(
                    "folders here: mesh, namespaces, descriptors, tests, library; files: {}",
                    TOP_FILES.join(", ")
                )),
            },
            (Self::Top, Kind::File) if TOP_FILES.contains(&name) => Place::File,
            (Self::Top, Kind::File) => Place::Unexpected(format!(
                "files here: {}; policies lie in mesh/ and namespaces/<namespace>/",
                TOP_FILES.join(", ")
            )),
            (Self::Namespaces, Kind::Folder) if name == PLATFORM => {
                Place::Unexpected("`mesh` is reserved; the platform's policies lie in mesh/".to_owned())
            }
            (Self::Namespaces, Kind::Folder) if is_dns_label(name) => Place::Folder(Self::Namespace(name.to_owned())),
            (Self::Namespaces, Kind::Folder) => Place::Unexpected(
                "a namespace is a DNS label: 1 to 63 of a-z, 0-9 and `-`, which neither begins nor ends it".to_owned(),
            ),
            (Self::Namespaces, Kind::File) => Place::Unexpected("only folders here, one for each namespace".to_owned()),
            (Self::Descriptors, Kind::File) if name.len() > grpc::ENDING.len() && name.ends_with(grpc::ENDING) => {
                Place::File
            }
            (Self::Descriptors, Kind::File | Kind::Folder) => {
                Place::Unexpected("here are descriptor sets: *.binpb".to_owned())
            }
            (Self::Mesh | Self::Namespace(_), Kind::File)
                if name.len() > ".cedar".len() && name.ends_with(".cedar") =>
            {
                Place::File
            }
            (Self::Mesh | Self::Namespace(_), Kind::File) => {
                Place::Unexpected("files here: *.cedar, *_test.yaml, README.md".to_owned())
            }
            (Self::Mesh | Self::Namespace(_), Kind::Folder) => {
                Place::Unexpected("no sub-folders here; policies lie side by side as *.cedar".to_owned())
            }
        }
    }
}

/// The namespace whose folder holds `path`, if one does.
#[must_use]
pub fn namespace_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("namespaces/")?;
    Some(inside.split_once('/').map_or(inside, |(namespace, _)| namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(place: Place) -> &'static str {
        match place {
            Place::PassedOver => "passed over",
            Place::File => "file",
            Place::Folder(_) => "folder",
            Place::Unexpected(_) => "unexpected",
        }
    }

    #[test]
    fn a_name_is_read_passed_over_or_refused_by_where_it_stands() {
        let shop = || Folder::Namespace("shop".to_owned());
        let rows = [
            (Folder::Top, "catalog.yaml", Kind::File, "file"),
            (Folder::Top, "catalog.yml", Kind::File, "unexpected"),
            (Folder::Top, "catalog.yaml", Kind::Folder, "unexpected"),
            (Folder::Top, "README.md", Kind::File, "passed over"),
            (Folder::Top, ".git", Kind::Folder, "passed over"),
            (Folder::Top, "..data", Kind::Folder, "passed over"),
            (Folder::Top, "mesh", Kind::Folder, "folder"),
            (Folder::Top, "mesh", Kind::File, "unexpected"),
            (Folder::Top, "Mesh", Kind::Folder, "unexpected"),
            (Folder::Top, "tests", Kind::Folder, "passed over"),
            (Folder::Top, "library", Kind::Folder, "passed over"),
            (Folder::Top, "library", Kind::File, "unexpected"),
            (Folder::Top, "a.cedar", Kind::File, "unexpected"),
            (Folder::Namespaces, "shop", Kind::Folder, "folder"),
            (Folder::Namespaces, "mesh", Kind::Folder, "unexpected"),
            (Folder::Namespaces, "Shop", Kind::Folder, "unexpected"),
            (Folder::Namespaces, "-shop", Kind::Folder, "unexpected"),
            (Folder::Namespaces, "shop", Kind::File, "unexpected"),
            (Folder::Mesh, "a.cedar", Kind::File, "file"),
            (Folder::Mesh, ".cedar", Kind::File, "passed over"),
            (Folder::Mesh, "a.cedar~", Kind::File, "passed over"),
            (Folder::Mesh, "a.cedar.bak", Kind::File, "unexpected"),
            (Folder::Mesh, "a.cedar", Kind::Other, "unexpected"),
            (Folder::Mesh, "more", Kind::Folder, "unexpected"),
            (Folder::Top, "descriptors", Kind::Folder, "folder"),
            (Folder::Top, "descriptors", Kind::File, "unexpected"),
            (Folder::Descriptors, "shop.binpb", Kind::File, "file"),
            (Folder::Descriptors, ".binpb", Kind::File, "passed over"),
            (Folder::Descriptors, "shop.proto", Kind::File, "unexpected"),
            (Folder::Descriptors, "shop.binpb", Kind::Folder, "unexpected"),
            (shop(), "a_test.yaml", Kind::File, "passed over"),
            (shop(), "notes.txt", Kind::File, "unexpected"),
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
