//! What engines and people rely on beyond the specification: the command line
//! of runc, its output, its words, its log.

mod arguments;
mod bad_input;
mod checkpoint;
mod checkpoint_edges;
mod console;
mod crash;
mod descriptors;
mod errors;
mod events;
mod exec;
mod exec_edges;
mod features;
mod list;
mod logs;
mod notify;
mod old_kernels;
mod pause;
mod run;
mod spec;
mod state;
mod update;

use crate::support::Test;

pub(crate) fn tests() -> Vec<Test> {
    [
        arguments::tests(),
        bad_input::tests(),
        checkpoint::tests(),
        checkpoint_edges::tests(),
        console::tests(),
        crash::tests(),
        descriptors::tests(),
        errors::tests(),
        events::tests(),
        exec::tests(),
        exec_edges::tests(),
        features::tests(),
        list::tests(),
        logs::tests(),
        pause::tests(),
        notify::tests(),
        old_kernels::tests(),
        run::tests(),
        spec::tests(),
        state::tests(),
        update::tests(),
    ]
    .concat()
}
