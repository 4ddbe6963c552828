//! The advisories of runtimes so far, by what they went through: each attack as
//! far as a bundle can make it.

mod descriptors;
mod devices;
mod executable;
mod links;
mod procfs;
mod races;

use crate::support::Test;

pub(crate) fn tests() -> Vec<Test> {
    [
        descriptors::tests(),
        devices::tests(),
        executable::tests(),
        links::tests(),
        procfs::tests(),
        races::tests(),
    ]
    .concat()
}
