//! What to take back when making a container fails.

/// A stack of inverse actions, run from the top unless all went well.
#[derive(Default)]
pub(super) struct Undo<'a> {
    actions: Vec<Box<dyn FnOnce() + 'a>>,
}

impl<'a> Undo<'a> {
    /// Adds what takes back the step that was just made.
    pub(super) fn push(&mut self, action: impl FnOnce() + 'a) {
        self.actions.push(Box::new(action));
    }

    /// All went well.
    pub(super) fn keep(mut self) {
        self.actions.clear();
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        while let Some(action) = self.actions.pop() {
            action();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn last_made_is_first_taken_back() {
        let seen = RefCell::new(Vec::new());
        {
            let mut undo = Undo::default();
            undo.push(|| seen.borrow_mut().push(1));
            undo.push(|| seen.borrow_mut().push(2));
        }
        assert_eq!(*seen.borrow(), [2, 1]);
    }

    #[test]
    fn what_is_kept_stays() {
        let seen = RefCell::new(0);
        {
            let mut undo = Undo::default();
            undo.push(|| *seen.borrow_mut() += 1);
            undo.keep();
        }
        assert_eq!(*seen.borrow(), 0);
    }
}
