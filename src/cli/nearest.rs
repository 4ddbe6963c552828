//! What may a mistyped word have meant?

/// The candidate that `word` is a likely slip of, if there is one.
///
/// A third of the letters may be wrong, missing, too many, or swapped with
/// their neighbour; the beginning of a name of at least three letters counts,
/// too.
pub(super) fn nearest<'a>(
    word: &str,
    mut candidates: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let near = candidates
        .clone()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate);
    near.filter(|_| word.len() > 1)
        .or_else(|| candidates.find(|candidate| word.len() >= 3 && candidate.starts_with(word)))
}

/// Edits (insert, delete, replace, swap neighbours) from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = vec![];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut cost = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if j > 0 && last == Some(y) && b[j - 1] == x {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut above, row);
        last = Some(x);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("list", "lst", 1),
            ("list", "lsit", 1),
            ("state", "start", 2),
            ("kill", "list", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn slips_are_seen_and_other_words_are_not() {
        let names = ["create", "start", "state", "kill", "checkpoint", "list"];
        for (word, meant) in [
            ("craete", Some("create")),
            ("lst", Some("list")),
            ("chekpiont", Some("checkpoint")),
            ("check", Some("checkpoint")),
            ("killl", Some("kill")),
            ("banana", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names.into_iter()), meant, "{word}");
        }
    }
}
