# shellcheck shell=bash
# What the scripts of this directory share; they source it.

set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# die WORD…: one line on stderr, and out.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# need_root: most of what a runtime does only root can do.
need_root() {
    ((EUID == 0)) || die "needs root"
}

# need PROGRAM=PACKAGE[,PACKAGE…]…: installs the Debian packages of the programs that are missing.
need() {
    local pair wanted=()
    for pair; do
        has "${pair%%=*}" || wanted+=("${pair#*=}")
    done
    ((${#wanted[@]})) || return 0
    local packages
    IFS=, read -ra packages <<<"$(IFS=, && echo "${wanted[*]}")"
    command -v apt-get >/dev/null || die "needs ${packages[*]} (no apt-get here to install them)"
    install_packages "${packages[@]}" || {
        apt_get update && install_packages "${packages[@]}"
    } || die "cannot install ${packages[*]}"
}

install_packages() {
    apt_get install --no-install-recommends "$@"
}

# Quiet, without questions, and waiting for whoever holds the lock; what it said is shown only if it failed.
apt_get() {
    local said
    said=$(DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 "$@" </dev/null 2>&1) || {
        printf '%s\n' "$said" >&2
        return 1
    }
}

# has PROGRAM: is it here? A busybox counts only if it runs without the host's libraries.
has() {
    case $1 in
    busybox) command -v busybox >/dev/null && ! ldd "$(command -v busybox)" >/dev/null 2>&1 ;;
    gcc) command -v gcc >/dev/null && [[ -e /usr/include/stdlib.h ]] ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# release_binary: builds minke and says where it lies.
release_binary() {
    local binary
    need gcc=gcc,libc6-dev
    command -v cargo >/dev/null || die "needs cargo (https://rustup.rs)"
    binary=$(cargo build --release --bin minke --message-format=json-render-diagnostics </dev/null |
        sed -n 's/.*"executable":"\([^"]*\/minke\)".*/\1/p')
    [[ -x $binary ]] || die "cargo built no minke"
    printf '%s\n' "$binary"
}

# in_view VIEW COMMAND…: runs the command where /sys/fs/cgroup looks so; the floor is told the hierarchies. `legacy` has
# those of v1 that are mounted here, `full` also those that the kernel has beside them.
# shellcheck disable=SC2016 # the shell in the new namespace is to expand it
in_view() {
    local view=$1
    shift
    case $view in
    host) FLOOR_CGROUPS=$(mounts cgroup,cgroup2 | paste -sd:) "$@" ;;
    v2)
        FLOOR_CGROUPS=/sys/fs/cgroup unshare --mount bash -Eeuo pipefail -c '
            mount --make-rprivate /
            umount --recursive /sys/fs/cgroup
            mount -t cgroup2 cgroup2 /sys/fs/cgroup
            exec "$@"' in_view "$@"
        ;;
    legacy | full)
        local more=
        [[ $view == legacy ]] || more='net_cls net_prio hugetlb'
        MORE_CGROUPS=$more FLOOR_CGROUPS=$(mounts cgroup | paste -sd:) unshare --mount bash -Eeuo pipefail -c '
            mount --make-rprivate /
            umount --recursive /sys/fs/cgroup
            mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
            for directory in ${FLOOR_CGROUPS//:/ }; do
                controllers=${directory##*/}
                mkdir "$directory"
                mount -t cgroup -o "${controllers/#systemd/none,name=systemd}" cgroup "$directory"
            done
            for controller in $MORE_CGROUPS; do
                mkdir "/sys/fs/cgroup/$controller"
                mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" 2>/dev/null ||
                    rmdir "/sys/fs/cgroup/$controller"
            done
            exec "$@"' in_view "$@"
        ;;
    *) die "no such view: $view" ;;
    esac
}

# mounts TYPES: where the cgroup hierarchies of these types are.
mounts() { findmnt --raw --noheadings --types "$1" --output TARGET | grep ^/sys/fs/cgroup || true; }

# has_view VIEW: can this machine give it, and is it another than the machine as it is?
has_view() {
    case $1 in
    host) true ;;
    v2) [[ -n $(mounts cgroup) ]] ;;
    legacy | full) [[ -n $(mounts cgroup) && -n $(mounts cgroup2) ]] ;;
    esac
}

# make_rootfs DIR: a root filesystem of busybox.
make_rootfs() {
    need busybox=busybox-static
    mkdir -p "$1"/{bin,dev,etc,proc,sys,tmp}
    cp "$(command -v busybox)" "$1/bin/busybox"
    local applet
    for applet in cat echo env hostname id kill ls mount ps sh sleep true; do
        ln -sf busybox "$1/bin/$applet"
    done
    echo root:x:0:0:root:/:/bin/sh >"$1/etc/passwd"
    echo root:x:0: >"$1/etc/group"
}

# make_bundle RUNTIME DIR ARG…: a bundle in DIR, its config what `RUNTIME spec` gives but for the terminal and the ARGs
# (which must hold no character that JSON or sed would read as its own).
make_bundle() {
    local runtime=$1 bundle=$2 args
    shift 2
    make_rootfs "$bundle/rootfs"
    "$runtime" spec --bundle "$bundle"
    printf -v args '"%s", ' "$@"
    sed -i -e 's|"terminal": true|"terminal": false|' -e "s|^\([[:space:]]*\)\"sh\"\$|\1${args%, }|" "$bundle/config.json"
    if ! grep -q '"terminal": false' "$bundle/config.json" || ! grep -qF "${args%, }" "$bundle/config.json"; then
        die "\`$runtime spec\` gives a config of another shape than expected"
    fi
}
