//! Relations between packages (Debian policy, chapter 7): `Depends`, `Provides`, `Conflicts` and the others.

use crate::version;
use std::cmp::Ordering;
use std::fmt;

/// A relation field: all of its groups must hold, and of each group one alternative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relations<'a> {
    /// The groups, in the order in which they are written; no group is empty.
    pub groups: Vec<Vec<Relation<'a>>>,
}

/// One package named in a relation field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relation<'a> {
    /// The name of the package, real or virtual.
    pub name: &'a str,
    /// What follows the name after a colon: an architecture, `any` or `native`.
    pub qualifier: Option<&'a str>,
    /// Which versions are meant; all, if absent.
    pub bound: Option<Bound<'a>>,
    /// For which architectures the relation holds at all; all, if empty.
    pub architectures: Vec<Architecture<'a>>,
}

/// A bound on a version, such as `>= 1.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bound<'a> {
    /// How the version must compare.
    pub operator: Operator,
    /// What it is compared with.
    pub version: &'a str,
}

/// How a version must compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `<<`: strictly earlier.
    Earlier,
    /// `<=`, and the obsolete `<`: earlier or equal.
    EarlierOrEqual,
    /// `=`: exactly equal.
    Equal,
    /// `>=`, and the obsolete `>`: later or equal.
    LaterOrEqual,
    /// `>>`: strictly later.
    Later,
}

/// One word of an architecture list such as `[amd64 !i386]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Architecture<'a> {
    /// The name or wildcard.
    pub name: &'a str,
    /// Whether it stands behind a `!`.
    pub negated: bool,
}

impl Operator {
    /// Gives the operator as policy writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }

    fn admits(self, order: Ordering) -> bool {
        match self {
            Self::Earlier => order.is_lt(),
            Self::EarlierOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::LaterOrEqual => order.is_ge(),
            Self::Later => order.is_gt(),
        }
    }
}

impl Bound<'_> {
    /// Says whether `version` is within the bound.
    pub fn admits(&self, version: &str) -> bool {
        self.operator.admits(version::compare(version, self.version))
    }
}

impl<'a> Relation<'a> {
    /// Says whether `version` of the named package is meant.
    pub fn admits(&self, version: &str) -> bool {
        self.bound.is_none_or(|bound| bound.admits(version))
    }

    /// Says whether the relation holds on `architecture` (policy section 7.1; `linux-any` and `any` are known).
    pub fn applies_to(&self, architecture: &str) -> bool {
        let matches = |pattern: &str| match pattern {
            "any" | "linux-any" => true,
            _ => pattern == architecture || pattern.strip_prefix("any-") == Some(architecture),
        };
        match self.architectures.first() {
            None => true,
            Some(first) if first.negated => !self.architectures.iter().any(|a| matches(a.name)),
            Some(_) => self.architectures.iter().any(|a| matches(a.name)),
        }
    }

    /// Reads one relation without alternatives, such as `dash (>= 0.5)`.
    pub fn parse(text: &'a str) -> Result<Self, RelationError> {
        parse_relation(text)
    }
}

impl<'a> Relations<'a> {
    /// Gives the groups, in the order in which they are written.
    pub fn iter(&self) -> std::slice::Iter<'_, Vec<Relation<'a>>> {
        self.groups.iter()
    }

    /// Reads a relation field; commas separate groups, bars alternatives, empty groups are passed over.
    pub fn parse(text: &'a str) -> Result<Self, RelationError> {
        let mut groups = Vec::new();
        for group in text.split(',').filter(|group| !group.trim().is_empty()) {
            groups.push(group.split('|').map(parse_relation).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Self { groups })
    }
}

fn parse_relation(written: &str) -> Result<Relation<'_>, RelationError> {
    let text = written.trim();
    let error = |problem| RelationError { relation: text.to_owned(), problem };
    let name_end = text.find(|c: char| !is_name_character(c)).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(name_end);
    if name.is_empty() {
        return Err(error(RelationProblem::NoName));
    }
    let mut qualifier = None;
    if let Some(after) = rest.strip_prefix(':') {
        let end = after.find(|c: char| !is_name_character(c)).unwrap_or(after.len());
        qualifier = Some(&after[..end]).filter(|q| !q.is_empty());
        if qualifier.is_none() {
            return Err(error(RelationProblem::Syntax));
        }
        rest = &after[end..];
    }
    rest = rest.trim_start();
    let mut bound = None;
    if let Some(after) = rest.strip_prefix('(') {
        let (inside, after) = after.split_once(')').ok_or_else(|| error(RelationProblem::Syntax))?;
        bound = Some(parse_bound(inside).ok_or_else(|| error(RelationProblem::Bound))?);
        rest = after.trim_start();
    }
    let mut architectures = Vec::new();
    if let Some(after) = rest.strip_prefix('[') {
        let (inside, after) = after.split_once(']').ok_or_else(|| error(RelationProblem::Syntax))?;
        architectures.extend(inside.split_whitespace().map(|word| match word.strip_prefix('!') {
            Some(name) => Architecture { name, negated: true },
            None => Architecture { name: word, negated: false },
        }));
        rest = after.trim_start();
    }
    if rest.starts_with('<') {
        return Err(error(RelationProblem::Profile));
    }
    if !rest.is_empty() {
        return Err(error(RelationProblem::Syntax));
    }
    Ok(Relation { name, qualifier, bound, architectures })
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_')
}

fn parse_bound(text: &str) -> Option<Bound<'_>> {
    let text = text.trim();
    let end = text.find(|c| !"<>=".contains(c))?;
    let operator = match &text[..end] {
        "<<" => Operator::Earlier,
        "<=" | "<" => Operator::EarlierOrEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::LaterOrEqual,
        ">>" => Operator::Later,
        _ => return None,
    };
    let version = text[end..].trim();
    (!version.is_empty() && !version.contains(char::is_whitespace)).then_some(Bound { operator, version })
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some(bound) = self.bound {
            write!(f, " ({} {})", bound.operator.as_str(), bound.version)?;
        }
        for (i, architecture) in self.architectures.iter().enumerate() {
            let before = if i == 0 { " [" } else { " " };
            let negation = if architecture.negated { "!" } else { "" };
            write!(f, "{before}{negation}{}", architecture.name)?;
        }
        if self.architectures.is_empty() { Ok(()) } else { f.write_str("]") }
    }
}

impl fmt::Display for Relations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.groups.iter().enumerate() {
            for (j, relation) in group.iter().enumerate() {
                let before = match (i, j) {
                    (0, 0) => "",
                    (_, 0) => ", ",
                    _ => " | ",
                };
                write!(f, "{before}{relation}")?;
            }
        }
        Ok(())
    }
}

/// A relation that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationError {
    /// The relation as written.
    pub relation: String,
    /// What is wrong with it.
    pub problem: RelationProblem,
}

/// What may be wrong with a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationProblem {
    /// It does not begin with the name of a package.
    NoName,
    /// What stands in parentheses is not an operator and a version.
    Bound,
    /// It has build profiles, which only source packages may.
    Profile,
    /// Something else does not belong.
    Syntax,
}

impl fmt::Display for RelationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.problem {
            RelationProblem::NoName => "it does not begin with the name of a package",
            RelationProblem::Bound => "an operator and a version are expected between the parentheses",
            RelationProblem::Profile => "build profiles have no place in a binary package",
            RelationProblem::Syntax => "the syntax is wrong",
        };
        write!(f, "cannot understand the relation `{}`: {problem}", self.relation)
    }
}

impl std::error::Error for RelationError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_relation_is_understood_and_printed_again() {
        let text =
            "libc6 (>= 2.38), default-mta | mail-transport-agent, perl:any, a (<< 2) [amd64 !i386], b:native";
        let relations = Relations::parse(text).unwrap();
        assert_eq!(relations.to_string(), text);
        assert_eq!(relations.groups.len(), 5);
        assert_eq!(relations.groups[1][1].name, "mail-transport-agent");
        assert_eq!(relations.groups[2][0].qualifier, Some("any"));
        assert_eq!(
            relations.groups[0][0].bound,
            Some(Bound { operator: Operator::LaterOrEqual, version: "2.38" })
        );
    }

    #[test]
    fn blanks_line_ends_and_empty_groups_do_not_matter() {
        let relations = Relations::parse("a(=1) ,\n b ( << 2 ),,").unwrap();
        assert_eq!(relations.to_string(), "a (= 1), b (<< 2)");
        assert_eq!(Relations::parse(" ").unwrap(), Relations::default());
    }

    #[test]
    fn each_operator_admits_what_it_says() {
        let cases = [
            ("<<", "100"),
            ("<=", "110"),
            ("=", "010"),
            (">=", "011"),
            (">>", "001"),
            ("<", "110"),
            (">", "011"),
        ];
        for (operator, expected) in cases {
            let text = format!("x ({operator} 2)");
            let relation = Relation::parse(&text).unwrap();
            let admitted: String =
                ["1", "2", "3"].iter().map(|v| if relation.admits(v) { '1' } else { '0' }).collect();
            assert_eq!(admitted, expected, "{operator}");
        }
    }

    #[test]
    fn architecture_lists_include_or_exclude() {
        let applies = |text: &str| Relation::parse(text).unwrap().applies_to("amd64");
        assert!(
            applies("a")
                && applies("a [amd64]")
                && applies("a [linux-any]")
                && applies("a [any-amd64 arm64]")
        );
        assert!(!applies("a [arm64]") && !applies("a [!amd64 !arm64]") && applies("a [!arm64]"));
    }

    #[test]
    fn what_is_no_relation_is_refused_with_the_reason() {
        let problem = |text: &str| Relations::parse(text).unwrap_err().problem;
        assert_eq!(problem("(>= 1)"), RelationProblem::NoName);
        assert_eq!(problem("a |"), RelationProblem::NoName);
        assert_eq!(problem("a (1)"), RelationProblem::Bound);
        assert_eq!(problem("a (=> 1)"), RelationProblem::Bound);
        assert_eq!(problem("a (>= 1"), RelationProblem::Syntax);
        assert_eq!(problem("a b"), RelationProblem::Syntax);
        assert_eq!(problem("a <!nocheck>"), RelationProblem::Profile);
    }
}
