//! config-linux.md#intelrdt, on file systems that stand for resctrl: a tmpfs
//! for what is written, a cgroup hierarchy for directories that are born with
//! a `tasks` file and can be removed with it. The runtime finds them in a
//! `/proc/PID/mountinfo` that has a line more.

use crate::support::command::Output;
use crate::support::needs::{Need, needs};
use crate::support::{Bundle, Case, Test, Value, json, runtime, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("R1", another_process_is_in_the_class_too).needs(needs()),
        test!("R2", without_resctrl_it_is_an_error)
            .fails_on("crun 1.8", "ignores it")
            .fails_on("runc 1.1", "checks only its schemata"),
        test!("R9", resctrl_is_left_alone_unless_asked_for).needs(needs()),
        test!("R1", the_process_is_in_the_tasks_of_its_class).needs(needs()),
        test!("R3", without_a_class_the_id_is_one_and_goes_with_the_container).needs(needs()),
        test!("R4", a_class_without_schema_must_be_there).needs(needs()),
        test!("R5", a_class_with_another_schema_is_an_error).needs(needs()),
        test!("R6", the_schemata_are_written_in_their_order).needs(needs()),
        test!("R7", a_monitoring_group_is_made_and_removed).needs(needs()),
        test!("R8", the_default_class_is_the_root).needs(needs()),
        test!("1.5", update_writes_other_schemata).needs(needs()),
        test!("1.5", a_dry_run_shows_the_schemata).needs(needs()),
        test!("1.5", update_of_schemata_fails_whole).needs(needs()),
        test!("bad", a_class_or_schema_that_cannot_be_is_refused).needs(needs()),
    ]
}

fn needs() -> Vec<Need> {
    needs![minke]
}

const TMPFS: &str = "mount -t tmpfs resctrl $R";

/// Runs `command` where `mount` has been mounted at `$R` as resctrl, and
/// `before` was run; afterwards `after`.
fn run(bundle: &Bundle<'_>, mount: &str, before: &str, after: &str) -> Output {
    run_command(bundle, "run", mount, before, after)
}

fn run_command(
    bundle: &Bundle<'_>,
    command: &str,
    mount: &str,
    before: &str,
    after: &str,
) -> Output {
    let root = bundle.case.path("resctrl");
    std::fs::create_dir_all(&root).unwrap();
    let script = format!(
        r#"R={}; {mount} || exit 9
        with_resctrl() {{
            cat /proc/self/mountinfo > $R.mountinfo
            echo "999 1 0:99 / $R rw - resctrl resctrl rw" >> $R.mountinfo
            sh -c 'mount --bind "$0" /proc/$$/mountinfo && exec "$@"' $R.mountinfo "$@"
        }}
        {before}
        with_resctrl "$@"
        code=$?
        {after}
        umount $R
        exit $code"#,
        root.display()
    );
    let wrapper = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    bundle.settle(bundle.launch(command, &[]).through(wrapper).run())
}

/// What `update` with `options` says to a container whose configuration has
/// `rdt`, and the schemata of its class `gold` then.
fn updated(case: &Case, rdt: Option<Value>, options: &str) -> String {
    let mut bundle = case.bundle().sh("exec sleep 1000 >/dev/null 2>&1");
    if let Some(rdt) = rdt {
        bundle = bundle.set("/linux/intelRdt", rdt);
    }
    let before = "mkdir -p $R/gold $R/info/L3 $R/info/MB
        printf '    L3:0=7f0;1=01f\nMB:0= 20;1= 70\n' > $R/gold/schemata";
    let minke = format!("{} --root {}", runtime::PATH.display(), case.root().display());
    let after = format!(
        "with_resctrl {minke} update {options} {} 2>&1; cat $R/gold/schemata; {minke} delete -f {0}",
        bundle.id
    );
    let output = run_command(&bundle, "create", TMPFS, before, &after).ok();
    case.leaves_nothing();
    output.stdout
}

/// What is not given is not written; the kernel then keeps it.
fn update_writes_other_schemata(case: &Case) {
    let gold = || Some(json!({"closID": "gold"}));
    let l3 = "--l3-cache-schema 'L3:0=ff;1=1f'";
    assert_eq!(updated(case, gold(), l3), "L3:0=ff;1=1f\n");
    assert_eq!(updated(case, gold(), "--mem-bw-schema MB:0=50"), "MB:0=50\n");
    let both = format!("--mem-bw-schema MB:0=50 {l3}");
    assert_eq!(updated(case, gold(), &both), "L3:0=ff;1=1f\nMB:0=50\n");
}

/// File, old, new, and nothing is written.
fn a_dry_run_shows_the_schemata(case: &Case) {
    let gold = json!({"closID": "gold"});
    let shown = updated(case, Some(gold), "--dry-run --mem-bw-schema 'MB:0=50;1=70'");
    let row = shown.lines().find(|line| line.starts_with("schemata ")).unwrap_or(&shown);
    let words: Vec<_> = row.split_whitespace().collect();
    assert_eq!(words[1..], ["MB:0=", "20;1=", "70", "MB:0=50;1=70", "MB:0=50;1=70"], "{shown}");
    assert!(shown.ends_with("L3:0=7f0;1=01f\nMB:0= 20;1= 70\n"), "{shown}");
}

/// runc's words; and where limits fail, the schemata are the old ones.
fn update_of_schemata_fails_whole(case: &Case) {
    let gold = || Some(json!({"closID": "gold"}));
    let said = updated(case, None, "--l3-cache-schema L3:0=f");
    assert!(
        said.contains("updating a non-existent Intel RDT configuration is not supported"),
        "{said}"
    );
    let said = updated(case, gold(), "--mem-bw-schema L3:0=f");
    assert!(said.ends_with("    L3:0=7f0;1=01f\nMB:0= 20;1= 70\n"), "{said}");
    // The stand-in for the kernel's file keeps what is written last.
    let said = updated(case, gold(), "--l3-cache-schema L3:0=f --cpuset-cpus 4000");
    assert!(said.ends_with("L3:0=7f0;1=01f\n") && said.contains("cpuset.cpus"), "{said}");
}

fn with(case: &Case, rdt: Value) -> Bundle<'_> {
    case.bundle().set("/linux/intelRdt", rdt)
}

/// "If no mounted resctrl … is available …, the runtime MUST generate an error".
fn without_resctrl_it_is_an_error(case: &Case) {
    with(case, json!({})).create().fails().tells("ntel");
    case.leaves_nothing();
}

/// "If intelRdt is not set, the runtime MUST NOT manipulate any resctrl".
fn resctrl_is_left_alone_unless_asked_for(case: &Case) {
    run(&case.bundle(), TMPFS, "", "ls -A $R").ok().prints("");
}

/// "MUST write the container process ID to the tasks file".
fn the_process_is_in_the_tasks_of_its_class(case: &Case) {
    let bundle = with(case, json!({"closID": "gold"})).sh("true");
    let seen = run(&bundle, TMPFS, "mkdir $R/gold", "cat $R/gold/tasks; ls -A $R").ok();
    let pid = seen.stdout.trim_end_matches("gold\n");
    assert!(pid.parse::<u32>().is_ok(), "{seen}");
}

/// The container's processes are all of them, `exec`'s included. A directory
/// serves for the file system, as another command has to find it.
fn another_process_is_in_the_class_too(case: &Case) {
    let bundle = with(case, json!({"closID": "gold"})).sleeps();
    run_command(&bundle, "create", "true", "mkdir $R/gold", "").ok();
    bundle.start().ok();
    let (pid, tasks) = (bundle.pid(), || case.read("resctrl/gold/tasks"));
    assert_eq!(tasks(), pid.to_string());
    let pid_file = case.path("pid");
    let exec = bundle.command("exec", &["--pid-file", pid_file.to_str().unwrap()]);
    exec.args(["true"]).run().ok();
    assert_eq!(tasks(), case.read("pid"));
    assert_ne!(tasks(), pid.to_string());
    bundle.end();
}

/// "MUST use the container ID … and create the <container-id> directory";
/// "MUST remove the sub-directory when the container is deleted".
fn without_a_class_the_id_is_one_and_goes_with_the_container(case: &Case) {
    let hierarchy = "mount -t cgroup -o none,name=resctrl-$$ resctrl $R";
    let bundle = with(case, json!({}));
    // Of another hierarchy, `tasks` takes a process and the group goes when
    // that has ended.
    let script = "cat /proc/self/cgroup";
    let bundle = bundle.sh(script);
    let seen = run(&bundle, hierarchy, "", "ls -d $R/*/ 2>/dev/null");
    let seen = seen.ok();
    assert!(seen.stdout.contains(&format!("/{}\n", bundle.id)), "in its class: {seen}");
    assert!(!seen.stdout.contains(&format!("resctrl/{}", bundle.id)), "removed: {seen}");
}

/// "MUST check if corresponding pre-configured directory closID is present".
fn a_class_without_schema_must_be_there(case: &Case) {
    let bundle = with(case, json!({"closID": "gold"})).sh("true");
    run(&bundle, TMPFS, "", "ls -A $R").exits(1).prints("").tells("linux.intelRdt.closID");
    case.leaves_nothing();
}

/// "MUST compare l3CacheSchema and/or memBwSchema value with schemata file".
fn a_class_with_another_schema_is_an_error(case: &Case) {
    let before =
        "mkdir $R/gold; printf '    L3:0=007f0;1=01f\\nMB:0= 20;1= 70\\n' > $R/gold/schemata";
    for (rdt, fits) in [
        (json!({"closID": "gold", "l3CacheSchema": "L3:1=1f;0=7f0"}), true),
        (json!({"closID": "gold", "memBwSchema": "MB:0=20;1=70"}), true),
        (json!({"closID": "gold", "l3CacheSchema": "L3:0=ff;1=1f"}), false),
        (json!({"closID": "gold", "memBwSchema": "MB:0=20;1=80"}), false),
    ] {
        let bundle = with(case, rdt).sh("true");
        let run = run(&bundle, TMPFS, before, "");
        assert_eq!(run.code() == 0, fits, "{run}");
        assert!(fits || run.stderr.contains("Schema"), "{run}");
    }
}

/// "MUST write l3CacheSchema first and memBwSchema last"; "schemata field must
/// be written last". What was made for a named class stays.
fn the_schemata_are_written_in_their_order(case: &Case) {
    let rdt = json!({"closID": "new", "schemata": ["L2:0=f", "L2:1=f"], "memBwSchema": "MB:0=20",
        "l3CacheSchema": "L3:0=f"});
    let bundle = with(case, rdt).sh("true");
    run(&bundle, TMPFS, "", "cat $R/new/schemata").ok().prints("L3:0=f\nMB:0=20\nL2:0=f\nL2:1=f\n");
}

/// "MUST create mon_groups/<container-id>"; "MUST delete the MON group".
fn a_monitoring_group_is_made_and_removed(case: &Case) {
    let hierarchy = "mount -t cgroup -o none,name=resctrl-$$ resctrl $R";
    let bundle = with(case, json!({"closID": "gold", "enableMonitoring": true}));
    let bundle = bundle.sh("cat /proc/self/cgroup");
    let before = "mkdir -p $R/gold/mon_groups";
    let after =
        "ls $R/gold/mon_groups | grep -v '\\.\\|tasks\\|notify'; rmdir $R/gold/mon_groups $R/gold";
    let seen = run(&bundle, hierarchy, before, after).ok();
    assert!(seen.stdout.contains(&format!("/gold/mon_groups/{}\n", bundle.id)), "{seen}");
    assert!(!seen.stdout.lines().any(|line| line == bundle.id), "removed: {seen}");
}

/// "value / means that the container MUST be assigned to the default CLOS".
fn the_default_class_is_the_root(case: &Case) {
    let bundle = with(case, json!({"closID": "/"})).sh("true");
    let seen = run(&bundle, TMPFS, "", "ls -A $R; cat $R/tasks").ok();
    assert!(seen.stdout.starts_with("tasks\n"), "{seen}");
}

/// Each with its JSON path, and nothing is made.
fn a_class_or_schema_that_cannot_be_is_refused(case: &Case) {
    for (rdt, field) in [
        (json!({"closID": ".."}), "closID"),
        (json!({"closID": "a/b"}), "closID"),
        (json!({"memBwSchema": "L3:0=f"}), "memBwSchema"),
        (json!({"l3CacheSchema": "L3:0=f\nMB:0=1"}), "l3CacheSchema"),
        (json!({"schemata": ["L2:0=f", "a\nb"]}), "schemata[1]"),
    ] {
        let failed = run(&with(case, rdt).sh("true"), TMPFS, "", "ls -A $R").exits(1).prints("");
        assert!(
            failed.stderr.contains(&format!("config.json: linux.intelRdt.{field}: ")),
            "{failed}"
        );
        assert_eq!(failed.stderr.lines().count(), 1, "{failed}");
        case.leaves_nothing();
    }
}
