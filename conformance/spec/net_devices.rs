//! config-linux.md#network-devices, with pairs of virtual Ethernet devices in
//! a network namespace that stands for the host's.

use crate::support::command::Output;
use crate::support::needs::{Need, needs};
use crate::support::{Bundle, Case, Test, json, test};

pub(crate) fn tests() -> Vec<Test> {
    [
        test!("E2", a_device_is_moved_with_its_addresses),
        test!("E2", a_device_is_renamed_and_keeps_its_attributes),
        test!("E3", a_device_is_up_in_the_container),
        test!("E1", a_name_that_is_taken_in_a_joined_namespace_fails),
        test!("E1", two_devices_with_one_name_are_refused),
        test!("E4", a_device_in_a_joined_namespace_outlives_the_container),
        test!("E5", a_device_that_was_moved_is_not_moved_back),
        test!("netDevices", a_pattern_takes_the_first_free_number),
        test!("netDevices", a_parameter_of_a_moved_device_can_be_set),
        test!("bad", a_device_that_is_missing_fails),
        test!("bad", a_device_without_a_network_namespace_is_refused),
        test!("bad", a_name_that_no_device_can_have_is_refused),
    ]
    .map(|test| {
        test.needs(needs())
            .fails_on("runc 1.1", "does not know it")
            .fails_on("crun 1.8", "does not know it")
    })
    .to_vec()
}

fn needs() -> Vec<Need> {
    needs![file("/usr/bin/unshare"), file("/sbin/ip")]
}

/// Runs with `devices`, in a network namespace of its own where `script` has
/// been run.
fn run(bundle: &Bundle<'_>, script: &str) -> Output {
    let script = format!(r#"{script}; "$@"; exit $?"#);
    let wrapper = ["unshare", "--net", "sh", "-c", &script, "sh"];
    bundle.settle(bundle.launch("run", &[]).through(wrapper).run())
}

const PAIR: &str = "ip link add inner type veth peer name outer && ip link set outer up";

fn with(case: &Case, devices: crate::support::Value) -> Bundle<'_> {
    case.bundle().set("/linux/netDevices", devices)
}

/// "The runtime MUST … preserve … global IP addresses", and no others.
fn a_device_is_moved_with_its_addresses(case: &Case) {
    let script = format!(
        "{PAIR} && ip link set inner up && ip addr add 10.99.0.1/24 broadcast 10.99.0.255 dev inner &&
         ip addr add 10.98.0.1/16 dev inner && ip addr add 169.254.7.7/16 scope link dev inner &&
         ip addr add 10.97.0.1/24 valid_lft 1000 preferred_lft 1000 dev inner &&
         ip -6 addr add fd00:99::1/64 nodad dev inner"
    );
    let bundle = with(case, json!({"inner": {}})).sh("ip addr show dev inner");
    let shown = run(&bundle, &script).ok();
    let inet: Vec<_> = shown.stdout.lines().filter(|line| line.contains("inet")).collect();
    let has = |text: &str| inet.iter().any(|line| line.contains(text));
    assert!(has("10.99.0.1/24 brd 10.99.0.255"), "{shown}");
    assert!(has("10.98.0.1/16"), "{shown}");
    assert!(has("fd00:99::1/64"), "{shown}");
    assert!(!has("169.254.7.7") && !has("10.97.0.1"), "{shown}");
}

/// "The runtime MUST preserve … attributes", such as the MTU and the address
/// of the hardware.
fn a_device_is_renamed_and_keeps_its_attributes(case: &Case) {
    let script = format!("{PAIR} && ip link set inner mtu 1234 address 02:00:00:00:00:07");
    let bundle = with(case, json!({"inner": {"name": "eth7"}})).sh("ip link show");
    let shown = run(&bundle, &script).ok();
    for text in [" eth7", "mtu 1234", "02:00:00:00:00:07"] {
        assert!(shown.stdout.contains(text), "{text}: {shown}");
    }
    assert!(!shown.stdout.contains(" inner"), "{shown}");
}

/// "The runtime MUST set the network device state to up".
fn a_device_is_up_in_the_container(case: &Case) {
    let bundle = with(case, json!({"inner": {}})).sh("ip link show dev inner");
    let shown = run(&bundle, PAIR).ok();
    assert!(shown.stdout.contains("UP"), "{shown}");
}

/// A namespace with a device of that name: an error, and the device stays.
fn a_name_that_is_taken_in_a_joined_namespace_fails(case: &Case) {
    let namespace = case.path("netns");
    std::fs::write(&namespace, "").unwrap();
    let path = namespace.to_str().unwrap();
    let script =
        format!("unshare --net={path} ip link add taken type veth peer name other; {PAIR}");
    let bundle =
        with(case, json!({"inner": {"name": "taken"}})).joins("network", path).sh("ip link");
    let after =
        format!(r#"{script}; "$@"; code=$?; ip link show inner; umount {path}; exit $code"#);
    let wrapper = ["unshare", "--net", "--mount", "sh", "-c", &after, "sh"];
    let failed = bundle.launch("run", &[]).through(wrapper).run().fails();
    assert!(failed.stdout.contains("inner"), "{failed}");
    assert!(failed.stderr.contains("taken"), "{failed}");
    assert!(failed.exits(1).stderr.contains("config.json: linux.netDevices[\"inner\"]"));
    case.leaves_nothing();
}

/// "MUST generate an error" where names clash.
fn two_devices_with_one_name_are_refused(case: &Case) {
    let bundle = with(case, json!({"inner": {"name": "x"}, "outer": {"name": "x"}}));
    run(&bundle, PAIR).fails().tells("linux.netDevices");
    case.leaves_nothing();
}

/// "The runtime MUST NOT manage the lifecycle": who made it ends it.
fn a_device_in_a_joined_namespace_outlives_the_container(case: &Case) {
    let namespace = case.path("netns");
    std::fs::write(&namespace, "").unwrap();
    let path = namespace.to_str().unwrap();
    let bundle = with(case, json!({"inner": {"name": "kept"}})).joins("network", path).sh("true");
    let script = format!(
        r#"unshare --net={path} true; {PAIR}; "$@"; code=$?; nsenter --net={path} ip link show kept; umount {path}; exit $code"#
    );
    let wrapper = ["unshare", "--net", "--mount", "sh", "-c", &script, "sh"];
    let run = bundle.settle(bundle.launch("run", &[]).through(wrapper).run()).ok();
    assert!(run.stdout.contains("kept"), "{run}");
}

/// The second fails; the first is gone from the host, as the standard has it.
fn a_device_that_was_moved_is_not_moved_back(case: &Case) {
    let namespace = case.path("netns");
    std::fs::write(&namespace, "").unwrap();
    let path = namespace.to_str().unwrap();
    let devices = json!({"inner": {}, "missing": {}});
    let bundle = with(case, devices).joins("network", path).sh("true");
    let script = format!(
        r#"unshare --net={path} true; {PAIR}; "$@"; code=$?; nsenter --net={path} ip link show inner; umount {path}; exit $code"#
    );
    let wrapper = ["unshare", "--net", "--mount", "sh", "-c", &script, "sh"];
    let run = bundle.launch("run", &[]).through(wrapper).run().fails();
    assert!(run.stdout.contains("inner"), "{run}");
    case.leaves_nothing();
}

/// "eth%d": the kernel's way of numbering.
fn a_pattern_takes_the_first_free_number(case: &Case) {
    let script = format!("{PAIR} && ip link add inner2 type veth peer name outer2");
    let devices = json!({"inner": {"name": "eth%d"}, "inner2": {"name": "eth%d"}});
    let shown = run(&with(case, devices).sh("ip link show"), &script).ok();
    assert!(shown.stdout.contains(" eth0") && shown.stdout.contains(" eth1"), "{shown}");
}

/// Parameters are written once the devices are there.
fn a_parameter_of_a_moved_device_can_be_set(case: &Case) {
    let bundle = with(case, json!({"inner": {"name": "eth5"}}))
        .set("/linux/sysctl", json!({"net.ipv4.conf.eth5.forwarding": "1"}))
        .sh("cat /proc/sys/net/ipv4/conf/eth5/forwarding");
    run(&bundle, PAIR).ok().prints("1\n");
}

fn refused(bundle: &Bundle<'_>, field: &str) {
    let words = run(bundle, PAIR).exits(1).stderr;
    assert_eq!(words.lines().count(), 1, "{words}");
    assert!(words.contains(&format!("config.json: {field}: ")), "{words}");
    bundle.case.leaves_nothing();
}

/// "MUST generate an error" if the device is not there.
fn a_device_that_is_missing_fails(case: &Case) {
    refused(&with(case, json!({"missing": {}})), r#"linux.netDevices["missing"]"#);
}

/// There is nowhere to move it to.
fn a_device_without_a_network_namespace_is_refused(case: &Case) {
    let bundle = with(case, json!({"inner": {}})).without_namespace("network");
    refused(&bundle, r#"linux.netDevices["inner"]"#);
}

/// Too long, no file name, or a number that is none.
fn a_name_that_no_device_can_have_is_refused(case: &Case) {
    for name in ["sixteen-bytes-xx", "a/b", "a b", "..", "e%x", "lo"] {
        let bundle = with(case, json!({"inner": {"name": name}}));
        refused(&bundle, r#"linux.netDevices["inner"].name"#);
    }
    refused(&with(case, json!({"a/b": {}})), r#"linux.netDevices["a/b"]"#);
}
