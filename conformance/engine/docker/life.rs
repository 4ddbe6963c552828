//! Running containers: terminals, exit codes, streams, signals, exec.

use crate::section::{Scenario, scenario, skip};
use crate::shell::{fails, gives, run, session, sh, until, until_within};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "run -i -t debian /bin/bash: prompt, hostname, ls /, window size, ^C, exit status",
            interactive,
        ),
        scenario("detach with ^P^Q and attach again", detach_and_attach),
        scenario("exit codes 0 3, 127 not found, 126 not executable", exit_codes)
            .fails_on("crun", "its words for a missing program give 125"),
        scenario("logs, stdout and stderr apart; stdin", streams),
        scenario("pause and unpause", pause),
        scenario("exec: stdin, user, env, cwd, exit code, detached, namespaces", exec),
        scenario("exec -it", exec_on_a_terminal),
        scenario("exec of what is not there", exec_of_nothing),
        scenario("stop with --stop-signal, kill -s, stop times out to KILL", signals),
        scenario("restart and restart policy", restart),
        scenario("--init", init),
        scenario("stats and top", stats_and_top),
        scenario("health checks", health),
        scenario("events", events),
        scenario("six runs at once", six_at_once),
        scenario("five short runs", five_in_a_row),
        scenario("the runtime's own state, list and ps see docker's container", the_runtimes_own)
            .fails_on("crun", "its ps prints pids alone"),
        scenario("checkpoint", checkpoint).fails_on("crun", "Debian's is built without CRIU"),
    ]
}

fn interactive() {
    let mut bash = session("exec docker run --name tty -i -t debian /bin/bash");
    bash.until("root@");
    let id = sh("docker inspect -f '{{.Config.Hostname}}' tty");
    bash.until(&format!("{id}:/# "));
    bash.types("hostname; stty size\n");
    bash.until(&format!("{id}\r\n33 99\r\n"));
    bash.until(&format!("{id}:/# "));
    bash.types("ls /\n");
    let listing = bash.until(&format!("{id}:/# "));
    for directory in ["bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "var"] {
        assert!(listing.split_whitespace().any(|word| word == directory), "{listing}");
    }
    bash.types("tty; ps -o pid= -p $$ | tr -d ' ' | sed s/^/pid/\n");
    bash.until("/dev/pts/0\r\npid1\r\n");
    bash.terminal.resize(44, 111);
    bash.types("until [ \"$(stty size)\" = '44 111' ]; do sleep 0.1; done; echo re''sized\n");
    bash.until("resized\r\n");
    bash.types("sleep 600\n");
    until("docker top tty | grep '[s]leep 600'");
    bash.types("\x03");
    bash.until(":/# ");
    bash.types("exit 7\n");
    assert_eq!(bash.ends(), 7);
    sh("docker rm tty");
}

fn detach_and_attach() {
    let mut first = session("exec docker run --name detach -i -t bb sh");
    first.until("/ # ");
    first.types("x=kept\n");
    first.until("/ # ");
    first.types("\x10\x11");
    assert_eq!(first.ends(), 0);
    gives("docker inspect -f '{{.State.Status}}' detach", "running");
    let mut second = session("exec docker attach detach");
    second.types("echo $x-$x; exit 5\n");
    second.until("kept-kept\r\n");
    assert_eq!(second.ends(), 5);
    sh("docker rm detach");
}

fn exit_codes() {
    sh("docker run --rm bb true");
    fails(3, "docker run --rm bb sh -c 'exit 3'", "");
    fails(127, "docker run --rm bb nosuchcommand", "executable file not found in $PATH");
    fails(127, "docker run --rm bb /no/such/file", "no such file or directory");
    fails(126, "docker run --rm bb /etc/plain", "permission denied");
    fails(
        137,
        "docker run --rm bb sh -c 'kill -9 $(sh -c \"echo \\$PPID\")' ; docker run --rm --init bb sh -c 'kill -9 $$'",
        "",
    );
}

fn streams() {
    sh("docker run -d --name streams bb sh -c 'echo to out; echo to err >&2'");
    gives("docker wait streams", "0");
    gives("docker logs streams 2>/dev/null", "to out");
    gives("docker logs streams 2>&1 >/dev/null", "to err");
    gives("docker logs --tail 1 streams 2>&1 | wc -l", "1");
    sh("docker run -d --name follow bb sh -c 'for i in 1 2 3; do echo $i; usleep 100000; done'");
    gives("docker logs -f follow", "1\n2\n3");
    gives("echo through | docker run --rm -i bb cat", "through");
    gives("head -c 1000000 /dev/zero | docker run --rm -i bb wc -c", "1000000");
    sh("docker rm streams follow");
}

fn pause() {
    sh("docker run -d --name pause bb sh -c 'while :; do date +%s%N >/now; usleep 20000; done'");
    until("docker exec pause cat /now");
    sh("docker pause pause");
    gives("docker inspect -f '{{.State.Status}} {{.State.Paused}}' pause", "paused true");
    run("docker exec pause true").says("is paused");
    let now = || sh("cat $(docker inspect -f '{{.GraphDriver.Data.MergedDir}}' pause)/now");
    let before = now();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(now(), before);
    sh("docker unpause pause");
    until(&format!("[ \"$(docker exec pause cat /now)\" != '{before}' ]"));
    sh("docker rm -f pause");
}

fn exec() {
    sh("docker run -d --name exec -e FROM=run bb sleep 600");
    gives("echo in | docker exec -i exec cat", "in");
    gives("docker exec exec sh -c 'echo $FROM'", "run");
    gives(
        "docker exec -u 1000:2000 -e A=b -w /tmp exec sh -c 'id -u; id -g; echo $A; pwd'",
        "1000\n2000\nb\n/tmp",
    );
    gives("docker exec -u user exec id", "uid=1000(user) gid=1000(user) groups=1000(user)");
    fails(9, "docker exec exec sh -c 'exit 9'", "");
    gives(
        "docker exec exec sh -c 'for n in cgroup ipc mnt net pid uts; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || echo $n; done'",
        "",
    );
    gives(
        "docker exec exec cat /proc/self/cgroup >$W/tmp/exec.a; docker exec exec cat /proc/1/cgroup | diff - $W/tmp/exec.a",
        "",
    );
    gives(
        "docker exec exec grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status >$W/tmp/exec.b; docker exec exec grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/1/status | diff - $W/tmp/exec.b",
        "",
    );
    sh("docker exec -d exec sh -c 'echo done >/detached; exec sleep 601'");
    until("[ \"$(docker exec exec cat /detached)\" = done ]");
    sh("docker top exec | grep '[s]leep 601'");
    sh("docker rm -f exec");
}

fn exec_on_a_terminal() {
    sh("docker run -d --name exectty bb sleep 600");
    let mut shell = session("exec docker exec -it exectty sh");
    shell.until("/ # ");
    shell.types("until [ \"$(stty size)\" = '33 99' ]; do usleep 50000; done; tty; echo s''ized\n");
    shell.until("/dev/pts/");
    shell.until("sized");
    shell.types("exit 6\n");
    assert_eq!(shell.ends(), 6);
    sh("docker rm -f exectty");
}

fn exec_of_nothing() {
    sh("docker run -d --name noexec bb sleep 600");
    let missing = run("docker exec noexec nosuchcommand").says("nosuchcommand");
    assert!(missing.code == 126 || missing.code == 127, "{missing}");
    assert_eq!(run("docker exec noexec /etc/plain").code, 126);
    assert_ne!(run("docker exec -u nobodyatall noexec true").code, 0);
    gives("docker exec noexec echo goes on", "goes on");
    sh("docker rm -f noexec");
}

fn signals() {
    let script = "trap \"echo got USR1; exit 4\" USR1; trap \"echo got HUP\" HUP; echo ready; while :; do usleep 20000; done";
    sh(&format!("docker run -d --name signals --stop-signal USR1 bb sh -c '{script}'"));
    until("docker logs signals | grep ready");
    sh("docker kill -s HUP signals");
    until("docker logs signals | grep 'got HUP'");
    sh("docker stop signals");
    gives(
        "docker inspect -f '{{.State.ExitCode}}' signals; docker logs signals | tail -n 1",
        "4\ngot USR1",
    );
    sh(
        "docker run -d --name deaf bb sh -c 'trap \"\" TERM; echo ready; while :; do usleep 20000; done'",
    );
    until("docker logs deaf | grep ready");
    sh("docker stop -t 1 deaf");
    gives("docker inspect -f '{{.State.ExitCode}}' deaf", "137");
    sh("docker rm signals deaf");
}

fn restart() {
    sh("docker run -d --name restart bb sh -c 'echo x >>/count; exec sleep 600'");
    until("docker exec restart cat /count");
    sh("docker restart -t 0 restart");
    until("[ $(docker exec restart wc -l </dev/null /count | cut -d' ' -f1) = 2 ]");
    sh("docker run -d --name policy --restart on-failure:2 bb sh -c 'echo try; exit 1'");
    until_within(
        40,
        "[ \"$(docker inspect -f '{{.RestartCount}} {{.State.Status}}' policy)\" = '2 exited' ]",
    );
    gives("docker logs policy", "try\ntry\ntry");
    sh("docker run -d --name always --restart always bb sh -c 'echo try; exec sleep 614'");
    until("docker logs always | grep try");
    sh("kill -KILL $(docker inspect -f '{{.State.Pid}}' always)");
    until(
        "[ \"$(docker inspect -f '{{.RestartCount}} {{.State.Running}}' always)\" = '1 true' ] && [ $(docker logs always | wc -l) = 2 ]",
    );
    sh("docker stop -t 0 always");
    gives("docker inspect -f '{{.State.Running}} {{.State.Restarting}}' always", "false false");
    sh("docker rm -f restart policy always");
}

fn init() {
    sh("docker run -d --name init --init bb sh -c '(sleep 0.1 &); exec sleep 600'");
    sh("docker exec init grep -q init /proc/1/cmdline");
    until("! docker exec init grep -l '^State:.Z' /proc/[0-9]*/status");
    sh("docker stop -t 5 init");
    gives("docker inspect -f '{{.State.ExitCode}}' init", "143");
    sh("docker rm init");
}

fn stats_and_top() {
    sh("docker run -d --name stats -m 64m bb sh -c 'sleep 602 & exec sleep 603'");
    until("[ $(docker top stats -o pid,args | grep -c '[s]leep 60') = 2 ]");
    let stats = sh("docker stats --no-stream --format '{{.PIDs}} {{.MemUsage}}' stats");
    assert!(
        stats.starts_with("2 ") && stats.ends_with("/ 64MiB") && !stats.contains(" 0B /"),
        "{stats}"
    );
    sh("docker rm -f stats");
}

fn health() {
    sh(
        "docker run -d --name health --health-cmd 'test -e /well' --health-interval 200ms --health-retries 1 bb sleep 600",
    );
    until("[ $(docker inspect -f '{{.State.Health.Status}}' health) = unhealthy ]");
    sh("docker exec health touch /well");
    until("[ $(docker inspect -f '{{.State.Health.Status}}' health) = healthy ]");
    sh("docker rm -f health");
}

fn events() {
    sh("docker run --name events bb true; docker start -a events; docker rm events");
    let events = sh(
        "docker events --since 60s --until $(($(date +%s) + 1)) --filter container=events --format '{{.Action}}' | paste -sd' '",
    );
    for action in ["create", "start", "die", "destroy"] {
        assert!(events.split(' ').any(|word| word == action), "{events}");
    }
    assert!(events.contains("start die"), "{events}");
}

fn six_at_once() {
    gives(
        "for i in 1 2 3 4 5 6; do docker run --rm bb echo $i & done | sort; wait",
        "1\n2\n3\n4\n5\n6",
    );
}

fn five_in_a_row() {
    gives("for i in 1 2 3 4 5; do docker run --rm bb echo $i; done", "1\n2\n3\n4\n5");
}

fn the_runtimes_own() {
    let id = sh("docker run -d --name own bb sleep 604");
    let pid = sh("docker inspect -f '{{.State.Pid}}' own");
    let root = "$RT --root /run/dk/runtime-*/moby";
    let state: serde_json::Value =
        serde_json::from_str(&sh(&format!("{root} state {id}"))).expect("JSON");
    assert_eq!(
        (state["status"].as_str(), state["pid"].to_string()),
        (Some("running"), pid.clone())
    );
    sh(&format!("{root} list | grep {id} | grep running"));
    sh(&format!("{root} ps {id} | grep 'sleep 604'"));
    sh(&format!("{root} ps --format json {id} | grep -w {pid}"));
    sh("docker rm -f own");
}

fn checkpoint() {
    if run("criu check").code != 0 {
        skip("criu cannot work here");
    }
    // Where it has not counted on but begun again, it says 1 once more.
    sh(
        "docker run -d --name checkpoint bb sh -c 'i=0; while :; do i=$((i+1)); echo $i; usleep 50000; done'",
    );
    until_within(20, "docker logs checkpoint | grep -x 5");
    sh("docker checkpoint create --leave-running checkpoint zero");
    gives("docker inspect -f '{{.State.Status}}' checkpoint", "running");
    sh("docker checkpoint create checkpoint one");
    until("[ $(docker inspect -f '{{.State.Status}}' checkpoint) = exited ]");
    let last = sh("docker logs checkpoint | tail -n 1");
    sh("docker start --checkpoint one checkpoint");
    until_within(20, &format!("[ $(docker logs checkpoint | tail -n 1) -gt {last} ]"));
    gives("docker logs checkpoint | grep -cx 1", "1");
    gives("docker exec checkpoint echo reached", "reached");
    sh("docker rm -f checkpoint");
}
