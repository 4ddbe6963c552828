//! `start`: the container's program begins.

use std::os::fd::AsFd;

use super::create::blame_memory;
use super::notify::Notify;
use super::state::State;
use super::status::{Op, Status};
use super::store::{Container, InitId, Record, Store};
use crate::error::{Doing, Error, Result};
use crate::hooks;
use crate::init::step::Step;
use crate::link::wire::{self, MAX_TEXT, Message};
use crate::link::words::start_words;
use crate::sys::Errno;

/// Starts the container `id`: steps 7 to 9 of the lifecycle.
pub(crate) fn start(store: &Store, id: &str) -> Result<()> {
    let (container, record, _) = store.lock_for(id, Op::Start)?;
    let notify = Notify::listen(store, id)?;
    started(&container, &record)?;
    container.unlock();
    let (Some(notify), Some(init)) = (notify, record.init) else { return Ok(()) };
    match init.alive() {
        Some(alive) => notify.wait(init.pid, alive.pidfd.as_fd()),
        None => Ok(()),
    }
}

/// Lets the init of a created container go on, and waits until it has
/// executed the program or said why not.
pub(crate) fn started(container: &Container, record: &Record) -> Result<()> {
    if record.program.is_empty() {
        return Err(without_process(record));
    }
    let socket = container.connect().or_else(|errno| match errno {
        // A program that has the name of our init: the socket went with the start.
        Errno::NOENT | Errno::CONNREFUSED => {
            Status::Running.permit(Op::Start, &record.id)?;
            Err(Error::os("connect to the container's init", errno))
        }
        errno => Err(Error::os("connect to the container's init", errno)),
    })?;
    let go = Message { step: Step::Start as u16, item: 0, errno: 0 };
    wire::send(socket.as_fd(), go, b"").doing(|| "tell the container's init to start")?;
    let mut executing = false;
    loop {
        let mut text = [0; MAX_TEXT];
        let received = wire::receive(socket.as_fd(), &mut text).or_else(|errno| match errno {
            // The program is there, or init is gone with our message unread.
            Errno::CONNRESET => Ok(None),
            errno => Err(errno),
        });
        match received.doing(|| "hear from the container's init")? {
            Some((message, _)) if message.errno == 0 => {
                executing |= Step::of(message) == Some(Step::Executing);
            }
            Some((message, len)) => return Err(failure(record, message, &text[..len])),
            None if executing && record.init.is_none_or(InitId::has_executed) => break,
            None => {
                let what = "container init died before it could execute the program".to_owned();
                let error = Error::Init { step: "vanished", what, errno: None };
                return Err(blame_memory(error, record));
            }
        }
    }
    container.unlink_start();
    after_start(record)
}

/// The container ends, as with any other program that cannot be executed.
fn without_process(record: &Record) -> Error {
    kill(record);
    Error::config("process", "must be set for a container to be started")
}

fn kill(record: &Record) {
    if let Some(alive) = record.init.and_then(InitId::alive) {
        let _ = alive.send(9);
    }
}

/// runc's rule for `poststart`: if one fails, the container is killed.
fn after_start(record: &Record) -> Result<()> {
    if record.poststart.is_empty() {
        return Ok(());
    }
    let running = State::new(record, Status::Running).compact();
    hooks::run_all("poststart", &record.poststart, &running, &record.bundle)
        .inspect_err(|_| kill(record))
}

fn failure(record: &Record, message: Message, text: &[u8]) -> Error {
    let step = Step::of(message);
    Error::Init {
        step: step.map_or("unknown", Step::name),
        what: start_words(&record.program, message, &String::from_utf8_lossy(text)),
        errno: (message.errno > 0).then(|| Errno::from_raw_os_error(message.errno)),
    }
}
