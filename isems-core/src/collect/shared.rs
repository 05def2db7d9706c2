//! Which runs a stretch shares, by how many of its lines are stored under each.

/// What a stretch shares with a run: lines by their place in the stretch.
pub(super) struct Shared {
    pub(super) run: usize,
    /// Lines within the run's reported range.
    pub(super) within: Vec<usize>,
    /// Those of them that are stored under it with the same values.
    pub(super) found: Vec<usize>,
}

/// Marks the lines that are known by what is shared: at least half of those
/// within a run's range. A line that is known under one run says nothing for or
/// against another, so each run that is recognised can let another be.
pub(super) fn recognise_by(shared: &[Shared], known: &mut [Option<usize>]) {
    let mut recognised = true;
    while recognised {
        recognised = false;
        for Shared { run, within, found } in shared {
            let unknown = |lines: &[usize]| {
                lines.iter().copied().filter(|line| known[*line].is_none()).collect::<Vec<_>>()
            };
            let (within, found) = (unknown(within), unknown(found));
            if !found.is_empty() && found.len() * 2 >= within.len() {
                for line in found {
                    known[line] = Some(*run);
                }
                recognised = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_lines_that_no_other_run_explains_make_a_run_known() {
        let all = &[0, 1, 2, 3][..];
        let shared = |run, within: &[usize], found: &[usize]| Shared {
            run,
            within: within.to_vec(),
            found: found.to_vec(),
        };
        for (why, shared, expected) in [
            ("half", vec![shared(7, all, &[1, 2])], [None, Some(7), Some(7), None]),
            ("less than half", vec![shared(7, all, &[1])], [None; 4]),
            ("nothing", vec![shared(7, &[], &[])], [None; 4]),
            (
                "the newest run explains the rest",
                vec![shared(9, all, &[0, 1, 2]), shared(7, all, &[3])],
                [Some(9), Some(9), Some(9), Some(7)],
            ),
            (
                "an older run explains the rest",
                vec![shared(9, all, &[3]), shared(7, all, &[0, 1, 2])],
                [Some(7), Some(7), Some(7), Some(9)],
            ),
            (
                "known under both: under the newest",
                vec![shared(9, all, &[0, 1]), shared(7, all, &[0, 1])],
                [Some(9), Some(9), None, None],
            ),
        ] {
            let mut known = [None; 4];
            recognise_by(&shared, &mut known);
            assert_eq!(known, expected, "{why}");
        }
    }
}
