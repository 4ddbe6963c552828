//! The container's program, ready for `execve(2)`.

use std::collections::HashMap;
use std::ffi::CString;

use super::attributes::{self, Attributes};
use super::credentials::{self, Credentials};
use super::labels::{self, Labels};
use super::{Namespaces, Options, User, c_string, seccomp};
use crate::error::{Error, Result};
use crate::seccomp::Filter;
use crate::spec;
use crate::sys::exec::StringArray;
use crate::sys::process::{Resource, Rlimit};

/// What the child becomes.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) argv: StringArray,
    pub(crate) envp: StringArray,
    /// Directories of the container's `PATH`, for a program without a slash.
    pub(crate) path: Vec<CString>,
    /// Absolute.
    pub(crate) cwd: CString,
    /// Whether `HOME` is to be looked up in the container's `/etc/passwd`.
    pub(crate) find_home: bool,
    pub(crate) credentials: Credentials,
    pub(crate) rlimits: Vec<(Resource, Rlimit)>,
    pub(crate) attributes: Attributes,
    pub(crate) labels: Labels,
    /// Text for `/proc/self/oom_score_adj`.
    pub(crate) oom_score_adj: Option<String>,
    pub(crate) terminal: Option<Terminal>,
    /// The filter of its system calls, which its init loads.
    pub(crate) filter: Option<Filter>,
}

/// The program's terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    /// Rows and columns.
    pub(crate) size: Option<(u16, u16)>,
}

/// getrlimit(2).
const RLIMITS: &[(&str, Resource)] = &[
    ("RLIMIT_AS", Resource::As),
    ("RLIMIT_CORE", Resource::Core),
    ("RLIMIT_CPU", Resource::Cpu),
    ("RLIMIT_DATA", Resource::Data),
    ("RLIMIT_FSIZE", Resource::Fsize),
    ("RLIMIT_LOCKS", Resource::Locks),
    ("RLIMIT_MEMLOCK", Resource::Memlock),
    ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
    ("RLIMIT_NICE", Resource::Nice),
    ("RLIMIT_NOFILE", Resource::Nofile),
    ("RLIMIT_NPROC", Resource::Nproc),
    ("RLIMIT_RSS", Resource::Rss),
    ("RLIMIT_RTPRIO", Resource::Rtprio),
    ("RLIMIT_RTTIME", Resource::Rttime),
    ("RLIMIT_SIGPENDING", Resource::Sigpending),
    ("RLIMIT_STACK", Resource::Stack),
];

/// Plans `process`. It may be absent, until `start`: then there are no `argv`.
pub(crate) fn plan(
    config: &spec::Config,
    options: &Options,
    namespaces: &Namespaces,
) -> Result<Process> {
    let absent = spec::Process::absent();
    let process = config.process.as_ref().unwrap_or(&absent);
    if config.process.is_some() && process.args.first().is_none_or(String::is_empty) {
        return Err(Error::config("process.args", "must not be empty"));
    }
    if !process.cwd.starts_with('/') {
        return Err(Error::config("process.cwd", format!("{:?} must be absolute", process.cwd)));
    }
    let env = environment(&process.env)?;
    let home = env.iter().find_map(|text| text.strip_prefix("HOME="));
    let find_home = home.is_none_or(str::is_empty);
    let path = env.iter().find_map(|text| text.strip_prefix("PATH=")).unwrap_or_default();
    let listen = match options.listen_fds {
        0 => Vec::new(),
        count => vec![format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()],
    };
    let env = env
        .iter()
        .copied()
        .chain(listen.iter().map(String::as_str))
        .filter(|text| !(find_home && text.starts_with("HOME=")));
    let args = process.args.iter().enumerate();
    Ok(Process {
        argv: StringArray::new(
            args.map(|(i, arg)| c_string(&format!("process.args[{i}]"), arg))
                .collect::<Result<_>>()?,
        ),
        // An empty element would be the working directory, which is the image's
        // to fill: as in runc, nothing is found there.
        path: path
            .split(':')
            .filter(|dir| !dir.is_empty())
            .map(|dir| c_string("process.env", dir))
            .collect::<Result<_>>()?,
        envp: StringArray::new(
            env.map(|text| c_string("process.env", text)).collect::<Result<_>>()?,
        ),
        cwd: c_string("process.cwd", &process.cwd)?,
        find_home,
        credentials: credentials::plan(
            process,
            // Whoever enters a user namespace has all capabilities in it.
            if namespaces.user == User::Own { options.capabilities } else { u64::MAX },
        )?,
        rlimits: rlimits(&process.rlimits)?,
        attributes: attributes::plan(process, config.linux())?,
        labels: labels::plan(process, options)?,
        oom_score_adj: oom_score_adj(process)?,
        terminal: process.terminal.then(|| terminal(process)).transpose()?,
        filter: seccomp::plan(config.linux())?,
    })
}

/// The environment with the last of each name, in the order of the first.
fn environment(env: &[String]) -> Result<Vec<&str>> {
    let mut at: HashMap<&str, usize> = HashMap::with_capacity(env.len());
    let mut kept: Vec<&str> = Vec::with_capacity(env.len());
    for (index, text) in env.iter().enumerate() {
        let field = || format!("process.env[{index}]");
        match text.split_once('=') {
            Some(("", _)) => return Err(Error::config(field(), "has no name before `=`")),
            None => return Err(Error::config(field(), format!("{text:?} has no `=`"))),
            Some(_) if text.contains('\0') => {
                return Err(Error::config(field(), "must not contain a NUL byte"));
            }
            Some((name, _)) => match at.get(name) {
                Some(&known) => kept[known] = text,
                None => {
                    at.insert(name, kept.len());
                    kept.push(text);
                }
            },
        }
    }
    Ok(kept)
}

/// config.md#posix-process: an unknown or a repeated type is an error.
fn rlimits(limits: &[spec::Rlimit]) -> Result<Vec<(Resource, Rlimit)>> {
    let mut planned: Vec<(Resource, Rlimit)> = Vec::with_capacity(limits.len());
    for (index, limit) in limits.iter().enumerate() {
        let field = |name: &str| format!("process.rlimits[{index}].{name}");
        let known = RLIMITS.iter().find(|(name, _)| *name == limit.kind);
        let &(name, resource) = known.ok_or_else(|| {
            Error::config(field("type"), format!("unknown resource limit {:?}", limit.kind))
        })?;
        if planned.iter().any(|(seen, _)| *seen == resource) {
            return Err(Error::config(field("type"), format!("duplicate resource limit {name}")));
        }
        if limit.soft > limit.hard {
            return Err(Error::config(
                field("soft"),
                format!("{} is above the hard limit {}: invalid argument", limit.soft, limit.hard),
            ));
        }
        // The largest value stands for "unlimited", here and in the kernel.
        let value = |v: u64| (v != u64::MAX).then_some(v);
        planned.push((resource, Rlimit { current: value(limit.soft), maximum: value(limit.hard) }));
    }
    Ok(planned)
}

fn terminal(process: &spec::Process) -> Result<Terminal> {
    let size = process.console_size.map(|size| -> Result<_> {
        let number = |field: &str, size: u64| {
            u16::try_from(size).map_err(|_| Error::config(field, format!("{size} is over 65535")))
        };
        Ok((
            number("process.consoleSize.height", size.height)?,
            number("process.consoleSize.width", size.width)?,
        ))
    });
    Ok(Terminal { size: size.transpose()? })
}

fn oom_score_adj(process: &spec::Process) -> Result<Option<String>> {
    match process.oom_score_adj {
        Some(score) if !(-1000..=1000).contains(&score) => Err(Error::config(
            "process.oomScoreAdj",
            format!("{score} is not between -1000 and 1000"),
        )),
        score => Ok(score.map(|score| score.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(process: &str) -> spec::Config {
        spec::Config::parse(format!(r#"{{"process":{process}}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn last_of_a_variable_wins_in_the_place_of_the_first() {
        let env: Vec<String> = ["A=1", "B=2", "A=3"].map(String::from).to_vec();
        assert_eq!(environment(&env).unwrap(), ["A=3", "B=2"]);
    }

    #[test]
    fn an_empty_home_is_looked_up() {
        let p = plan(
            &config(r#"{"cwd":"/","args":["a"],"env":["HOME=","X=1"]}"#),
            &Options::default(),
            &Namespaces::default(),
        )
        .unwrap();
        assert!(p.find_home);
        assert_eq!(p.envp.strings().len(), 1);
        assert!(
            !plan(
                &config(r#"{"cwd":"/","args":["a"],"env":["HOME=/x"]}"#),
                &Options::default(),
                &Namespaces::default()
            )
            .unwrap()
            .find_home
        );
    }

    #[test]
    fn bad_values_are_told_with_their_path() {
        for (process, field) in [
            (r#"{"cwd":"/","args":[]}"#, "process.args"),
            (r#"{"cwd":"x","args":["a"]}"#, "process.cwd"),
            (r#"{"cwd":"/","args":["a"],"env":["X"]}"#, "process.env[0]"),
            (r#"{"cwd":"/","args":["a"],"env":["=x"]}"#, "process.env[0]"),
            (r#"{"cwd":"/","args":["a"],"oomScoreAdj":1001}"#, "process.oomScoreAdj"),
            (
                r#"{"cwd":"/","args":["a"],"rlimits":[{"type":"RLIMIT_X"}]}"#,
                "process.rlimits[0].type",
            ),
            (
                r#"{"cwd":"/","args":["a"],"rlimits":[{"type":"RLIMIT_AS"},{"type":"RLIMIT_AS"}]}"#,
                "process.rlimits[1].type",
            ),
            (
                r#"{"cwd":"/","args":["a"],"rlimits":[{"type":"RLIMIT_AS","soft":2,"hard":1}]}"#,
                "process.rlimits[0].soft",
            ),
        ] {
            let e = plan(&config(process), &Options::default(), &Namespaces::default())
                .unwrap_err()
                .to_string();
            assert!(e.starts_with(&format!("config.json: {field}: ")), "{e}");
        }
    }
}
