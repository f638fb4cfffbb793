//! Names that are nearly the one that was written.

/// Finds the name nearest to `wanted`, if any is near enough to be worth a suggestion.
pub(crate) fn similar<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let limit = (wanted.chars().count() / 4).clamp(1, 3);
    let near = names
        .filter(|name| name.len().abs_diff(wanted.len()) <= limit)
        .map(|name| (distance(wanted, name), name))
        .filter(|(distance, _)| *distance <= limit);
    near.min().map(|(_, name)| name.to_owned())
}

/// Counts the letters that must be added, left out, replaced or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replaced = last[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = ["openssh-client", "openssh-server", "dash", "bash", "mount"];
        let find = |wanted: &str| similar(wanted, names.into_iter());
        assert_eq!(find("openssh-srver").as_deref(), Some("openssh-server"));
        assert_eq!(find("mounts").as_deref(), Some("mount"));
        assert_eq!(find("muont").as_deref(), Some("mount"));
        assert_eq!(find("emacs"), None);
    }
}
