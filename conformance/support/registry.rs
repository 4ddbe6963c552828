//! The list of tests, with what each holds.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use libtest_mimic::{Completion, Failed, Trial};

use super::case::Case;
use super::needs::{self, Need};
use super::runtime;

/// `test!("L6", start_of_a_running_container_fails)`: the id of the rule in
/// the list of musts, or the source of the rule, and the function.
macro_rules! test {
    ($id:literal, $function:ident) => {
        $crate::support::Test::new($id, module_path!(), stringify!($function), $function)
    };
}
pub(crate) use test;

#[derive(Clone)]
pub(crate) struct Test {
    id: &'static str,
    module: &'static str,
    name: &'static str,
    run: fn(&Case),
    needs: Vec<Need>,
    known: Vec<Known>,
}

/// A failure of another runtime that is known.
#[derive(Clone)]
struct Known {
    runtime: &'static str,
    why: &'static str,
    always: bool,
}

impl Test {
    pub(crate) fn new(
        id: &'static str,
        module: &'static str,
        name: &'static str,
        run: fn(&Case),
    ) -> Self {
        Self { id, module, name, run, needs: vec![needs::root()], known: Vec::new() }
    }

    /// What must be there for the test to mean anything.
    pub(crate) fn needs(mut self, needs: Vec<Need>) -> Self {
        self.needs.extend(needs);
        self
    }

    /// For tests that read and do nothing.
    pub(crate) fn without_root(mut self) -> Self {
        self.needs.clear();
        self
    }

    /// This runtime (`"runc"`, or with a version, `"runc 1.1"`) breaks the
    /// rule. That it does is checked: a note that is no longer true fails.
    pub(crate) fn fails_on(mut self, runtime: &'static str, why: &'static str) -> Self {
        self.known.push(Known { runtime, why, always: true });
        self
    }

    /// The same for a failure that depends on who comes first.
    pub(crate) fn may_fail_on(mut self, runtime: &'static str, why: &'static str) -> Self {
        self.known.push(Known { runtime, why, always: false });
        self
    }

    fn path(&self) -> String {
        let module = self.module.split_once("::").map_or("", |(_, module)| module);
        format!("{module}::{}", self.name)
    }

    pub(crate) fn into_trial(self) -> Trial {
        Trial::ignorable_test(self.path(), move || self.verdict())
    }

    fn verdict(&self) -> Result<Completion, Failed> {
        if let Some(reason) = self.needs.iter().find_map(|need| need.as_ref().err()) {
            return self.skip(reason);
        }
        let known = self.known.iter().find(|known| runtime::LABEL.starts_with(known.runtime));
        match (self.run(), known) {
            (Err(_), Some(Known { runtime, why, .. })) => {
                Ok(Completion::ignored_with(format!("{runtime}: {why}")))
            }
            (Ok(()), Some(Known { runtime, always: true, .. })) => {
                Err(format!("passes, but is known to fail on {runtime}").into())
            }
            (result, _) => result.map(|()| Completion::Completed),
        }
    }

    fn skip(&self, reason: &str) -> Result<Completion, Failed> {
        if let Some(list) = &*ALLOWED_SKIPS {
            let path = self.path();
            let listed =
                list.lines().map(|line| line.split(" #").next().unwrap_or(line).trim_end());
            if !listed.into_iter().any(|line| line == reason || line == path) {
                return Err(format!("skipped, and not listed in ALLOWED_SKIPS: {reason}").into());
            }
        }
        Ok(Completion::ignored_with(reason))
    }

    fn run(&self) -> Result<(), Failed> {
        let case = Case::new();
        let run = catch_unwind(AssertUnwindSafe(|| {
            (self.run)(&case);
            case.finish();
        }));
        if run.is_ok() {
            return Ok(());
        }
        let report = case.report();
        case.clean_up();
        Err(format!("{}\n{report}", PANIC.take()).into())
    }
}

/// The lines of the file of that name: tests, or reasons, that may be skipped.
static ALLOWED_SKIPS: LazyLock<Option<String>> = LazyLock::new(|| {
    let path = std::env::var_os("ALLOWED_SKIPS")?;
    Some(std::fs::read_to_string(path).expect("the file of ALLOWED_SKIPS"))
});

thread_local! {
    /// Where and why this thread has panicked.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the words of a panic for the report, instead of printing them among
/// the results of the other threads.
pub(crate) fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| PANIC.set(panic.to_string())));
}

/// One line for each test: its id, its name, and the runtimes known to fail.
pub(crate) fn table(tests: &[Test]) -> String {
    let mut lines: Vec<String> = tests
        .iter()
        .map(|test| {
            let known: Vec<String> = test
                .known
                .iter()
                .map(|known| format!("{}: {}", known.runtime, known.why))
                .collect();
            format!("{}\t{}\t{}\n", test.id, test.path(), known.join("; "))
        })
        .collect();
    lines.sort();
    lines.concat()
}
