//! minke: an OCI low-level container runtime.

#![cfg_attr(not(test), no_main)]

mod cgroup;
mod check;
mod cli;
mod command;
mod container;
mod criu;
mod error;
mod hooks;
mod init;
mod link;
mod log;
mod netlink;
mod plan;
mod seccomp;
mod spec;
mod sys;
mod time;

/// Runs one command; the result is the exit code.
#[cfg_attr(test, expect(dead_code, reason = "tests have a main of their own"))]
fn run() -> u8 {
    let cli::Invocation { global, command } = cli::parse(std::env::args_os().skip(1));
    let logging = log::init(log::Setup {
        file: global.log.clone(),
        json: global.log_format == cli::LogFormat::Json,
        debug: global.debug,
    });
    let name = command.as_ref().map(cli::Matches::name).unwrap_or_default();
    match logging.and(command).and_then(|matches| command::run(&global, &matches)) {
        Ok(code) => {
            log::release();
            code
        }
        Err(error) => {
            log::error(&error);
            command::code_of_failure(name, &error)
        }
    }
}
