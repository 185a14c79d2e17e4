//! The modules of a crate and their files, found from the crate's root as the compiler finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::blank::{blank_literals, blank_tests};
use crate::error::{Result, io_error};

/// `["lower", "mounts"]` for `crate::lower::mounts`; the crate's root is empty.
pub type ModulePath = Vec<String>;
pub type Modules = BTreeMap<ModulePath, Source>;

/// A module in a file of its own.
pub struct Source {
    pub file: PathBuf,
    /// Without comments, literals and tests.
    pub code: String,
    /// The modules that it declares in files of their own.
    pub declares: BTreeSet<String>,
}

/// The modules of the crate with this root.
pub fn modules(crate_root: &Path) -> Result<Modules> {
    let mut modules = Modules::new();
    collect(crate_root, Vec::new(), &mut modules)?;
    Ok(modules)
}

/// src/lib.rs, src/main.rs, src/bin/*.rs, and the main.rs of a program that a build script makes.
pub fn is_crate_root(path: &Path) -> bool {
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let (file, folder) = (name(path), path.parent().map(name).unwrap_or_default());
    file == "main.rs" || (file == "lib.rs" && folder == "src") || folder == "bin"
}

/// Reads `file` as the module `at` and everything below it. Files that do not exist are the compiler's to report.
fn collect(file: &Path, at: ModulePath, modules: &mut Modules) -> Result<()> {
    let text = fs::read_to_string(file).map_err(io_error("read", file))?;
    let code = blank_tests(&blank_literals(&text));
    let mut declares = BTreeSet::new();
    for (name, attribute) in declarations(&text, &code) {
        let Some(child) = module_file(file, at.is_empty(), &name, attribute) else {
            continue;
        };
        declares.insert(name.clone());
        collect(&child, [at.clone(), vec![name]].concat(), modules)?;
    }
    modules.insert(
        at,
        Source {
            file: file.to_path_buf(),
            code,
            declares,
        },
    );
    Ok(())
}

/// The names in `mod NAME;`, each with the path of a `#[path = "..."]` on the lines before. `text` is the same as
/// `code`, but with its literals.
pub fn declarations(text: &str, code: &str) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    let mut path = None;
    for (line, original) in code.lines().zip(text.lines()) {
        let line = line.trim();
        if line.starts_with("#[path") {
            path = original.split('"').nth(1).map(str::to_owned);
        } else if let Some(name) = declaration(line) {
            found.push((name.to_owned(), path.take()));
        } else if !line.is_empty() && !line.starts_with("#[") {
            path = None;
        }
    }
    found
}

/// `name` of `pub(crate) mod name;`.
fn declaration(line: &str) -> Option<&str> {
    let (before, name) = line.strip_suffix(';')?.rsplit_once(' ')?;
    let before = before.trim_end();
    (before == "mod" || before.ends_with(" mod")).then_some(name)
}

/// The file of a module, as the reference's "Module source filenames" has it.
fn module_file(
    parent: &Path,
    parent_is_root: bool,
    name: &str,
    attribute: Option<String>,
) -> Option<PathBuf> {
    let folder = parent.parent()?;
    if let Some(path) = attribute {
        return Some(folder.join(path)).filter(|path| path.exists());
    }
    let own_folder = match parent_is_root || parent.file_name()? == "mod.rs" {
        true => folder.to_path_buf(),
        false => parent.with_extension(""),
    };
    let places = [
        own_folder.join(format!("{name}.rs")),
        own_folder.join(name).join("mod.rs"),
    ];
    places.into_iter().find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_found_with_their_paths() {
        let text = "#[path = \"../x/op.rs\"]\nmod op;\npub(crate) mod wire;\nmod inline { }\n";
        let found = declarations(text, &blank_literals(text));
        assert_eq!(
            found,
            [
                ("op".to_owned(), Some("../x/op.rs".to_owned())),
                ("wire".to_owned(), None)
            ]
        );
    }

    #[test]
    fn our_own_modules_are_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs");
        let found = modules(&root).unwrap();
        let path = ["source".to_owned(), "modules".to_owned()];
        assert!(is_crate_root(&root) && found[path.as_slice()].file.ends_with("source/modules.rs"));
    }
}
