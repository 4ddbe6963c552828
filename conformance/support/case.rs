//! One test's own world: a scratch directory, a state directory, ids that no
//! other test has, and the record of what was run.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::command::{Invocation, Output};
use super::{Bundle, leaks, old_kernel, scratch};

pub(crate) struct Case {
    /// In the id of each container and so in the path of each cgroup; the
    /// dash at the end keeps 1 apart from 10.
    pub(crate) tag: String,
    pub(crate) dir: PathBuf,
    count: Cell<u32>,
    live: RefCell<BTreeSet<String>>,
    bundles: RefCell<Vec<PathBuf>>,
    /// What runs the runtime, and with it all that it starts.
    wrapper: RefCell<Vec<OsString>>,
    record: RefCell<Vec<Output>>,
}

impl Case {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = scratch::DIR.join(number.to_string());
        fs::create_dir_all(&dir).expect("a scratch directory");
        Self {
            tag: format!("c{}-{number}-", std::process::id()),
            dir,
            count: Cell::new(0),
            live: RefCell::default(),
            bundles: RefCell::default(),
            wrapper: RefCell::default(),
            record: RefCell::default(),
        }
    }

    /// The state directory, which the runtime has to make.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join("state")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads a file that a hook, say, has written to [`Self::path`].
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn next(&self) -> u32 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    pub(crate) fn bundle(&self) -> Bundle<'_> {
        let bundle = Bundle::new(self);
        self.bundles.borrow_mut().push(bundle.dir.clone());
        bundle
    }

    /// The runtime with this case's `--root`, and a log of its own.
    pub(crate) fn runtime<I: AsRef<str>>(
        &self,
        arguments: impl IntoIterator<Item = I>,
    ) -> Invocation<'_> {
        Invocation::new(self).args(arguments)
    }

    /// From now on the kernel seems to lack these system calls, separated by
    /// commas; no longer if there are none.
    pub(crate) fn lacks(&self, calls: &str) {
        let wrapper = || vec![old_kernel::PROGRAM.clone().into(), calls.into()];
        *self.wrapper.borrow_mut() = if calls.is_empty() { Vec::new() } else { wrapper() };
    }

    pub(crate) fn wrapper(&self) -> Vec<OsString> {
        self.wrapper.borrow().clone()
    }

    /// The ids in the state directory.
    pub(crate) fn ids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    pub(crate) fn note(&self, output: &Output) {
        self.record.borrow_mut().push(output.clone());
    }

    /// Says that container `id` is there by right, and to be deleted at the end.
    pub(crate) fn expect_live(&self, id: &str) {
        self.live.borrow_mut().insert(id.into());
    }

    /// Deletes what the test has created; then nothing may be left of it.
    pub(crate) fn finish(&self) {
        for id in self.live.take() {
            if self.root().join(&id).exists() {
                self.runtime(["delete", "--force", &id]).run().ok();
            }
        }
        self.leaves_nothing();
        fs::remove_dir_all(&self.dir).expect("remove the scratch directory");
    }

    /// No state, no process, no mount and no cgroup of this case is there.
    pub(crate) fn leaves_nothing(&self) {
        let leaks = leaks::settled(self);
        assert!(leaks.is_empty(), "left behind:\n{}", leaks.join("\n"));
    }

    /// After a failure: ends and removes everything without further questions.
    pub(crate) fn clean_up(&self) {
        for id in self.ids() {
            self.runtime(["delete", "--force", &id]).try_run();
        }
        leaks::remove(self);
        if leaks::mounts(&self.dir).is_empty() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }

    /// All that helps to understand a failure.
    pub(crate) fn report(&self) -> String {
        let mut report = String::new();
        for output in self.record.borrow().iter() {
            let _ = writeln!(report, "{output}");
        }
        for bundle in self.bundles.borrow().iter() {
            let config = bundle.join("config.json");
            let _ = writeln!(report, "{}: {}", config.display(), file(&config));
        }
        for id in self.ids() {
            if let Some(state) = self.runtime(["state", &id]).try_run() {
                let _ = writeln!(report, "{state}");
            }
        }
        report
    }
}

fn file(path: &Path) -> String {
    fs::read(path).map_or_else(
        |error| error.to_string(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}
