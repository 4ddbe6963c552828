//! `process.terminal`: to an engine by `--console-socket`, to a person by `run`.

use std::fs;

use rustix::process::Signal;
use rustix::termios::{LocalModes, OutputModes, tcgetattr, tcgetwinsize};

use crate::support::needs::needs;
use crate::support::terminal::{Receiver, Terminal};
use crate::support::{Bundle, Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("console", the_console_socket_gets_the_master),
        test!("console", the_terminal_is_the_one_of_the_program),
        test!("console", dev_console_is_the_terminal),
        test!("console", the_terminal_has_the_size_of_the_config),
        test!("console", a_size_that_no_terminal_has_is_refused).needs(needs![minke]),
        test!("console", the_terminal_of_an_engine_adds_carriage_returns),
        test!("console", the_terminal_controls_the_session_of_the_program),
        test!("console", the_terminal_belongs_to_the_user),
        test!("console", run_detach_takes_a_console_socket),
        test!("console", run_connects_the_terminal_of_the_caller),
        test!("console", run_adds_one_carriage_return_and_not_two)
            .may_fail_on("crun 1.8", "may lose the last output"),
        test!("console", run_follows_the_size_of_the_callers_terminal)
            .may_fail_on("crun 1.8", "sets it late"),
        test!("console", run_gives_the_callers_terminal_back_as_it_was),
        test!("console", run_with_a_terminal_passes_signals_on),
        test!("console", create_with_a_terminal_needs_a_console_socket),
        test!("console", a_console_socket_without_a_terminal_is_refused)
            .fails_on("crun", "ignores it"),
        test!("console", a_console_socket_in_the_foreground_is_refused).fails_on("crun", "uses it"),
        test!("console", a_console_socket_that_is_missing_fails_and_leaves_nothing),
    ]
}

fn terminal(bundle: Bundle<'_>) -> Bundle<'_> {
    bundle.set("/process/terminal", json!(true))
}

/// Creates and starts with a console socket.
fn started(case: &Case, bundle: &Bundle<'_>) -> Terminal {
    let socket = Receiver::new(case.path(&format!("{}.sock", case.next())));
    bundle.create_with(&["--console-socket", socket.path()]).ok();
    let (master, _) = socket.receive();
    bundle.start().ok();
    Terminal::of(master)
}

/// By `SCM_RIGHTS`, one descriptor; the bytes beside it are a name.
fn the_console_socket_gets_the_master(case: &Case) {
    let socket = Receiver::new(case.path("console.sock"));
    let bundle = terminal(case.bundle());
    bundle.create_with(&["--console-socket", socket.path()]).ok();
    let (master, name) = socket.receive();
    assert!(rustix::termios::isatty(&master));
    assert!(!name.is_empty());
}

/// All three streams are it, both ways.
fn the_terminal_is_the_one_of_the_program(case: &Case) {
    let bundle = terminal(case.bundle()).sh("tty; tty <&1; tty <&2; read line; echo got $line");
    let mut terminal = started(case, &bundle);
    terminal.until("/dev/pts/0\r\n/dev/pts/0\r\n/dev/pts/0\r\n");
    terminal.types("a line\n");
    terminal.until("got a line");
}

/// Also a default device: "/dev/console is set up if terminal is enabled".
fn dev_console_is_the_terminal(case: &Case) {
    let bundle = terminal(case.bundle())
        .sh("[ /dev/console -ef $(tty) ] && echo same || ls -l /dev; echo x > /dev/console");
    started(case, &bundle).until("same\r\nx");
}

/// "consoleSize … specifies the console size in characters of the terminal".
fn the_terminal_has_the_size_of_the_config(case: &Case) {
    let bundle =
        terminal(case.bundle()).set("/process/consoleSize", json!({"height": 31, "width": 97}));
    let mut terminal = started(case, &bundle.sh("stty size"));
    terminal.until("31 97");
    let size = tcgetwinsize(&terminal.master).unwrap();
    assert_eq!((size.ws_row, size.ws_col), (31, 97));
}

/// ioctl_tty(2): the kernel has 16 bits for each.
fn a_size_that_no_terminal_has_is_refused(case: &Case) {
    let size = json!({"height": 24, "width": 65536});
    let bundle = terminal(case.bundle()).set("/process/consoleSize", size);
    let socket = ["--console-socket", "/nowhere"];
    bundle.create_with(&socket).fails().says("process.consoleSize.width: 65536 is over 65535");
    case.leaves_nothing();
}

/// Engines put their own terminal into raw mode and need the carriage return.
fn the_terminal_of_an_engine_adds_carriage_returns(case: &Case) {
    let bundle = terminal(case.bundle()).sh("echo ready; read line");
    let mut terminal = started(case, &bundle);
    assert_eq!(terminal.until("ready\r\n"), "ready\r\n");
    assert!(tcgetattr(&terminal.master).unwrap().output_modes.contains(OutputModes::ONLCR));
}

/// setsid and `TIOCSCTTY`: Control-C reaches the program.
fn the_terminal_controls_the_session_of_the_program(case: &Case) {
    let bundle = terminal(case.bundle())
        .sh("trap 'echo interrupted; exit' INT; echo ready; while :; do sleep 0.01; done");
    let mut terminal = started(case, &bundle);
    terminal.until("ready");
    terminal.types("\u{3}");
    terminal.until("interrupted");
}

/// A user may open its own terminal again.
fn the_terminal_belongs_to_the_user(case: &Case) {
    let bundle = terminal(case.bundle()).set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let mut terminal = started(case, &bundle.sh("stat -c %u $(tty); echo again > $(tty)"));
    terminal.until("1000\r\nagain");
}

/// The other way to detach.
fn run_detach_takes_a_console_socket(case: &Case) {
    let socket = Receiver::new(case.path("console.sock"));
    let bundle = terminal(case.bundle()).sh("tty");
    bundle.run_with(&["--detach", "--console-socket", socket.path()]).ok();
    Terminal::of(socket.receive().0).until("/dev/pts/0");
}

/// In the foreground the runtime copies between both terminals.
fn run_connects_the_terminal_of_the_caller(case: &Case) {
    let (mut caller, slave) = Terminal::open(24, 80);
    let bundle = terminal(case.bundle()).sh("stty -echo; tty; read line; echo got $line; exit 4");
    let run = bundle.launch("run", &[]).terminal(slave).spawn();
    caller.until("/dev/pts/0");
    caller.types("a line\r");
    caller.until("got a line");
    run.wait().exits(4);
}

/// The container's terminal has ONLCR cleared, since the caller's adds them.
fn run_adds_one_carriage_return_and_not_two(case: &Case) {
    let (mut caller, slave) = Terminal::open(24, 80);
    let run =
        terminal(case.bundle()).sh("echo; echo ready").launch("run", &[]).terminal(slave).spawn();
    assert_eq!(caller.until("ready\r\n"), "\r\nready\r\n");
    run.wait().ok();
}

/// At the start, and when it changes.
fn run_follows_the_size_of_the_callers_terminal(case: &Case) {
    let (mut caller, slave) = Terminal::open(33, 99);
    let bundle = terminal(case.bundle())
        .sh("trap 'stty size' WINCH; stty size; while :; do sleep 0.01; done");
    let run = bundle.launch("run", &[]).terminal(slave).spawn();
    caller.until("33 99");
    caller.resize(44, 55);
    caller.until("44 55");
    bundle.kill("KILL").ok();
    run.wait().exits(137);
}

/// Raw while it runs, and again what it was.
fn run_gives_the_callers_terminal_back_as_it_was(case: &Case) {
    let (mut caller, slave) = Terminal::open(24, 80);
    let echo = |terminal: &Terminal| {
        tcgetattr(&terminal.master).unwrap().local_modes.contains(LocalModes::ECHO)
    };
    // The master's view ends with the last open slave.
    let _kept = slave.try_clone().unwrap();
    let bundle = terminal(case.bundle()).sh("echo ready; read line");
    let run = bundle.launch("run", &[]).terminal(slave).spawn();
    caller.until("ready");
    assert!(!echo(&caller), "raw");
    caller.types("\r");
    run.wait().ok();
    assert!(echo(&caller), "as it was");
}

/// From outside, not by a key.
fn run_with_a_terminal_passes_signals_on(case: &Case) {
    let (mut caller, slave) = Terminal::open(24, 80);
    let bundle =
        terminal(case.bundle()).sh("trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done");
    let run = bundle.launch("run", &[]).terminal(slave).spawn();
    caller.until("ready");
    run.signal(Signal::TERM);
    run.wait().exits(6);
}

/// "cannot allocate tty if runc will detach without setting console socket".
fn create_with_a_terminal_needs_a_console_socket(case: &Case) {
    let words = "will detach without setting console socket";
    terminal(case.bundle()).create().fails().says(words);
    terminal(case.bundle()).run_with(&["--detach"]).fails().says(words);
    case.leaves_nothing();
}

/// "cannot use console socket if runc will not detach or allocate tty".
fn a_console_socket_without_a_terminal_is_refused(case: &Case) {
    let socket = Receiver::new(case.path("console.sock"));
    let words = "cannot use console socket";
    case.bundle().create_with(&["--console-socket", socket.path()]).fails().says(words);
    case.leaves_nothing();
}

/// The same.
fn a_console_socket_in_the_foreground_is_refused(case: &Case) {
    let socket = Receiver::new(case.path("console.sock"));
    terminal(case.bundle())
        .run_with(&["--console-socket", socket.path()])
        .fails()
        .says("cannot use console socket");
    case.leaves_nothing();
}

/// Nobody there, or nothing.
fn a_console_socket_that_is_missing_fails_and_leaves_nothing(case: &Case) {
    let file = case.path("file");
    fs::write(&file, "").unwrap();
    for path in [case.path("no-such-socket"), file] {
        terminal(case.bundle()).create_with(&["--console-socket", path.to_str().unwrap()]).fails();
        case.leaves_nothing();
    }
}
