//! config-linux.md#sysctl.

use crate::support::{Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test!("sysctl", values_of_own_namespaces_are_set),
        test!("sysctl", a_key_may_have_slashes),
        test!("sysctl", the_domainname_is_a_value_of_the_uts_namespace),
        test!("sysctl", a_value_of_the_whole_host_is_refused),
        test!("sysctl", the_hostname_has_a_field_of_its_own),
        test!("sysctl", a_value_of_a_namespace_that_is_shared_is_refused),
        test!("sysctl", a_value_of_a_joined_network_of_the_host_is_refused_in_a_user_namespace_too)
            .may_fail_on("crun", "does not check"),
        test!("sysctl", a_value_of_a_joined_network_of_the_host_is_refused)
            .fails_on("crun", "does not check"),
        test!("sysctl", a_key_cannot_climb_out),
        test!("sysctl", a_key_that_is_missing_fails_and_is_named),
        test!("sysctl", a_value_that_the_kernel_refuses_fails),
    ]
}

/// "sysctl (object, OPTIONAL) allows kernel parameters to be modified at
/// runtime for the container."
fn values_of_own_namespaces_are_set(case: &Case) {
    let bundle = case.bundle().set(
        "/linux/sysctl",
        json!({"kernel.shmmax": "1234567", "fs.mqueue.msg_max": "11", "net.ipv4.ip_forward": "1", "kernel.msgmnb": "4321"}),
    );
    let script =
        "cd /proc/sys; cat kernel/shmmax fs/mqueue/msg_max net/ipv4/ip_forward kernel/msgmnb";
    bundle.sh(script).run().ok().prints("1234567\n11\n1\n4321\n");
}

/// sysctl(8) knows both, so that the name of an interface may have a dot.
fn a_key_may_have_slashes(case: &Case) {
    let bundle = case.bundle().set("/linux/sysctl", json!({"net/ipv4/conf/lo/forwarding": "1"}));
    bundle.args(&["cat", "/proc/sys/net/ipv4/conf/lo/forwarding"]).run().ok().prints("1\n");
}

/// As runc: allowed together with a UTS namespace.
fn the_domainname_is_a_value_of_the_uts_namespace(case: &Case) {
    let bundle = case.bundle().set("/linux/sysctl", json!({"kernel.domainname": "by.sysctl"}));
    bundle.args(&["cat", "/proc/sys/kernel/domainname"]).run().ok().prints("by.sysctl\n");
}

/// A container must not change the host.
fn a_value_of_the_whole_host_is_refused(case: &Case) {
    let own = std::fs::read_to_string("/proc/sys/vm/swappiness").unwrap();
    for key in ["vm.swappiness", "vm/swappiness", "kernel.panic", "fs.file-max"] {
        case.bundle()
            .set("/linux/sysctl", json!({key: own.trim()}))
            .create()
            .fails()
            .tells(key.rsplit(['.', '/']).next().unwrap());
        case.leaves_nothing();
    }
}

/// As runc: two words for one thing could contradict each other.
fn the_hostname_has_a_field_of_its_own(case: &Case) {
    case.bundle().set("/linux/sysctl", json!({"kernel.hostname": "by.sysctl"})).create().fails();
    case.leaves_nothing();
}

/// It would be a value of the host.
fn a_value_of_a_namespace_that_is_shared_is_refused(case: &Case) {
    let own = |key: &str| {
        std::fs::read_to_string(format!("/proc/sys/{}", key.replace('.', "/"))).unwrap()
    };
    for (kind, key) in
        [("ipc", "kernel.shmmni"), ("network", "net.ipv4.ip_forward"), ("uts", "kernel.domainname")]
    {
        let bundle = case
            .bundle()
            .without_namespace(kind)
            .set("/linux/sysctl", json!({key: own(key).trim()}));
        let bundle = if kind == "uts" { bundle.remove("/hostname") } else { bundle };
        bundle.without_mount("/dev/mqueue").create().fails();
        case.leaves_nothing();
    }
}

/// The same by another way.
fn a_value_of_a_joined_network_of_the_host_is_refused(case: &Case) {
    let own = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    let bundle = case.bundle().joins("network", "/proc/self/ns/net");
    bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": own.trim()})).create().fails();
    case.leaves_nothing();
}

/// The same with a user namespace, whose root could not write it; but the
/// runtime could.
fn a_value_of_a_joined_network_of_the_host_is_refused_in_a_user_namespace_too(case: &Case) {
    let own = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    let bundle = case.bundle().namespace("user").joins("network", "/proc/self/ns/net");
    let bundle = bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let bundle = bundle.without_mount("/sys").without_mount("/sys/fs/cgroup");
    let bundle = bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": own.trim()}));
    bundle.create().fails().tells("ip_forward");
    case.leaves_nothing();
}

/// The list of what is allowed goes by the beginning of a key.
fn a_key_cannot_climb_out(case: &Case) {
    let own = std::fs::read_to_string("/proc/sys/vm/swappiness").unwrap();
    for key in ["net/../vm/swappiness", "net.//../vm.swappiness", "fs/mqueue/../../vm/swappiness"] {
        case.bundle().set("/linux/sysctl", json!({key: own.trim()})).create().fails();
        case.leaves_nothing();
    }
}

/// A misspelt key is not one that is set.
fn a_key_that_is_missing_fails_and_is_named(case: &Case) {
    let bundle = case.bundle().set("/linux/sysctl", json!({"net.ipv4.no_such_key": "1"}));
    bundle.create().fails().tells("no_such_key");
    case.leaves_nothing();
}

/// Nor is a value that is none.
fn a_value_that_the_kernel_refuses_fails(case: &Case) {
    let bundle = case.bundle().set("/linux/sysctl", json!({"net.ipv4.ip_forward": "maybe"}));
    bundle.create().fails().says("invalid argument");
    case.leaves_nothing();
}
