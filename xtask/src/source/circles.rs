//! No file imports in a circle. A file imports another one when a path in it (`crate::a::B`, `super::B`, or through a
//! module that it declares) leads to an item there. A name that a file only passes on (`pub use a::B`) is followed to
//! the file it comes from, so that a façade is no part of a circle; an item that stands in the façade itself is. What is
//! declared under `#[cfg(test)]` does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::files::rust_files;
use super::modules::{ModulePath, Modules, is_crate_root, modules};
use super::paths::{self, occurrences};
use crate::error::Result;

/// A line of text for every circle, naming its files in the order of their imports.
pub fn circles(root: &Path) -> Result<Vec<String>> {
    let mut found = BTreeSet::new();
    for crate_root in rust_files(root)?
        .into_iter()
        .filter(|path| is_crate_root(path))
    {
        let modules = modules(&crate_root)?;
        for circle in find_circles(&imports(&modules)) {
            let names: Vec<String> = circle
                .iter()
                .map(|module| file_name(root, &modules, module))
                .collect();
            found.insert(names.join(" -> "));
        }
    }
    Ok(found.into_iter().collect())
}

fn file_name(root: &Path, modules: &Modules, module: &ModulePath) -> String {
    let file = modules
        .get(module)
        .map_or(Path::new("?"), |source| &source.file);
    file.strip_prefix(root)
        .unwrap_or(file)
        .display()
        .to_string()
}

/// For every module the modules that its file imports.
type Graph = BTreeMap<ModulePath, BTreeSet<ModulePath>>;

/// A path from the crate's root, and how it was named.
struct Named {
    target: ModulePath,
    bound: Option<String>,
    passed_on: bool,
}

fn imports(modules: &Modules) -> Graph {
    let named: BTreeMap<&ModulePath, Vec<Named>> =
        modules.keys().map(|at| (at, names(modules, at))).collect();
    let mut graph = Graph::new();
    for (at, source) in modules {
        let is_used = |name: &&Named| match &name.bound {
            Some(bound) if name.passed_on => occurrences(&source.code, bound) > 1,
            _ => !name.passed_on,
        };
        let used = named[at]
            .iter()
            .filter(is_used)
            .map(|name| home(modules, &named, name.target.clone(), 8));
        graph.insert(at.clone(), used.filter(|target| target != at).collect());
    }
    graph
}

/// The paths in a file that stay in its crate.
fn names(modules: &Modules, at: &ModulePath) -> Vec<Named> {
    let source = &modules[at];
    let mut found = Vec::new();
    for path in paths::paths(&source.code) {
        let mut rest = path.segments.as_slice();
        let mut target = match rest.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => at.clone(),
            Some(name) if source.declares.contains(name) => [at.as_slice(), &rest[..1]].concat(),
            _ => continue,
        };
        if rest[0] != "super" {
            rest = &rest[1..];
        }
        while let Some(("super", further)) = rest
            .split_first()
            .map(|(first, further)| (first.as_str(), further))
        {
            target.pop();
            rest = further;
        }
        target.extend_from_slice(rest);
        found.push(Named {
            target,
            bound: path.bound,
            passed_on: path.passed_on,
        });
    }
    found
}

/// The module in whose file the item at `path` stands: names that a module got from another one are followed, as far as
/// `steps`.
fn home(
    modules: &Modules,
    named: &BTreeMap<&ModulePath, Vec<Named>>,
    path: ModulePath,
    steps: u8,
) -> ModulePath {
    let mut module = path.clone();
    while !module.is_empty() && !modules.contains_key(&module) {
        module.pop();
    }
    let Some(item) = path.get(module.len()).filter(|_| steps > 0) else {
        return module;
    };
    match named[&module]
        .iter()
        .find(|name| name.bound.as_ref() == Some(item))
    {
        Some(name) => home(
            modules,
            named,
            [name.target.as_slice(), &path[module.len() + 1..]].concat(),
            steps - 1,
        ),
        None => module,
    }
}

/// One circle for every module that is in one, until all of those are named.
fn find_circles(graph: &Graph) -> Vec<Vec<&ModulePath>> {
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for start in graph.keys() {
        if seen.contains(start) {
            continue;
        }
        if let Some(circle) = way_back(graph, start) {
            seen.extend(circle.iter().copied());
            circles.push(circle);
        }
    }
    circles
}

/// The shortest way from `start` to itself.
fn way_back<'a>(graph: &'a Graph, start: &'a ModulePath) -> Option<Vec<&'a ModulePath>> {
    let mut ways = vec![vec![start]];
    let mut visited = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in graph.get(*way.last()?).into_iter().flatten() {
                let extended = [way.as_slice(), &[next]].concat();
                if next == start {
                    return Some(extended);
                }
                if visited.insert(next) {
                    longer.push(extended);
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::blank::{blank_literals, blank_tests};
    use super::super::modules::{Source, declarations};
    use super::*;

    /// The circles of a crate with these modules, by module name.
    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        let source = |(name, text): &(&str, &str)| {
            let path: ModulePath = name
                .split("::")
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect();
            let code = blank_tests(&blank_literals(text));
            let declares = declarations(text, &code)
                .into_iter()
                .map(|(name, _)| name)
                .collect();
            (
                path,
                Source {
                    file: name.into(),
                    code,
                    declares,
                },
            )
        };
        let graph = imports(&files.iter().map(source).collect());
        let show = |circle: &Vec<&ModulePath>| {
            circle
                .iter()
                .map(|module| module.join("::"))
                .collect::<Vec<_>>()
                .join(">")
        };
        find_circles(&graph).iter().map(show).collect()
    }

    #[test]
    fn a_tree_has_no_circle() {
        let files = [
            ("", "mod a;\nmod b;\nmod c;\npub use a::A;"),
            ("a", "use crate::b::{self, B};"),
            (
                "b",
                "// crate::a\nuse std::fmt; const S: &str = \"crate::a::A\";",
            ),
            (
                "c",
                "use super::a::A; #[cfg(test)] mod tests { use crate::c::C; }",
            ),
        ];
        assert_eq!(circles_of(&files), Vec::<String>::new());
    }

    #[test]
    fn a_circle_through_braces_and_super_is_found() {
        let files = [
            ("", "mod a;\nmod b;"),
            ("a", "use crate::{b::{X as Y, z}, c};"),
            ("b", "fn f() { super::a::g() }"),
        ];
        assert_eq!(circles_of(&files), ["a>b>a"]);
    }

    #[test]
    fn a_child_that_uses_what_its_parent_holds_is_one() {
        let files = [
            ("", "mod lower;"),
            ("lower", "mod m;\nfn f() { m::lower() }"),
            ("lower::m", "use super::Step;"),
        ];
        assert_eq!(circles_of(&files), ["lower>lower::m>lower"]);
    }

    #[test]
    fn a_name_that_is_passed_on_leads_to_where_it_stands() {
        let facade = "mod a;\nmod b;\npub use a::A;\npub use b::B;";
        assert_eq!(
            circles_of(&[("", facade), ("a", "use crate::B;"), ("b", "struct B;")]),
            Vec::<String>::new()
        );
        assert_eq!(
            circles_of(&[
                ("", facade),
                ("a", "use crate::B;"),
                ("b", "use super::A as C;")
            ]),
            ["a>b>a"]
        );
    }

    #[test]
    fn a_facade_that_uses_what_it_passes_on_imports_it() {
        let facade = "mod a;\npub use a::A;\npub struct S(A);";
        assert_eq!(circles_of(&[("", facade), ("a", "use crate::S;")]), [">a>"]);
        assert_eq!(
            circles_of(&[("", facade), ("a", "struct A;")]),
            Vec::<String>::new()
        );
    }
}
