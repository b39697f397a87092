//! Imports run one way, from `main` down to the leaves, and never in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The modules by layer, from the top. A module may import those of the layers below its own.
const LAYERS: [&[&str]; 12] = [
    &["commands"],
    &["cli"],
    &["app"],
    &["control"],
    &["roles"],
    &["collector"],
    &["http", "broker", "store", "embedded"],
    &["views"],
    &["identity"],
    &["event", "models"],
    &["userprint"],
    // The leaves, which may import each other.
    &[
        "clock",
        "config",
        "data_dir",
        "demo",
        "lifecycle",
        "private",
        "retry",
        "telemetry",
        "tls",
    ],
];
/// What is in here is a module of its own, and none imports another.
const ROLES: &str = "roles";

/// A path in one module that leads to another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Import {
    from: String,
    to: String,
    /// `file:line`.
    place: String,
}

/// The imports of a file, whose path is given below `src`.
fn imports(file: &str, text: &str) -> Vec<Import> {
    let mut module: Vec<String> = file
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    module.pop_if(|last| last == "mod");
    let mut finder = Finder {
        file,
        module,
        imports: Vec::new(),
    };
    finder.visit_file(&syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}")));
    finder.imports
}

struct Finder<'a> {
    file: &'a str,
    module: Vec<String>,
    imports: Vec<Import>,
}

impl Finder<'_> {
    fn found(&mut self, path: &[String], line: usize) {
        let Some(to) = self.absolute(path) else { return };
        let (from, to) = (node(&self.module), node(&to));
        if from != to && !to.is_empty() {
            let place = format!("src/{}:{line}", self.file);
            self.imports.push(Import { from, to, place });
        }
    }

    /// A path from the crate's root, if it says where it begins.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let rest = match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "super" => path,
            _ => return None,
        };
        let ups = rest.iter().take_while(|step| *step == "super").count();
        let mut absolute = self.module[..self.module.len().saturating_sub(ups)].to_vec();
        absolute.extend_from_slice(&rest[ups..]);
        Some(absolute)
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.found(&with(&name.ident), tree.span().start().line),
            syn::UseTree::Rename(name) => self.found(&with(&name.ident), tree.span().start().line),
            syn::UseTree::Glob(_) => self.found(before, tree.span().start().line),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item, before)),
        }
    }

    /// Macros' arguments are only tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                }
                TokenTree::Punct(colon) if colon.as_char() == ':' => {}
                other => {
                    self.found(&std::mem::take(&mut path), line);
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.found(&path, line);
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let steps: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.found(&steps, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
    }
}

/// What a path belongs to: a top module, or a role.
fn node(path: &[String]) -> String {
    match path {
        [roles, role, ..] if roles == ROLES => format!("{ROLES}::{role}"),
        [top, ..] => top.clone(),
        [] => String::new(),
    }
}

/// Every import that runs against the layers.
fn faults(imports: &[Import]) -> Vec<String> {
    let layer = |module: &str| {
        let top = module.split("::").next().unwrap_or_default();
        LAYERS.iter().position(|modules| modules.contains(&top))
    };
    let fault = |import: &Import| {
        let reason = match (layer(&import.from), layer(&import.to)) {
            (None, _) => format!("{} has no layer", import.from),
            (_, None) => format!("{} has no layer", import.to),
            (Some(from), Some(to)) if from < to || from == LAYERS.len() - 1 && from == to => return None,
            // The list of the roles in their parent.
            (Some(from), Some(to)) if from == to && import.from == ROLES => return None,
            (Some(from), Some(to)) if from == to => "they stand side by side".to_owned(),
            _ => "it runs upwards".to_owned(),
        };
        Some(format!(
            "{}: {} imports {}: {reason}",
            import.place, import.from, import.to
        ))
    };
    imports.iter().filter_map(fault).collect()
}

/// A circle of modules that import each other, if there is one.
fn circle(imports: &[Import]) -> Option<Vec<String>> {
    let mut targets: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in imports {
        targets.entry(&import.from).or_default().insert(&import.to);
    }
    // What imports nothing that is left is in no circle; take it away until nothing changes.
    loop {
        let done: Vec<_> = targets
            .iter()
            .filter(|(_, to)| to.iter().all(|to| !targets.contains_key(to)))
            .map(|(from, _)| *from)
            .collect();
        if done.is_empty() {
            break;
        }
        targets.retain(|from, _| !done.contains(from));
    }
    let mut way = vec![*targets.keys().next()?];
    loop {
        let next = *targets[way.last()?]
            .iter()
            .find(|to| targets.contains_key(**to))?;
        if let Some(begin) = way.iter().position(|module| *module == next) {
            return Some(way[begin..].iter().map(|module| (*module).to_owned()).collect());
        }
        way.push(next);
    }
}

/// All imports below `src`, but for those of the two roots: `main.rs` stands above, `lib.rs` only lists.
fn imports_of_the_project() -> Vec<Import> {
    fn walk(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, found),
                false => found.push(path),
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    let mut all = Vec::new();
    for file in files {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap();
        if name.ends_with(".rs") && !matches!(name, "main.rs" | "lib.rs") {
            all.extend(imports(name, &std::fs::read_to_string(&file).unwrap()));
        }
    }
    all
}

#[test]
fn imports_run_downwards_and_in_no_circle() {
    let imports = imports_of_the_project();
    let to: BTreeSet<_> = imports.iter().map(|import| import.to.as_str()).collect();
    for module in ["event", "store", "broker", "roles::capture", "config"] {
        assert!(to.contains(module), "the walk saw nobody import {module}");
    }
    let faults = faults(&imports);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert_eq!(circle(&imports), None);
}

#[test]
fn every_way_to_break_the_layering_is_found() {
    for (file, text, expected) in [
        (
            "broker/writer.rs",
            "use crate::{clock::Clock,\n    store::{months, pool}};",
            "src/broker/writer.rs:2: broker imports store: they stand side by side",
        ),
        (
            "event/decode.rs",
            "fn f() {\n let x = crate::roles::ingest::new(); }",
            "src/event/decode.rs:2: event imports roles::ingest: it runs upwards",
        ),
        (
            "roles/ingest/mod.rs",
            "use super::capture::Status;",
            "src/roles/ingest/mod.rs:1: roles::ingest imports roles::capture: they stand side by side",
        ),
        (
            "roles/capture/worker.rs",
            "mod tests {\n    use super::super::super::ingest::*; }",
            "src/roles/capture/worker.rs:2: roles::capture imports roles::ingest: they stand side by side",
        ),
        (
            "retry.rs",
            "fn f() { log!(\"{}\", crate::app::NAME); }",
            "src/retry.rs:1: retry imports app: it runs upwards",
        ),
        (
            "store/mod.rs",
            "use crate::helpers as h;",
            "src/store/mod.rs:1: store imports helpers: helpers has no layer",
        ),
        (
            "store/pool.rs",
            "pub type T = Vec<crate::http::Gate>;",
            "src/store/pool.rs:1: store imports http: they stand side by side",
        ),
    ] {
        let found = faults(&imports(file, text));
        assert!(found.iter().any(|fault| fault == expected), "{file}: {found:?}");
    }
}

#[test]
fn what_is_allowed_is_not_a_fault() {
    for (file, text) in [
        (
            "commands/import/mod.rs",
            "use super::WrongUse; use crate::store::pool; use self::lines::Lines;",
        ),
        (
            "roles/mod.rs",
            "pub use self::ingest::Ingest; pub use super::roles::capture::Capture;",
        ),
        ("telemetry/mod.rs", "use crate::config::Log;"),
        (
            "store/months.rs",
            "fn f() { debug!(month = super::month::of(at)); crate::event::f(); }",
        ),
    ] {
        assert_eq!(faults(&imports(file, text)), Vec::<String>::new(), "{file}");
    }
}

#[test]
fn a_circle_is_found_even_among_the_leaves() {
    let mut all = imports("config/mod.rs", "use crate::clock::Clock;");
    all.extend(imports("clock.rs", "use crate::retry::Backoff;"));
    all.extend(imports("app/mod.rs", "use crate::config::Config;"));
    assert_eq!(circle(&all), None);
    all.extend(imports("retry.rs", "use crate::config::Config;"));
    assert_eq!(faults(&all), Vec::<String>::new());
    assert_eq!(circle(&all).unwrap(), ["config", "clock", "retry"]);
}
