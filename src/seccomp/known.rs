//! What is known of the arguments at a place of the argument checks.

use super::bpf::{IF_EQ, IF_GE, IF_GT};

/// Words of the six arguments.
const WORDS: usize = 12;

/// For each word the range it must be in, and which of them is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Word and mask of what is in the accumulator.
    loaded: Option<(usize, u32)>,
    ranges: [(u32, u32); WORDS],
    /// The last value that each word has been found not to have.
    excluded: [Option<u32>; WORDS],
}

impl Default for Known {
    fn default() -> Self {
        Self { loaded: None, ranges: [(0, u32::MAX); WORDS], excluded: [None; WORDS] }
    }
}

impl Known {
    /// Word and mask of what is loaded.
    pub(super) fn loaded(&self) -> Option<(usize, u32)> {
        self.loaded
    }

    /// After `word` has been loaded.
    pub(super) fn load(mut self, word: usize) -> Self {
        self.loaded = (word < WORDS).then_some((word, u32::MAX));
        self
    }

    /// After what is loaded has been masked.
    pub(super) fn mask(mut self, mask: u32) -> Self {
        self.loaded = self.loaded.map(|(word, before)| (word, before & mask));
        self
    }

    /// What both know: for a place with two ways to it.
    pub(super) fn meet(mut self, other: &Self) -> Self {
        if self.loaded != other.loaded {
            self.loaded = None;
        }
        for (mine, theirs) in self.ranges.iter_mut().zip(&other.ranges) {
            *mine = (mine.0.min(theirs.0), mine.1.max(theirs.1));
        }
        for (mine, theirs) in self.excluded.iter_mut().zip(&other.excluded) {
            *mine = mine.filter(|_| mine == theirs);
        }
        self
    }

    /// The range of what is loaded.
    fn range(&self) -> (u32, u32) {
        match self.loaded {
            Some((word, u32::MAX)) => self.ranges[word],
            Some((word, mask)) => match self.ranges[word] {
                (low, high) if low == high => (low & mask, low & mask),
                _ => (0, mask),
            },
            None => (0, u32::MAX),
        }
    }

    /// Whether what is loaded has been found not to be `k`.
    fn excludes(&self, k: u32) -> bool {
        matches!(self.loaded, Some((word, u32::MAX)) if self.excluded[word] == Some(k))
    }

    /// Whether a test of what is loaded holds, where that is known.
    pub(super) fn decides(&self, code: u16, k: u32) -> Option<bool> {
        let (low, high) = self.range();
        match code {
            IF_EQ if low == k && high == k => Some(true),
            IF_EQ if k < low || k > high || self.excludes(k) => Some(false),
            IF_GT if low > k => Some(true),
            IF_GT if high <= k => Some(false),
            IF_GE if low >= k => Some(true),
            IF_GE if high < k => Some(false),
            _ => None,
        }
    }

    /// What is known once the test has been found to hold, or not to; `None`
    /// where that cannot be.
    pub(super) fn given(&self, code: u16, k: u32, holds: bool) -> Option<Self> {
        if self.decides(code, k) == Some(!holds) {
            return None;
        }
        let mut then = self.clone();
        if let Some((word, u32::MAX)) = self.loaded {
            let (low, high) = self.ranges[word];
            if (code, holds) == (IF_EQ, false) {
                then.excluded[word] = Some(k);
            }
            // `decides` has said that none of these leaves the range empty.
            then.ranges[word] = match (code, holds) {
                (IF_EQ, true) => (k, k),
                (IF_EQ, false) if k == low => (low.saturating_add(1), high),
                (IF_EQ, false) if k == high => (low, high.saturating_sub(1)),
                (IF_GT, true) => (low.max(k.saturating_add(1)), high),
                (IF_GT, false) => (low, high.min(k)),
                (IF_GE, true) => (low.max(k), high),
                (IF_GE, false) => (low, high.min(k.saturating_sub(1))),
                _ => (low, high),
            };
        }
        Some(then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_narrow_the_range_of_the_loaded_word() {
        let known = Known::default().load(3);
        let low = known.given(IF_GT, 10, false).unwrap();
        assert_eq!(low.decides(IF_EQ, 11), Some(false));
        assert_eq!(low.decides(IF_EQ, 10), None);
        assert_eq!(low.given(IF_GE, 11, true), None);
        let ten = low.given(IF_GE, 10, true).unwrap();
        assert_eq!(ten.decides(IF_EQ, 10), Some(true));
        assert_eq!(ten.clone().load(2).decides(IF_EQ, 10), None);
        assert_eq!(ten.load(2).load(3).decides(IF_EQ, 10), Some(true));
    }

    #[test]
    fn a_value_that_was_not_found_is_not_looked_for_again() {
        let known = Known::default().load(3).given(IF_EQ, 10, false).unwrap();
        assert_eq!(known.decides(IF_EQ, 10), Some(false));
        assert_eq!(known.decides(IF_EQ, 11), None);
        assert_eq!(known.clone().mask(0xff).decides(IF_EQ, 10), None);
        assert_eq!(known.clone().load(2).decides(IF_EQ, 10), None);
        assert_eq!(known.meet(&Known::default().load(3)).decides(IF_EQ, 10), None);
    }

    #[test]
    fn a_masked_word_is_known_where_the_word_is() {
        let known = Known::default().load(0).mask(0xf0);
        assert_eq!(known.decides(IF_EQ, 0x100), Some(false));
        assert_eq!(known.decides(IF_EQ, 0x10), None);
        let exact = Known::default().load(0).given(IF_EQ, 0x1ff, true).unwrap().mask(0xf0);
        assert_eq!(exact.decides(IF_EQ, 0xf0), Some(true));
        // A test of a part says nothing yet about the whole.
        let part = known.given(IF_EQ, 0x10, true).unwrap().load(0);
        assert_eq!(part.decides(IF_EQ, 0x10), None);
    }

    #[test]
    fn two_ways_leave_what_both_know() {
        let start = Known::default().load(1);
        let meet = start.given(IF_EQ, 5, true).unwrap().meet(&start.given(IF_EQ, 9, true).unwrap());
        assert_eq!(meet.decides(IF_GT, 9), Some(false));
        assert_eq!(meet.decides(IF_GE, 5), Some(true));
        assert_eq!(meet.decides(IF_EQ, 5), None);
        assert_eq!(meet.clone().meet(&Known::default()).loaded(), None);
    }
}
