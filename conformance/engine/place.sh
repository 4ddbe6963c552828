#!/usr/bin/env bash
# A private place to run engines in: cgroups, namespaces and file systems of its own, all of which end with it.
#
#   place.sh TAG/SECTION VIEW RUNTIME IMAGES TESTS
#
# The caller gives it a mount namespace. It writes its pid, as the caller sees it, lives until its stdin is closed, and reaps all orphans. VIEW is what the engines
# find at /sys/fs/cgroup: `host`, as the machine has it, or `legacy`, the v1 hierarchies alone.
set -Eeuo pipefail

cgroup=$1 view=$2 runtime=$3 images=$4 tests=$5
work=/run/engines

# enter_cgroups: a cgroup of our own in every hierarchy, which becomes the root of what is seen inside.
enter_cgroups() {
    local procs name
    for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do
        [[ ! -e $procs || -L ${procs%/*} ]] || enter "${procs%/*}"
    done
    for name in $(unseen); do
        mount -t cgroup -o "$name" cgroup /mnt || continue # gone by now
        enter /mnt
        umount /mnt
    done
}

# unseen: hierarchies of v1 that others have made, and mounted where it is not seen, or no more: as mount options.
unseen() {
    local controllers
    cut -d: -f2 /proc/self/cgroup | while read -r controllers; do
        case $controllers in
        '' | name=systemd) ;;
        name=*) echo "none,$controllers" ;;
        *) [[ -d /sys/fs/cgroup/$controllers || -d /sys/fs/cgroup/${controllers%%,*} ]] || echo "$controllers" ;;
        esac
    done
}

# enter HIERARCHY
enter() {
    local directory=$1 name file
    for name in ${cgroup//\// }; do
        delegate "$directory"
        mkdir -p "$directory/$name"
        for file in cpuset.cpus cpuset.mems; do
            [[ ! -e $1/tasks || ! -e $directory/$file ]] || cat "$directory/$file" >"$directory/$name/$file"
        done
        directory+=/$name
    done
    echo $$ >"$directory/cgroup.procs"
}

# delegate CGROUP: hands all controllers of cgroup v2 down.
delegate() {
    local controller
    [[ -e $1/cgroup.controllers ]] || return 0
    for controller in $(<"$1/cgroup.controllers"); do
        { echo "+$controller" >"$1/cgroup.subtree_control"; } 2>/dev/null || true
    done
}

# hierarchies: the names of the v1 hierarchies' directories, and `unified`.
hierarchies() {
    local procs
    for procs in /sys/fs/cgroup/*/cgroup.procs; do
        procs=${procs%/cgroup.procs}
        [[ -L $procs || ! -e $procs/cgroup.procs || ($view == legacy && ! -e $procs/tasks) ]] || echo "${procs##*/}"
    done
}

mount_cgroups() {
    local name
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        mount -t sysfs sysfs /sys
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        mkdir /sys/fs/cgroup/init
        echo 0 >/sys/fs/cgroup/init/cgroup.procs
        delegate /sys/fs/cgroup
        return
    fi
    mapfile -t names < <(hierarchies)
    umount --recursive --lazy /sys # Podman unmounts all that it finds below /sys/kernel
    mount -t sysfs sysfs /sys
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    for name in "${names[@]}"; do
        mkdir "/sys/fs/cgroup/$name"
        case $name in
        unified) mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified ;;
        systemd) mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd ;;
        *) mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" ;;
        esac
    done
    # containerd gives up on a container of which it finds one hierarchy nowhere.
    for name in $(unseen); do
        mkdir "/sys/fs/cgroup/${name#none,name=}"
        mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/${name#none,name=}"
    done
}

# device NAME MAJOR MINOR: open to everybody, which no udev has made it here.
device() {
    [[ -e /dev/$1 ]] || return 0
    mknod -m 666 "$work/${1##*/}" c "$2" "$3"
    mount --bind "$work/${1##*/}" "/dev/$1"
}

# writable DIR: changes to it stay in this place.
writable() {
    mkdir -p "$work/over$1/"{upper,work}
    mount -t overlay -o "lowerdir=$1,upperdir=$work/over$1/upper,workdir=$work/over$1/work" overlay "$1"
}

# accounts: those that the engines need.
accounts() {
    echo "engtest:x:4321:4321::$work/rootless:/bin/sh" >>/etc/passwd
    echo dockremap:x:4322:4322::/:/bin/false >>/etc/passwd
    printf '%s\n' engtest:x:4321: dockremap:x:4322: >>/etc/group
    printf '%s\n' engtest:1000000:65536 dockremap:2000000:65536 containers:3000000:1000000 | tee /etc/subuid >/etc/subgid
}

inside() {
    local pid directory
    read -r pid _ </proc/self/stat # of the caller's /proc
    mount -t proc proc /proc
    mount_cgroups
    ip link set lo up
    mount -t tmpfs -o mode=755 tmpfs /mnt # the way to the new /run
    mkdir -p "/mnt/engines/"{bin,path,images,home,log,tmp} /mnt/engines/rootless /mnt/user/4321 /mnt/lock
    cp "$runtime" "/mnt/engines/bin/${runtime##*/}"
    cp "$tests" /mnt/engines/bin/tests
    mount --bind "$images" /mnt/engines/images
    if [[ -d ${images%/*}/criu ]]; then # see hack/criu
        mkdir /mnt/engines/criu
        mount --bind "${images%/*}/criu" /mnt/engines/criu
    fi
    mount -n --move /mnt /run
    chmod 755 "$work/bin/"*
    chown 4321:4321 "$work/rootless" /run/user/4321
    ln -s "$work/bin/${runtime##*/}" "$work/path/runc" # BuildKit knows no other name
    ln -s "$work/bin/${runtime##*/}" "$work/runtime"
    for directory in /tmp /var/tmp; do
        mount -t tmpfs -o mode=1777 tmpfs "$directory"
    done
    writable /etc
    writable /var/lib
    device net/tun 10 200
    device fuse 10 229
    accounts
    echo "$pid"
    exec >/dev/null
    while read -r _; do :; done
}

mkdir -p /mnt
if [[ $$ != 1 ]]; then
    enter_cgroups
    exec unshare --mount --pid --net --ipc --uts --cgroup --fork --kill-child=KILL --propagation private -- \
        bash "${BASH_SOURCE[0]}" "$@"
fi
inside
