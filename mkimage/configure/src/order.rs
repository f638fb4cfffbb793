//! The order in which packages are configured: what is depended on comes first.
//!
//! Where packages depend on each other in a circle, the circle is opened at a package that has no `postinst`, as
//! policy section 7.2 has it, else at the first by name. Essential packages, with what they depend on, come before
//! all others, since scripts may use them without saying so; first of all come those that make the accounts.

use crate::package::Package;
use std::collections::BTreeMap;

/// What must be there before any other script runs: the users and groups, and then the directories.
const FIRST: &[&str] = &["base-passwd", "base-files"];

/// Gives the indices of packages in the order in which they are to be configured.
pub(crate) fn of(packages: &[Package<'_>]) -> Vec<usize> {
    let mut ordering = Ordering {
        packages,
        providers: providers(packages),
        placed: vec![false; packages.len()],
        on_the_way: vec![false; packages.len()],
        order: Vec::with_capacity(packages.len()),
    };
    for name in FIRST {
        if let Some(index) = packages.iter().position(|package| package.name == *name) {
            ordering.placed[index] = true;
            ordering.order.push(index);
        }
    }
    for index in ordering.order.clone() {
        for needed in ordering.dependencies(index).into_iter().rev() {
            ordering.place(needed);
        }
    }
    let mut names: Vec<usize> = (0..packages.len()).collect();
    names.sort_by_key(|index| {
        let package = &packages[*index];
        (!package.essential, package.member("postinst").is_none(), &package.name, &package.architecture)
    });
    // A package with a script is where a walk starts, so that those without one open the circles.
    for index in names.iter().copied().filter(|index| packages[*index].essential) {
        ordering.place(index);
    }
    for index in names {
        ordering.place(index);
    }
    ordering.order
}

struct Ordering<'a, 'p> {
    packages: &'a [Package<'p>],
    providers: BTreeMap<&'a str, Vec<usize>>,
    placed: Vec<bool>,
    on_the_way: Vec<bool>,
    order: Vec<usize>,
}

impl Ordering<'_, '_> {
    /// Places a package after what it depends on; what is already on the way is a circle and left.
    fn place(&mut self, start: usize) {
        // Each level: a package, and what it depends on that is still to be looked at.
        let mut way = Vec::new();
        self.set_out(start, &mut way);
        while let Some((index, needed)) = way.last_mut() {
            match needed.pop() {
                Some(next) => self.set_out(next, &mut way),
                None => {
                    self.placed[*index] = true;
                    self.order.push(*index);
                    way.pop();
                }
            }
        }
    }

    fn set_out(&mut self, index: usize, way: &mut Vec<(usize, Vec<usize>)>) {
        if !self.placed[index] && !self.on_the_way[index] {
            self.on_the_way[index] = true;
            way.push((index, self.dependencies(index)));
        }
    }

    /// Gives what a package depends on and is present, the first to be placed last.
    fn dependencies(&self, index: usize) -> Vec<usize> {
        let fields = &self.packages[index].fields;
        let mut needed = Vec::new();
        for field in ["Pre-Depends", "Depends"] {
            for name in names_in(fields.get(field).unwrap_or_default()) {
                needed.extend(self.providers.get(name).into_iter().flatten().copied());
            }
        }
        needed.reverse();
        needed
    }
}

/// Maps each name, real or provided, to the packages that stand for it.
fn providers<'a>(packages: &'a [Package<'_>]) -> BTreeMap<&'a str, Vec<usize>> {
    let mut providers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        let provided = names_in(package.fields.get("Provides").unwrap_or_default());
        for name in std::iter::once(package.name.as_str()).chain(provided) {
            providers.entry(name).or_default().push(index);
        }
    }
    providers
}

/// Gives the package names in a relation field, of all alternatives, without versions and qualifiers.
fn names_in(relations: &str) -> impl Iterator<Item = &str> {
    let names = relations.split([',', '|']).filter_map(|relation| relation.split_whitespace().next());
    names.map(|name| name.split(['(', ':', '[']).next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PackageControl;

    fn control(name: &str, fields: &str, has_script: bool) -> PackageControl {
        let mut control = PackageControl::default();
        let stanza = format!("Package: {name}\nVersion: 1\nArchitecture: all\n{fields}");
        control.members.insert("control".to_owned(), stanza.into_bytes());
        if has_script {
            control.members.insert("postinst".to_owned(), b"#!/bin/sh\n".to_vec());
        }
        control
    }

    fn order_of(controls: &[PackageControl]) -> Vec<String> {
        let packages: Vec<_> = controls.iter().map(|control| Package::read(control).expect("read")).collect();
        of(&packages).into_iter().map(|index| packages[index].name.clone()).collect()
    }

    #[test]
    fn dependencies_come_first_also_through_provided_names_and_the_essential_before_all() {
        let order = order_of(&[
            control("app", "Depends: lib (>= 1), awk | busybox\n", true),
            control("zawk", "Provides: awk (= 1)\n", true),
            control("lib", "Pre-Depends: base:any\n", true),
            control("base", "", true),
            control("shell", "Essential: yes\nDepends: lib\n", true),
            control("base-files", "Essential: yes\nPre-Depends: awk\n", true),
            control("base-passwd", "Essential: yes\nDepends: lib\n", true),
        ]);
        assert_eq!(order, ["base-passwd", "base-files", "base", "lib", "zawk", "shell", "app"]);
    }

    #[test]
    fn a_circle_is_opened_at_the_package_without_a_script() {
        let order = order_of(&[
            control("a-with", "Depends: b-without\n", true),
            control("b-without", "Depends: a-with\n", false),
        ]);
        assert_eq!(order, ["b-without", "a-with"]);
    }
}
