//! Podman as an ordinary user.

use crate::section::{Scenario, Section, scenario};
use crate::shell::{Ran, Session, run, session, until_processes};

pub(crate) fn section() -> Section {
    Section { name: "rootless podman", start, scenarios: scenarios() }
}

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("import", import),
        scenario("run, id maps, exit codes, keep-id", runs),
        scenario("run -it", interactive),
        scenario("slirp4netns port, exec, stop, start, kill", life),
        scenario("pod", pod),
        scenario("build", build),
        scenario("volumes, privileged, read-only, sysctl", options),
        scenario("nothing left", nothing_left).last(),
    ]
}

/// As the user `engtest`, who has a home and a runtime directory.
fn as_user(script: &str) -> String {
    let script = script.replace('\'', r"'\''");
    format!(
        "cd $W/rootless; unset CONTAINERS_STORAGE_CONF; export XDG_RUNTIME_DIR=/run/user/4321 HOME=$W/rootless TMPDIR=/tmp \
         CONTAINERS_CONF=$W/rootless/containers.conf; \
         exec setpriv --reuid 4321 --regid 4321 --init-groups --inh-caps=-all bash -euo pipefail -c '{script}'"
    )
}

fn user(script: &str) -> Ran {
    run(&as_user(script))
}

#[track_caller]
fn ok(script: &str) -> String {
    user(script).gives(0).stdout.trim().to_owned()
}

#[track_caller]
fn gives(script: &str, expected: &str) {
    let ran = user(script).gives(0);
    assert_eq!(ran.stdout.trim(), expected, "{ran}");
}

#[track_caller]
fn until(script: &str) {
    crate::shell::until(&as_user(script));
}

fn terminal(script: &str) -> Session {
    session(&as_user(script))
}

fn start() {
    ok(r#"
        mkdir -p .config/containers
        echo '{"default":[{"type":"insecureAcceptAnything"}]}' >.config/containers/policy.json
        cat >containers.conf <<END
[containers]
log_driver = "k8s-file"
[engine]
runtime = "$(readlink $RT)"
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime_supports_json = ["crun", "runc", "minke"]
runtime_supports_nocgroup = ["crun", "minke"]
END
        podman import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin:/usr/bin' $W/images/bb.tar bb:latest
    "#);
}

fn import() {
    gives("podman images --format '{{.Repository}}'", "localhost/bb");
    gives(
        "podman info -f '{{.Host.OCIRuntime.Path}} {{.Host.Security.Rootless}}'",
        &format!("{} true", ok("readlink $RT")),
    );
}

fn runs() {
    gives("podman run --rm bb echo hello", "hello");
    user("podman run --rm bb sh -c 'exit 3'").gives(3);
    user("podman run --rm bb nosuchcommand").gives(127);
    user("podman run --rm bb /etc/plain").gives(126);
    gives(
        "podman run --rm bb sh -c 'id -u; tr -s \" \" </proc/self/uid_map'",
        "0\n 0 4321 1\n 1 1000000 65536",
    );
    gives("podman run --rm --userns keep-id bb id -u", "4321");
    gives("podman run --rm -u 1000 bb id -u", "1000");
    gives("echo through | podman run --rm -i bb cat", "through");
}

fn interactive() {
    let mut shell = terminal("exec podman run --rm -it bb sh");
    shell.until("/ # ");
    shell.types("until [ \"$(stty size)\" = '33 99' ]; do usleep 50000; done; echo s''ized\n");
    shell.until("sized\r\n");
    shell.types("exit 6\n");
    assert_eq!(shell.ends(), 6);
}

fn life() {
    ok("podman run -d --name web -p 8280:80 bb httpd -f -p 80 -h /www");
    until("curl -sm 2 http://127.0.0.1:8280/ | grep 'it works'");
    gives("echo in | podman exec -i web cat", "in");
    user("podman exec web sh -c 'exit 9'").gives(9);
    ok("podman stop -t 1 web; podman start web");
    until("curl -sm 2 http://127.0.0.1:8280/ | grep 'it works'");
    ok("podman kill web");
    gives("podman wait web", "137");
    ok("podman rm web");
}

fn pod() {
    ok(
        "podman pod create --name pod; podman run -d --pod pod --name inpod bb httpd -f -p 80 -h /www",
    );
    until("podman run --rm --pod pod bb wget -qO- http://127.0.0.1/ | grep 'it works'");
    ok("podman pod rm -f -t 0 pod");
}

fn build() {
    ok(
        "mkdir -p build; cd build; echo data >file; printf '%s\\n' 'FROM bb' 'COPY file /file' 'RUN id -u >/uid' 'CMD cat /file /uid' >Dockerfile; podman build --no-cache -t built .",
    );
    gives("podman run --rm built", "data\n0");
}

fn options() {
    ok("mkdir -p bind; echo one >bind/file");
    gives("podman run --rm -v ./bind:/b bb sh -c 'cat /b/file; echo two >/b/file'", "one");
    gives("cat bind/file; stat -c %u bind/file", "two\n4321");
    user("podman run --rm -v ./bind:/b:ro bb touch /b/x").says("Read-only file system");
    ok("podman run --rm --privileged bb sh -c 'mount -t tmpfs tmpfs /tmp'");
    user("podman run --rm --read-only bb touch /x").says("Read-only file system");
    gives("podman run --rm --sysctl kernel.msgmax=9000 bb cat /proc/sys/kernel/msgmax", "9000");
}

fn nothing_left() {
    ok("podman pod rm -af -t 0; podman rm -af -t 0");
    until_processes("conmon", 0);
    until_processes("slirp4netns", 0);
    until(
        "! ls /run/user/4321/runc /run/user/4321/crun /run/user/4321/minke 2>/dev/null | grep -v : | grep .",
    );
}
