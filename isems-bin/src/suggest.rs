//! What somebody may have meant who misspelt a name.

/// The candidates that are near to `name`, the nearest first, at most `limit`.
pub(crate) fn near<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    limit: usize,
) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let mut found: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let offered = candidate.to_lowercase();
            let distance =
                if !wanted.is_empty() && (offered.contains(&wanted) || wanted.contains(&offered)) {
                    1
                } else {
                    edits(&wanted, &offered)
                };
            (distance <= 1 + wanted.chars().count() / 4).then_some((distance, candidate))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(limit).map(|(_, name)| name).collect()
}

/// The number of letters to insert, remove or replace (Levenshtein distance).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&to) {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        row[0] = i + 1;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_nearest_first() {
        let nodes = ["Elektra-Dach", "Elektra-Keller", "Balkon", "Wurzelwerk"];
        for (asked, offered) in [
            ("elektra-dach", vec!["Elektra-Dach"]),
            ("Elektra", vec!["Elektra-Dach", "Elektra-Keller"]),
            ("Balkno", vec!["Balkon"]),
            ("Balkon", vec!["Balkon"]),
            ("something else", vec![]),
        ] {
            assert_eq!(near(asked, nodes, 3), offered, "{asked}");
        }
    }

    #[test]
    fn no_more_are_offered_than_asked_for() {
        assert_eq!(near("n", ["n1", "n2", "n3"], 2), ["n1", "n2"]);
    }
}
