# shellcheck shell=bash
# Booting the guest, in mount and pid namespaces of its own: whatever ends this leaves no process, mount or file.

# boot DIR uml|qemu USER SECONDS COMMAND…: becomes the guest's first process here.
boot() {
    exec unshare --mount --propagation private --pid --fork --kill-child=KILL --mount-proc \
        "$BASH" "${BASH_SOURCE[0]%/*}/../vm" --inside "$@"
}

# boot_inside DIR uml|qemu USER SECONDS COMMAND…: as process 1 of the namespaces.
boot_inside() {
    local dir=$1 machine=$2 user=$3 seconds=$4 root=$1/root
    shift 4
    trap 'exit 143' TERM INT HUP
    mount --bind "$root" "$root"
    mount --bind "$PWD" "$root/host"
    mount -t tmpfs -o size=6g,mode=1777 guest "$root/tmp"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount -o remount,bind,ro "$root"
    mkdir "$root/tmp/exchange"
    {
        printf 'user=%q checkout=%q\ncommand=(' "$user" "$PWD"
        printf ' %q' "$@"
        printf ' )\n'
    } >"$root/tmp/exchange/ask"
    # The pipes end only when all that the guest wrote is through.
    exec 6>&1
    { { "boot_$machine" "$dir" "$seconds" 3>"$root/tmp/console" 4>&1 >"$root/tmp/said" 2>&1 | cat >&6; } 5>&1 | cat >&2; } &
    local code=0
    wait $! || code=$?
    if [[ -s $root/tmp/exchange/code ]]; then
        exit "$(<"$root/tmp/exchange/code")"
    fi
    # What the kernel and systemd said.
    cat "$root/tmp/said" "$root/tmp/console" >&2
    ((code == 124 || code == 137)) && code=124 || code=125
    printf '%s\n' "vm: no answer from the guest" >&2
    exit "$code"
}

# The kernel's options for both kinds of machine. Without rt_group_sched=0 nobody in a cgroup may be real-time.
readonly KERNEL_OPTIONS=(rw init=/lib/systemd/systemd quiet panic=-1 audit=0 selinux=0 apparmor=0 rt_group_sched=0
    systemd.show_status=0)

# In both, descriptors 4 and 5 are the command's stdout and stderr: pipes, as user-mode Linux makes them non-blocking.

boot_uml() {
    local root=$1/root seconds=$2
    touch "$root/tmp/image"
    mount --bind "$1/image" "$root/tmp/image"
    HOME=/tmp TMPDIR=/tmp timeout --kill-after=5 "$seconds" chroot "$root" /usr/local/bin/linux mem=3G seccomp=on umid=guest \
        ubd0=/tmp/cow,/tmp/image root=/dev/ubda "${KERNEL_OPTIONS[@]}" con=null con0=null,fd:3 ssl=null \
        ssl0=null,fd:4 ssl1=null,fd:5 exchange=/tmp/exchange host=/host </dev/null
}

boot_qemu() {
    local dir=$1 seconds=$2 root=$1/root
    timeout --kill-after=5 "$seconds" qemu-system-x86_64 -M q35 --accel tcg,thread=multi -cpu max,la57=off -m 3G -smp 2 \
        -nodefaults -no-user-config -display none -no-reboot -kernel "$dir/vmlinuz" -initrd "$dir/initrd" \
        -append "console=ttyS0 root=/dev/vda ${KERNEL_OPTIONS[*]} mitigations=off nokaslr tsc=reliable no_timer_check loglevel=4" \
        -serial "file:$root/tmp/console" -drive "file=$dir/image,if=virtio,format=raw,snapshot=on,cache=unsafe" \
        -device virtio-serial -chardev file,id=out,path=/dev/fd/4,append=on -device virtserialport,chardev=out,name=stdout \
        -chardev file,id=err,path=/dev/fd/5,append=on -device virtserialport,chardev=err,name=stderr \
        -fsdev "local,id=exchange,path=$root/tmp/exchange,security_model=none" -device virtio-9p-pci,fsdev=exchange,mount_tag=exchange \
        -fsdev "local,id=host,path=$PWD,security_model=none,multidevs=remap" -device virtio-9p-pci,fsdev=host,mount_tag=host \
        -device virtio-rng-pci </dev/null
}
