//! Running containers, exec, networks, builds.

use crate::section::{Scenario, scenario, skip};
use crate::shell::{fails, gives, run, session, sh, until, until_processes};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("import images; it uses the runtime", uses_the_runtime),
        scenario("run, exit codes, stdin", runs),
        scenario("run -it debian /bin/bash", interactive),
        scenario("published ports, the bridge, a network with names", networks),
        scenario("exec, top, logs, stats, pause, restart, kill", exec),
        scenario("create, init, start; --init", init),
        scenario("healthcheck run", health),
        scenario("build and commit", build),
        scenario("--rootfs with an overlay", rootfs),
        scenario("mount propagation", propagation),
        scenario("checkpoint", checkpoint).fails_on("crun", "Debian's is built without CRIU"),
    ]
}

fn uses_the_runtime() {
    gives("podman info -f '{{.Host.OCIRuntime.Path}}'", &sh("readlink $RT"));
    gives("podman images --format '{{.Repository}}' | sort", "localhost/bb\nlocalhost/debian");
}

fn runs() {
    gives("podman run --rm bb echo hello", "hello");
    fails(3, "podman run --rm bb sh -c 'exit 3'", "");
    fails(127, "podman run --rm bb nosuchcommand", "nosuchcommand");
    fails(126, "podman run --rm bb /etc/plain", "ermission denied");
    gives("echo through | podman run --rm -i bb cat", "through");
    gives("podman run --rm bb sh -c 'echo out; echo err >&2' 2>/dev/null", "out");
}

fn interactive() {
    let mut bash = session("exec podman run --rm --name tty -it debian /bin/bash");
    bash.until(":/# ");
    bash.types("hostname; stty size\n");
    bash.until("33 99\r\n");
    bash.terminal.resize(44, 111);
    bash.types("until [ \"$(stty size)\" = '44 111' ]; do sleep 0.1; done; echo re''sized\n");
    bash.until("resized\r\n");
    bash.types("sleep 620\n");
    until_processes("sleep 620", 1);
    bash.types("\x03");
    bash.until(":/# ");
    bash.types("exit 7\n");
    assert_eq!(bash.ends(), 7);
}

fn networks() {
    for (name, port) in [("web1", 8180), ("web2", 8181)] {
        sh(&format!(
            "podman run -d --name {name} -p {port}:80 bb sh -c 'echo I am {name} >/www/index.html; exec httpd -f -p 80 -h /www'"
        ));
        until(&format!("[ \"$(curl -sm 2 http://127.0.0.1:{port}/)\" = 'I am {name}' ]"));
    }
    let ip = sh("podman inspect -f '{{.NetworkSettings.IPAddress}}' web1");
    gives(&format!("podman run --rm bb wget -qO- http://{ip}/"), "I am web1");
    sh("podman rm -f -t 0 web1 web2; podman network create named");
    sh("podman run -d --name server --network named bb httpd -f -p 80 -h /www");
    until(
        "podman run --rm --network named bb timeout 3 wget -qO- http://server/ | grep 'it works'",
    );
    sh("podman rm -f -t 0 server; podman network rm named");
    gives("podman run --rm --network none bb ls /sys/class/net", "lo");
}

fn exec() {
    sh("podman run -d --name exec -m 64m bb sh -c 'echo begun; exec sleep 621'");
    gives("echo in | podman exec -i exec cat", "in");
    fails(9, "podman exec exec sh -c 'exit 9'", "");
    gives(
        "podman exec -u 1000:2000 -e A=b -w /tmp exec sh -c 'id -u; id -g; echo $A; pwd'",
        "1000\n2000\nb\n/tmp",
    );
    fails(127, "podman exec exec nosuchcommand", "nosuchcommand");
    sh("podman top exec pid args | grep 'sleep 621'");
    gives("podman logs exec", "begun");
    let stats = sh("podman stats --no-stream --format '{{.PIDs}} {{.MemUsage}}' exec");
    assert!(stats.starts_with("1 ") && stats.contains("/ 67.11MB"), "{stats}");
    sh("podman pause exec");
    gives("podman inspect -f '{{.State.Status}}' exec", "paused");
    sh("podman unpause exec; podman restart -t 0 exec");
    gives("podman logs exec", "begun\nbegun");
    sh("podman kill exec");
    gives("podman wait exec", "137");
    sh("podman rm exec");
}

fn init() {
    sh("podman create --name stages bb sh -c 'echo ran; exit 4'");
    sh("podman init stages");
    gives(
        "podman inspect -f '{{.State.Status}}' stages",
        if sh("podman version -f '{{.Client.Version}}'").starts_with("3.") {
            "created"
        } else {
            "initialized"
        },
    );
    fails(4, "podman start -a stages", "ran");
    sh("podman rm stages");
    sh("podman run -d --name init --init bb sleep 622");
    sh(
        "podman exec init grep -q catatonit /proc/1/cmdline || podman exec init grep -q init /proc/1/cmdline",
    );
    sh("podman stop -t 5 init");
    gives("podman inspect -f '{{.State.ExitCode}}' init", "143");
    sh("podman rm init");
}

fn health() {
    sh(
        "podman run -d --name health --health-cmd 'test -e /well' --health-interval disable bb sleep 600",
    );
    fails(1, "podman healthcheck run health", "");
    sh("podman exec health touch /well; podman healthcheck run health; podman rm -f -t 0 health");
}

fn build() {
    sh("mkdir -p $W/build; cd $W/build; echo data >file
        printf '%s\\n' 'FROM bb' 'COPY file /file' 'RUN id -u >/uid && cat /file >/copy' 'USER user' 'CMD cat /uid /copy; id -u' >Dockerfile
        podman build --no-cache --isolation oci -t built .");
    gives("podman run --rm built", "0\ndata\n1000");
    assert_ne!(
        run("printf 'FROM bb\\nRUN exit 23\\n' | podman build --no-cache --isolation oci -").code,
        0
    );
    sh(
        "podman run --name committed bb sh -c 'echo kept >/kept'; podman commit committed kept; podman rm committed",
    );
    gives("podman run --rm kept cat /kept", "kept");
    sh("podman rmi built kept");
}

fn rootfs() {
    sh("mkdir -p $W/rootfs; tar -C $W/rootfs -xf $W/images/bb.tar");
    gives("podman run --rm --rootfs $W/rootfs:O sh -c 'echo new >/new; cat /new'", "new");
    sh("[ ! -e $W/rootfs/new ]");
}

fn propagation() {
    sh(
        "mkdir -p $W/prop; mount -t tmpfs tmpfs $W/prop; mount --make-shared $W/prop; mkdir $W/prop/rslave $W/prop/rprivate",
    );
    for kind in ["rslave", "rprivate"] {
        sh(&format!("podman run -d --name {kind} -v $W/prop:/p:{kind} bb sleep 600"));
        sh(&format!("mount -t tmpfs {kind} $W/prop/{kind}"));
        let seen = sh(&format!("podman exec {kind} grep -c ' /p/{kind} ' /proc/mounts || true"));
        assert_eq!(seen, if kind == "rprivate" { "0" } else { "1" }, "{kind}");
        sh(&format!("podman rm -f -t 0 {kind}; umount $W/prop/{kind}"));
    }
    sh("umount -R $W/prop");
}

fn checkpoint() {
    if run("criu check").code != 0 {
        skip("criu cannot work here");
    }
    sh(
        "podman run -d --name checkpoint bb sh -c 'i=0; while :; do i=$((i+1)); echo $i; usleep 50000; done'",
    );
    until("podman logs checkpoint | grep -x 5");
    sh("podman container checkpoint -R checkpoint");
    gives("podman inspect -f '{{.State.Status}}' checkpoint", "running");
    sh("podman container checkpoint checkpoint");
    let last = sh("podman logs checkpoint | tail -n 1");
    sh("podman container restore checkpoint");
    until(&format!("[ $(podman logs checkpoint | tail -n 1) -gt {last} ]"));
    gives("podman logs checkpoint | grep -cx 1", "1");
    // As to another machine.
    sh("podman exec checkpoint sh -c 'echo kept >/file'");
    sh("podman container checkpoint -e $W/tmp/checkpoint.tar.gz checkpoint");
    let last = sh("podman logs checkpoint | tail -n 1");
    sh("podman rm checkpoint; podman container restore -i $W/tmp/checkpoint.tar.gz -n moved");
    until(&format!("[ $(podman logs moved | tail -n 1) -gt {last} ]"));
    gives("podman logs moved | grep -cx 1", "1");
    gives("podman exec moved cat /file", "kept");
    sh("podman rm -f -t 0 moved; rm $W/tmp/checkpoint.tar.gz");
}
