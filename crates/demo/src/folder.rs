//! A temporary folder, removed when its value is dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A fresh folder that only this user may enter; it goes away with the value.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes one in the system's folder for temporary files.
    ///
    /// # Errors
    /// What the system says if it cannot be made.
    pub fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("picket-{}", uuid::Uuid::now_v7()));
        create_private(&path)?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file below it, and the folders on the way; gives its path.
    ///
    /// # Errors
    /// What the system says if it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left to tell, and the next start does not use this folder.
        drop(fs::remove_dir_all(&self.path));
    }
}

// Private keys lie here, so other users of the machine stay out.
#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

#[cfg(test)]
mod tests {
    use super::Folder;

    #[test]
    fn a_folder_goes_with_its_value() {
        let folder = Folder::new().unwrap();
        let file = folder.write("a/b.txt", "c").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "c");
        drop(folder);
        assert!(!file.exists());
    }
}
