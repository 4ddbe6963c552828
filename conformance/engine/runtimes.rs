//! The runtime with a twist: scripts in its place.

use crate::shell::sh;

/// Writes them below `$W/bin`.
///
/// * `privileged`: dockerd asks for all capabilities for `--privileged`; where
///   this machine lacks `CAP_SYS_RESOURCE`, this one takes it out.
/// * `dying` is killed soon after it begins the command that `dies-in` names.
/// * `leaky` leaves the host's root directory open in the container.
pub(crate) fn write() {
    sh(r#"
        cat >$W/bin/privileged <<'END'
#!/bin/bash
bundle=. next=
for word; do
    case $next in
    bundle) bundle=$word ;;
    process) sed -i 's/"CAP_SYS_RESOURCE",//g' "$word" ;;
    esac
    next=
    case $word in
    --bundle) next=bundle ;;
    --process) next=process ;;
    create) created=yes ;;
    esac
done
[[ -z ${created:-} ]] || sed -i 's/"CAP_SYS_RESOURCE",//g' "$bundle/config.json"
exec /run/engines/runtime "$@"
END
        capsh=$(sed -n 's/^CapBnd:\t//p' /proc/self/status)
        (( 0x$capsh >> 24 & 1 )) && printf '#!/bin/sh\nexec /run/engines/runtime "$@"\n' >$W/bin/privileged
        cat >$W/bin/dying <<'END'
#!/bin/bash
for word; do
    [[ $word != "$(cat /run/engines/dies-in)" ]] || {
        /run/engines/runtime "$@" </dev/null >/dev/null 2>&1 & child=$!
        sleep 0.0$((RANDOM % 2 * (RANDOM % 3)))$((RANDOM % 10))
        kill -KILL $child
        wait $child
        exit 1
    }
done
exec /run/engines/runtime "$@"
END
        cat >$W/bin/leaky <<'END'
#!/bin/bash
words=()
for word; do
    words+=("$word")
    [[ $word != create ]] || words+=(--preserve-fds 1)
done
exec 3</
exec /run/engines/runtime "${words[@]}"
END
        chmod 755 $W/bin/privileged $W/bin/dying $W/bin/leaky
    "#);
}
