//! Sections and their scenarios, from outside and from inside of a place.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};

use crate::place::{Place, variable};
use crate::shell;

/// How long a scenario, or the start of a section, may take.
const LIMIT: Duration = Duration::from_secs(90);

/// What the exit code says of a scenario that this machine cannot run.
const SKIPPED: u8 = 77;

/// An engine with what is tried on it.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    /// Starts the daemon, if there is one, and imports the images.
    pub(crate) start: fn(),
    pub(crate) scenarios: Vec<Scenario>,
}

#[derive(Clone)]
pub(crate) struct Scenario {
    name: &'static str,
    run: fn(),
    alone: bool,
    last: bool,
    known: Vec<Known>,
}

/// A failure of another runtime that is known.
#[derive(Clone)]
struct Known {
    runtime: &'static str,
    why: &'static str,
    always: bool,
}

/// A scenario by its name.
pub(crate) fn scenario(name: &'static str, run: fn()) -> Scenario {
    Scenario { name, run, alone: false, last: false, known: Vec::new() }
}

impl Scenario {
    /// While this one runs, no other of the section does.
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// It ends the section: no other comes after it. The section's list has it at its end.
    pub(crate) fn last(mut self) -> Self {
        self.last = true;
        self
    }

    /// That it does is checked: a note that is no longer true fails.
    pub(crate) fn fails_on(mut self, runtime: &'static str, why: &'static str) -> Self {
        self.known.push(Known { runtime, why, always: true });
        self
    }

    /// The same for a failure that depends on who comes first.
    pub(crate) fn may_fail_on(mut self, runtime: &'static str, why: &'static str) -> Self {
        self.known.push(Known { runtime, why, always: false });
        self
    }
}

/// Ends the scenario as one that cannot be run here.
pub(crate) fn skip(why: &str) -> ! {
    println!("{why}");
    std::process::exit(SKIPPED.into())
}

/// Runs the scenario `SECTION: NAME`, or the start of `SECTION`, in this process.
pub(crate) fn inside(sections: &[Section], name: &str) -> ExitCode {
    let (section, scenario) = name.split_once(": ").unwrap_or((name, ""));
    let section = sections.iter().find(|known| known.name == section).expect("a section");
    shell::enter();
    let run = if scenario.is_empty() {
        section.start
    } else {
        section.scenarios.iter().find(|known| known.name == scenario).expect("a scenario").run
    };
    run();
    ExitCode::SUCCESS
}

/// A section while its tests run.
struct Live {
    name: &'static str,
    place: Mutex<Option<Result<Arc<Place>, String>>>,
    /// Scenarios share the place, but for those that need it alone.
    sharing: RwLock<()>,
    /// Each trial that is still to end, but for the last one, has a clone; those that are filtered out drop theirs.
    to_come: Arc<()>,
}

pub(crate) struct Outside(Vec<(Arc<Live>, Vec<Scenario>)>);

pub(crate) fn outside(sections: Vec<Section>) -> Outside {
    Outside(
        sections
            .into_iter()
            .map(|Section { name, scenarios, .. }| {
                let live = Live {
                    name,
                    place: Mutex::default(),
                    sharing: RwLock::default(),
                    to_come: Arc::default(),
                };
                (Arc::new(live), scenarios)
            })
            .collect(),
    )
}

impl Outside {
    pub(crate) fn trials(&self) -> Vec<Trial> {
        let pairs = self
            .0
            .iter()
            .flat_map(|(live, scenarios)| scenarios.iter().map(move |scenario| (live, scenario)));
        pairs
            .map(|(live, scenario)| {
                let (live, scenario) = (Arc::clone(live), scenario.clone());
                let name = format!("{}: {}", live.name, scenario.name);
                let to_come = (!scenario.last).then(|| Arc::clone(&live.to_come));
                Trial::ignorable_test(name.clone(), move || {
                    let verdict = live.verdict(&scenario, &name);
                    drop(to_come);
                    verdict
                })
            })
            .collect()
    }

    /// Ends the places and all that runs in them.
    pub(crate) fn end(&self) {
        for (live, _) in &self.0 {
            live.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}

impl Live {
    fn verdict(&self, scenario: &Scenario, name: &str) -> Result<Completion, Failed> {
        if variable("ENGINES_TAG").is_empty() {
            return Ok(Completion::ignored_with("hack/engines runs it"));
        }
        let runtime = variable("RUNTIME");
        let runtime = Path::new(&runtime).file_name().unwrap_or_default();
        let known = scenario.known.iter().find(|known| runtime == known.runtime);
        match (self.run(scenario, name), known) {
            (Err(_), Some(Known { runtime, why, .. })) => {
                Ok(Completion::ignored_with(format!("{runtime}: {why}")))
            }
            (Ok(Completion::Completed), Some(Known { runtime, always: true, .. })) => {
                Err(format!("passes, but is known to fail on {runtime}").into())
            }
            (result, _) => result.map_err(Into::into),
        }
    }

    fn run(&self, scenario: &Scenario, name: &str) -> Result<Completion, String> {
        while scenario.last && Arc::strong_count(&self.to_come) > 1 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let place = self.place()?;
        let (_alone, _shared);
        if scenario.alone {
            _alone = self.sharing.write().unwrap_or_else(PoisonError::into_inner);
        } else {
            _shared = self.sharing.read().unwrap_or_else(PoisonError::into_inner);
        }
        run_inside(&place, name)
    }

    /// The section's place, made and with its engine started when first asked for.
    fn place(&self) -> Result<Arc<Place>, String> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place
            .get_or_insert_with(|| {
                let place = Arc::new(Place::new(self.name)?);
                run_inside(&place, self.name).map_err(|why| format!("the start: {why}"))?;
                Ok(place)
            })
            .clone()
    }
}

fn run_inside(place: &Place, name: &str) -> Result<Completion, String> {
    let ended = place.run(name, LIMIT);
    let Some(status) = ended.status else {
        return Err(format!(
            "not done after {} s\n{}{}",
            LIMIT.as_secs(),
            ended.output,
            logs(place)
        ));
    };
    match status.code() {
        Some(0) => Ok(Completion::Completed),
        Some(code) if code == i32::from(SKIPPED) => {
            Ok(Completion::ignored_with(ended.output.lines().last().unwrap_or_default().to_owned()))
        }
        _ => Err(format!("{status}\n{}{}", ended.output, logs(place))),
    }
}

/// The ends of the daemons' logs.
fn logs(place: &Place) -> String {
    let mut report = String::new();
    for entry in std::fs::read_dir(place.file("/run/engines/log")).into_iter().flatten().flatten() {
        let text = std::fs::read(entry.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.contains("level=info") && !line.contains("level=warning"))
            .collect();
        let end = lines[lines.len().saturating_sub(12)..].join("\n");
        let _ = writeln!(report, "--- {}\n{end}", entry.file_name().to_string_lossy());
    }
    report
}
