//! The graph as text, as a document, and in the language of graphviz.

use dinit_json::{Value, list, object};
use dinit_load::references::{Reference, Role};
use dinit_protocol::ServiceState;
use dinit_service::DependencyKind;

use super::{Drawing, Node};
use crate::output::text;
use crate::status::document::{is_marked_failed, state_word};
use crate::status::state_box;

/// How wide the longest setting is.
const SETTING_WIDTH: usize = 11;

impl Drawing {
    /// Shows each service with what it names below it.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for node in &self.nodes {
            let status = node.status.map(|status| format!("{} ", state_box(&status))).unwrap_or_default();
            text.extend(text![status, node.named.name, remarks(node), "\n"]);
            for Reference { role, name, .. } in &node.named.references {
                text.extend(text![format!("    {:<SETTING_WIDTH$}  ", role.setting()), name, "\n"]);
            }
        }
        text
    }

    /// Makes one document of all services and all references.
    pub(super) fn document(&self) -> Value {
        let service = |node: &Node| {
            let named = &node.named;
            object([
                ("name", Value::bytes(&named.name)),
                ("loaded", self.is_online.then_some(node.status.is_some()).into()),
                ("state", node.status.map(|status| state_word(status.state)).into()),
                ("file", named.file.as_deref().map(Value::bytes).into()),
                ("modified", self.is_online.then_some(node.modified).into()),
                ("problem", named.problem.as_deref().map(Value::bytes).into()),
            ])
        };
        let references = self.nodes.iter().flat_map(|node| {
            let from = &node.named.name;
            node.named.references.iter().map(move |reference| {
                object([
                    ("from", Value::bytes(from)),
                    ("to", Value::bytes(&reference.name)),
                    ("type", reference.role.setting().into()),
                    ("directory", reference.directory.as_deref().map(Value::bytes).into()),
                ])
            })
        });
        object([("services", list(self.nodes.iter().map(service))), ("references", list(references))])
    }

    /// Draws it for graphviz.
    pub(super) fn dot(&self) -> Vec<u8> {
        let mut text = b"digraph dinit {\n    node [shape=box];\n".to_vec();
        for node in &self.nodes {
            text.extend(text!["    ", quoted(&node.named.name), " [", look(node), "];\n"]);
        }
        for node in &self.nodes {
            for Reference { role, name, .. } in &node.named.references {
                let (from, to) = (quoted(&node.named.name), quoted(name));
                let look = format!(" [label=\"{}\", {}];\n", role.setting(), line_of(*role));
                text.extend(text!["    ", from, " -> ", to, look]);
            }
        }
        text.extend(b"}\n");
        text
    }
}

/// Gives what has to be said about a service behind its name.
fn remarks(node: &Node) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(problem) = &node.named.problem {
        text.extend(text![" (", problem, ")"]);
    }
    if node.modified {
        text.extend(b" (modified since loaded)");
    }
    text
}

fn look(node: &Node) -> &'static str {
    match node.status {
        _ if node.named.file.is_none() => "style=dotted",
        None => "style=solid",
        Some(status) if is_marked_failed(&status) => "style=filled, fillcolor=lightpink",
        Some(status) => match status.state {
            ServiceState::Started => "style=filled, fillcolor=palegreen",
            ServiceState::Starting | ServiceState::Stopping => "style=filled, fillcolor=khaki",
            ServiceState::Stopped => "style=filled, fillcolor=lightgrey",
        },
    }
}

fn line_of(role: Role) -> &'static str {
    match role {
        Role::Dependency(DependencyKind::Regular | DependencyKind::Preparation) => "style=solid",
        Role::Dependency(DependencyKind::Milestone) => "style=dashed",
        Role::Dependency(DependencyKind::Soft) => "style=dotted",
        Role::Before | Role::After => "style=dotted, color=grey, constraint=false",
        Role::Producer | Role::Chain => "style=dashed, color=blue, constraint=false",
    }
}

/// Puts a name into quotes as graphviz reads them.
fn quoted(name: &[u8]) -> Vec<u8> {
    let mut text = b"\"".to_vec();
    for byte in name {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text.push(b'"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_quotes() {
        assert_eq!(quoted(b"a\"b\\c"), b"\"a\\\"b\\\\c\"");
    }

    #[test]
    fn no_setting_is_wider_than_its_column() {
        let kinds = DependencyKind::SETTINGS.iter().map(|(_, kind)| Role::Dependency(*kind));
        for role in kinds.chain([Role::Before, Role::After, Role::Producer, Role::Chain]) {
            assert!(role.setting().len() <= SETTING_WIDTH, "{}", role.setting());
        }
    }
}
