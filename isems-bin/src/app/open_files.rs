//! How many files and connections this process may have open.

use std::fs;

/// The limit of the system, where it tells it (Linux).
pub(super) fn limit() -> Option<usize> {
    in_table(&fs::read_to_string("/proc/self/limits").ok()?)
}

/// The soft limit in the table of `/proc/self/limits`; `None` also if there is
/// none.
fn in_table(limits: &str) -> Option<usize> {
    let row = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    row.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_first_number_of_its_row() {
        let table = |row: &str| {
            format!("Limit  Soft Limit  Hard Limit  Units\n{row}\nMax msgqueue  1  2  b")
        };
        let limited =
            "Max open files            1024                 524288               files     ";
        assert_eq!(in_table(&table(limited)), Some(1024));
        let endless =
            "Max open files            unlimited            unlimited            files     ";
        assert_eq!(in_table(&table(endless)), None);
        assert_eq!(in_table(""), None);
    }
}
