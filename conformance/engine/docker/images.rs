//! Layers, commit, build, save and load.

use crate::section::{Scenario, scenario};
use crate::shell::{fails, gives, run, sh};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("import busybox and Debian root file systems", import),
        scenario("copy-on-write, whiteout, lower layer unchanged, diff", layers),
        scenario("commit", commit),
        scenario("build (classic builder)", build_classic),
        scenario("build (BuildKit)", build_buildkit),
        scenario("a failing RUN gives its exit code", failing_build),
        scenario("save and load", save_and_load),
        scenario("cp", copy),
    ]
}

fn import() {
    gives("docker run --rm bb busybox echo works", "works");
    gives(
        "docker run --rm debian bash -c 'echo ${BASH_VERSION%%.*}; . /etc/os-release; echo $ID'",
        "5\ndebian",
    );
}

fn layers() {
    sh(
        "docker run --name cow bb sh -c 'echo changed >/www/index.html; rm /etc/plain; echo new >/new'",
    );
    gives("docker run --rm bb cat /www/index.html /etc/plain", "it works\nnot a program");
    gives(
        "docker diff cow | grep -E '^(A|D) |index' | sort",
        "A /new\nC /www/index.html\nD /etc/plain",
    );
    let upper = sh("docker inspect -f '{{.GraphDriver.Data.UpperDir}}' cow");
    gives(&format!("stat -c %F {upper}/etc/plain"), "character special file");
    sh("docker rm cow");
}

fn commit() {
    sh("docker run --name committed bb sh -c 'echo kept >/kept; rm /etc/plain'");
    sh("docker commit -c 'CMD [\"cat\",\"/kept\"]' committed kept:1");
    gives("docker run --rm kept:1", "kept");
    assert_ne!(run("docker run --rm kept:1 cat /etc/plain").code, 0);
    sh("docker rm committed; docker rmi kept:1");
}

fn dockerfile(name: &str) {
    sh(&format!(
        "mkdir -p $W/{name}; cd $W/{name}; echo data >file
         printf '%s\\n' 'FROM bb' 'COPY file /file' 'RUN id -u >/uid && cat /file >/copy' 'USER user' 'WORKDIR /tmp' \
             'RUN id -u >uid' 'ENV A=b' 'CMD cat /uid /copy /tmp/uid; echo $A; pwd' >Dockerfile"
    ));
}

fn build_classic() {
    dockerfile("classic");
    sh("DOCKER_BUILDKIT=0 docker build --no-cache -t classic $W/classic");
    gives("docker run --rm classic", "0\ndata\n1000\nb\n/tmp");
    sh("docker rmi classic");
}

fn build_buildkit() {
    dockerfile("buildkit");
    let told =
        run("DOCKER_BUILDKIT=1 docker build --progress plain --no-cache -t buildkit $W/buildkit")
            .gives(0);
    assert!(told.stderr.contains('#') && told.stderr.contains("DONE"), "is it BuildKit? {told}");
    gives("docker run --rm buildkit", "0\ndata\n1000\nb\n/tmp");
    sh("docker rmi buildkit");
}

fn failing_build() {
    sh("mkdir -p $W/failing; printf '%s\\n' 'FROM bb' 'RUN exit 23' >$W/failing/Dockerfile");
    fails(
        23,
        "DOCKER_BUILDKIT=0 docker build --no-cache $W/failing",
        "returned a non-zero code: 23",
    );
    fails(
        1,
        "DOCKER_BUILDKIT=1 docker build --progress plain --no-cache $W/failing",
        "exit code: 23",
    );
    sh("docker container prune -f --filter until=0s >/dev/null || true");
}

fn save_and_load() {
    sh("docker tag bb saved:1; docker save -o $W/saved.tar saved:1; docker rmi saved:1");
    assert_ne!(run("docker inspect saved:1").code, 0);
    sh("docker load -i $W/saved.tar; rm $W/saved.tar");
    gives("docker run --rm saved:1 echo loaded", "loaded");
    sh("docker rmi saved:1");
}

fn copy() {
    sh("docker run -d --name copy bb sleep 600");
    sh("echo in >$W/tmp/copied; docker cp $W/tmp/copied copy:/tmp/in");
    gives("docker exec copy cat /tmp/in", "in");
    sh("docker exec copy sh -c 'echo out >/tmp/out'; docker cp copy:/tmp/out $W/tmp/copied");
    gives("cat $W/tmp/copied", "out");
    sh("docker rm -f copy");
}
