//! Namespaces: what a container sees of others and of the host.

use crate::section::{Scenario, scenario};
use crate::shell::{gives, run, sh, until};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("pid namespace: PID 1 inside, another pid outside, kill from the host", pids),
        scenario("--pid container:/host, --ipc, --uts", shared),
        scenario("--cgroup-parent, --cgroupns private", cgroups),
        scenario("masked and read-only paths", masked),
    ]
}

fn pids() {
    gives("docker run --rm bb sh -c 'echo $$; ps | grep -c \"[d]ockerd\"; true'", "1\n0");
    sh("docker run -d --name pids bb sleep 605");
    let pid = sh("docker inspect -f '{{.State.Pid}}' pids");
    assert_ne!(pid, "1");
    gives(
        &format!("tr '\\0' ' ' </proc/{pid}/cmdline; grep NSpid: /proc/{pid}/status | cut -f3"),
        "sleep 605 1",
    );
    assert_ne!(run(&format!("docker exec pids kill -0 {pid}")).code, 0, "blind to the host");
    sh(&format!("kill -KILL {pid}"));
    gives("docker wait pids", "137");
    sh("docker rm pids");
}

fn shared() {
    sh("docker run -d --name nsof --ipc shareable bb sleep 606");
    sh("docker run --rm --pid container:nsof bb ps | grep '[s]leep 606'");
    sh("docker run --rm --pid host bb ps | grep '[d]ockerd'");
    gives(
        "docker run --rm --ipc container:nsof bb readlink /proc/self/ns/ipc",
        &sh("docker exec nsof readlink /proc/self/ns/ipc"),
    );
    gives(
        "docker run --rm --ipc host bb readlink /proc/self/ns/ipc",
        &sh("readlink /proc/self/ns/ipc"),
    );
    gives("docker run --rm --uts host bb hostname", &sh("hostname"));
    sh("docker rm -f nsof");
}

fn cgroups() {
    sh("docker run -d --name parent --cgroup-parent /other bb sleep 600");
    let pid = sh("docker inspect -f '{{.State.Pid}}' parent");
    sh(&format!("grep -q ':/other/' /proc/{pid}/cgroup"));
    sh("docker rm -f parent");
    gives(
        "docker run --rm --cgroupns private bb sh -c 'cut -d: -f3 /proc/self/cgroup | sort -u'",
        "/",
    );
    until("! find /sys/fs/cgroup -path '*/other/*' -type d | grep .");
}

fn masked() {
    gives(
        "docker run --rm bb sh -c '[ ! -e /proc/kcore ] || wc -c </proc/kcore | grep -vx 0; wc -c </proc/keys; ls /sys/firmware | wc -l'",
        "0\n0",
    );
    for path in ["/proc/sys/kernel/hostname", "/proc/irq/default_smp_affinity"] {
        run(&format!("docker run --rm bb sh -c 'echo x >{path}'")).says("Read-only file system");
    }
    gives("docker run --rm bb sh -c 'grep -c \" /sys .*[ ,]ro[, ]\" /proc/mounts'", "1");
}
