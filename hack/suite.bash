# shellcheck shell=bash
# Packages of other suites of Debian than this machine's own, from the mirror that its apt is set up with.

# mirror: where apt gets Debian from.
mirror() {
    local uris
    # shellcheck disable=SC2016 # apt's own variables
    uris() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian'; }
    mapfile -t uris < <(uris)
    if ! ((${#uris[@]})); then
        apt_get update || die "apt-get update failed"
        mapfile -t uris < <(uris)
    fi
    ((${#uris[@]})) || die "apt has no source for Debian"
    printf '%s\n' "${uris[0]}"
}

# source_line SUITE: as in sources.list.
source_line() {
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$(mirror)" "$1"
}

# extract SUITE PACKAGE DIR: unpacks one package of a suite that this machine does not have. `=PATTERN` stands for the
# newest package of which the suite's metapackage PATTERN is made, `PACKAGE+` for a package with all that it depends on.
extract() (
    local suite=$1 package=$2 to=$3 apt archive
    apt=$(mktemp -d)
    trap 'rm -rf "$apt"' EXIT
    mkdir -p "$apt"/{lists,cache/archives}/partial
    touch "$apt/status"
    source_line "$suite" >"$apt/sources.list"
    local options=(
        -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$apt/lists"
        -o "Dir::State::Status=$apt/status" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root
    )
    apt_get "${options[@]}" update || die "cannot read the packages of $suite"
    mkdir -p "$to"
    to=$(realpath "$to")
    cd "$apt/cache/archives" || exit
    case $package in
    *+) apt_get "${options[@]}" install --download-only --no-install-recommends "${package%+}" ;;
    =*)
        package=$(apt-cache "${options[@]}" depends "${package#=}" | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
        apt_get "${options[@]}" download "$package"
        ;;
    *) apt_get "${options[@]}" download "$package" ;;
    esac || die "cannot get $package of $suite"
    for archive in *.deb; do
        dpkg-deb -x "$archive" "$to"
    done
)
