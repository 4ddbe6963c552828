//! Buildah.

use crate::podman;
use crate::section::{Scenario, Section, scenario};
use crate::shell::{fails, gives, session, sh, until};

pub(crate) fn section() -> Section {
    Section { name: "buildah", start, scenarios: scenarios() }
}

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("import", import),
        scenario("run: exit code, stdin, user, mount, -t", runs),
        scenario("commit", commit),
        scenario("bud", bud),
        scenario("nothing left", nothing_left).last(),
    ]
}

fn start() {
    podman::configure();
    sh("id=$(buildah pull oci-archive:$W/images/bb-oci.tar); buildah tag $id bb");
}

fn import() {
    sh("buildah images --format '{{.Name}}' | grep -x localhost/bb");
}

fn runs() {
    sh("buildah from --name work bb");
    let run = "buildah run --isolation oci --runtime $RT";
    gives(&format!("{run} work echo hello"), "hello");
    fails(3, &format!("{run} work sh -c 'exit 3'"), "");
    gives(&format!("echo in | {run} work cat"), "in");
    gives(&format!("{run} --user user work id -u"), "1000");
    gives(&format!("mkdir -p $W/m; echo f >$W/m/f; {run} -v $W/m:/m work cat /m/f"), "f");
    fails(1, &format!("{run} --cap-drop CAP_CHOWN work chown 1 /tmp"), "not permitted");
    let mut shell = session(&format!("exec {run} -t work sh"));
    shell.until("/ # ");
    shell.types("tty; exit 6\n");
    shell.until("/dev/pts/0");
    assert_eq!(shell.ends(), 6);
    sh("buildah rm work");
}

fn commit() {
    sh(
        "buildah from --name tocommit bb; buildah run --isolation oci --runtime $RT tocommit sh -c 'echo kept >/kept'; buildah commit --rm tocommit kept",
    );
    sh("buildah from --name committed kept");
    gives("buildah run --isolation oci --runtime $RT committed cat /kept", "kept");
    sh("buildah rm committed");
}

fn bud() {
    sh("mkdir -p $W/bud; cd $W/bud; echo data >file
        printf '%s\\n' 'FROM bb' 'COPY file /file' 'RUN cat /file >/copy && id -u >>/copy' 'USER user' 'RUN id -u >/tmp/uid' >Dockerfile
        buildah bud --isolation oci --runtime $RT --no-cache -t built .");
    sh("buildah from --name frombud built");
    gives("buildah run --isolation oci --runtime $RT frombud cat /copy /tmp/uid", "data\n0\n1000");
    sh("buildah rm frombud");
    fails(
        23,
        "printf 'FROM bb\\nRUN exit 23\\n' >$W/bud/failing; buildah bud --isolation oci --runtime $RT --no-cache -f $W/bud/failing $W/bud",
        "exit status 23",
    );
}

fn nothing_left() {
    sh("buildah rm -a");
    until("! ls /run/runc /run/crun /run/minke 2>/dev/null | grep -v : | grep .");
    until("! grep 'storage/overlay/' /proc/mounts");
    until("! find /sys/fs/cgroup -path '*buildah-*' -type d | grep .");
}
