# shellcheck shell=bash
# The guest's image: a Debian root filesystem and kernels, from the mirror that this machine's apt is set up with.

# shellcheck source=hack/suite.bash
source hack/suite.bash

readonly GUEST_SUITE=trixie
# Newer kernels of user-mode Linux are many times faster than the suite's own.
readonly UML_SUITE=sid
readonly GUEST_PACKAGES=(
    busybox-static crun dbus dbus-user-session iproute2 kmod libpam-systemd login passwd procps runc strace systemd
    systemd-sysv uidmap util-linux
)

# build_image DIR uml|qemu: makes what is missing of DIR/root, DIR/image, DIR/linux, and for qemu DIR/vmlinuz and
# DIR/initrd. What other sources have made is made anew.
build_image() {
    local dir=$1 machine=$2 key
    mkdir -p "$dir"
    exec {image_lock}>"$dir/lock"
    flock --timeout 900 "$image_lock" || die "somebody else is building $dir"
    key=$(cat hack/vm.d/{image.bash,guest,initrd} | sha256sum)
    if [[ ! -e $dir/key || $(<"$dir/key") != "$key" ]]; then
        need mmdebstrap=mmdebstrap mke2fs=e2fsprogs
        find "$dir" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
        make_root "$dir"
        make_uml "$dir"
        make_image "$dir"
        printf '%s\n' "$key" >"$dir/key"
    fi
    if [[ $machine == qemu && ! -e $dir/initrd ]]; then
        need qemu-system-x86_64=qemu-system-x86 cpio=cpio depmod=kmod xz=xz-utils
        make_qemu "$dir"
    fi
    exec {image_lock}>&-
}

# make_root DIR: the root filesystem, which is also where user-mode Linux runs: it needs a newer libc than ours.
make_root() {
    local root=$1/root said
    said=$(mmdebstrap --quiet --mode=root --variant=essential --include="${GUEST_PACKAGES[*]}" \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$GUEST_SUITE" "$root" "$(source_line "$GUEST_SUITE")" 2>&1) || die "mmdebstrap: $said"
    echo guest >"$root/etc/hostname"
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    chroot "$root" useradd --create-home --uid 1000 --shell /bin/bash tester
    mkdir -p "$root/var/lib/systemd/linger" "$root/host"
    touch "$root/var/lib/systemd/linger/tester"
    local unit
    for unit in systemd-udevd.service systemd-udev-trigger.service systemd-udev-load-credentials.service \
        systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-hwdb-update.service systemd-remount-fs.service \
        systemd-network-generator.service systemd-networkd.socket systemd-pstore.service systemd-random-seed.service \
        systemd-journal-flush.service systemd-update-done.service ldconfig.service systemd-timesyncd.service \
        systemd-machine-id-commit.service getty.target console-getty.service fstrim.timer dpkg-db-backup.timer \
        e2scrub_all.timer e2scrub_reap.service systemd-firstboot.service systemd-sysusers.service; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    write "$root/etc/systemd/system/user@.service.d/delegate.conf" '[Service]' 'Delegate=cpu cpuset io memory pids'
    # As on a disk: with devices and set-user-id programs.
    write "$root/etc/systemd/system/tmp.mount.d/guest.conf" '[Mount]' Options=mode=1777
    write "$root/etc/systemd/journald.conf.d/guest.conf" '[Journal]' Storage=volatile ForwardToConsole=no
    write "$root/etc/systemd/system/guest.service" '[Unit]' After=dbus.socket 'After=systemd-logind.service' \
        '[Service]' ExecStart=/usr/local/sbin/guest KillMode=process TimeoutStopSec=2 Delegate=yes
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s ../guest.service "$root/etc/systemd/system/multi-user.target.wants/guest.service"
    install -m 755 hack/vm.d/guest "$root/usr/local/sbin/guest"
}

# write FILE LINE…
write() {
    mkdir -p "${1%/*}"
    printf '%s\n' "${@:2}" >"$1"
}

# make_uml DIR: user-mode Linux, and those of its modules that containers use.
make_uml() {
    local dir=$1 from release to part
    extract "$UML_SUITE" user-mode-linux "$dir/uml"
    mv "$dir/uml/usr/bin/linux.uml" "$dir/root/usr/local/bin/linux"
    from=$(echo "$dir"/uml/usr/lib/uml/modules/*)
    release=${from##*/}
    to=$dir/root/usr/lib/modules/$release
    mkdir -p "$to/kernel"
    cp "$from"/modules.{order,builtin,builtin.modinfo} "$to/"
    for part in lib crypto fs/overlayfs fs/fuse fs/autofs net drivers/net drivers/block; do
        mkdir -p "$to/kernel/$part"
        cp -r "$from/kernel/$part/." "$to/kernel/$part/"
    done
    chroot "$dir/root" depmod "$release"
    rm -rf "$dir/uml"
}

# make_image DIR: the root as a disk.
make_image() {
    rm -rf "$1/root/var/cache/apt" "$1/root/var/lib/apt/lists"
    mke2fs -q -t ext4 -O '^has_journal' -m 0 -d "$1/root" "$1/image.new" 1500M >/dev/null
    mv "$1/image.new" "$1/image"
}

# make_qemu DIR: the suite's kernel, and what it needs to find its disk and this checkout.
make_qemu() {
    local dir=$1 release module initrd=$1/initrd.d
    rm -rf "$initrd" "$dir/kernel"
    extract "$GUEST_SUITE" =linux-image-amd64 "$dir/kernel"
    release=$(basename "$dir"/kernel/usr/lib/modules/*)
    mv "$dir"/kernel/boot/vmlinuz-* "$dir/vmlinuz"
    depmod --basedir "$dir/kernel/usr" "$release" 2>/dev/null || depmod --basedir "$dir/kernel" "$release"
    mkdir -p "$initrd"/{bin,dev,proc,sys,root,modules}
    cp "$dir/root/usr/bin/busybox" "$initrd/bin/"
    modprobe --dirname "$dir/kernel/usr" --set-version "$release" --show-depends --all virtio_pci virtio_blk ext4 \
        virtio_console 9p 9pnet_virtio overlay veth bridge dummy loop rdma_rxe crc32_generic |
        awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$initrd/modules/list.host"
    while read -r module; do
        case $module in
        *.xz) xz -dc "$module" >"$initrd/modules/$(basename "$module" .xz)" && basename "$module" .xz ;;
        *) cp "$module" "$initrd/modules/" && basename "$module" ;;
        esac
    done <"$initrd/modules/list.host" >"$initrd/modules/list"
    install -m 755 hack/vm.d/initrd "$initrd/init"
    (cd "$initrd" && find . | cpio --quiet -o -H newc | gzip -1) >"$dir/initrd.new"
    mv "$dir/initrd.new" "$dir/initrd"
    rm -rf "$initrd" "$dir/kernel"
}
