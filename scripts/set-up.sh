# Set-up that scripts/test and scripts/demo share; sourced by them with bash, in the repository's root.
#
# system_packages   what Python's venv, Qt, OpenGL and the virtual screen need from the system
# environment       .venv with the package, its development extra and torch

# Where a thing is not found (a command, a shared library), the Debian package beside it brings it.
SYSTEM_NEEDS="
Xvfb                    xvfb
xauth                   xauth
libGL.so.1              libgl1
libEGL.so.1             libegl1
libglib-2.0.so.0        libglib2.0-0
libdbus-1.so.3          libdbus-1-3
libfontconfig.so.1      libfontconfig1
libxkbcommon-x11.so.0   libxkbcommon-x11-0
libxcb-cursor.so.0      libxcb-cursor0
libxcb-icccm.so.4       libxcb-icccm4
libxcb-keysyms.so.1     libxcb-keysyms1
libxcb-shape.so.0       libxcb-shape0
"

say() { printf -- '-- %s\n' "$*"; }

# The first Python that is new enough; PYTHON names another.
find_python() {
    local python
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    say "no Python 3.11 or newer found; PYTHON=/path/to/python $0 names one" >&2
    return 1
}

# Names of the missing Debian packages, one a line. Nothing on other systems than Linux.
missing_packages() {
    local libraries need package python
    [ "$(uname -s)" = Linux ] || return 0
    python=$(find_python 2>/dev/null) && ! "$python" -c 'import ensurepip' 2>/dev/null && echo "${python##*/}-venv"
    libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p)
    while read -r need package; do
        [ -n "$need" ] || continue
        case $need in
            lib*) grep -qF "$need " <<<"$libraries" || echo "$package" ;;
            *) command -v "$need" >/dev/null || echo "$package" ;;
        esac
    done <<<"$SYSTEM_NEEDS"
}

# Install Debian packages as root or by sudo without a password; 1, and a message naming them, where neither can.
install_packages() {
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
        say "missing system packages, and no way to install them from here; on Debian or Ubuntu: sudo apt-get install $*"
        return 1
    fi
    say "installing system packages: $*"
    "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

system_packages() {
    local missing
    missing=$(missing_packages)
    # shellcheck disable=SC2086  # one word a package
    [ -z "$missing" ] || install_packages $missing
}

# The torch of constraints.txt: with CUDA where there is an NVIDIA GPU, otherwise the build for CPUs where pip can find
# one (pip's configuration or PIP_EXTRA_INDEX_URL names PyTorch's index of CPU wheels), else what pip finds.
install_torch() {
    local pin
    pin=$(grep '^torch==' scripts/constraints.txt)
    if nvidia-smi -L >/dev/null 2>&1; then
        say "installing $pin (NVIDIA GPU found)"
    else
        say "installing $pin for CPUs (no NVIDIA GPU found)"
        .venv/bin/pip install --quiet "$pin+cpu" 2>/dev/null && return
        say "pip finds no CPU build of it here: installing the plain one"
    fi
    .venv/bin/pip install --quiet "$pin"
}

# Make .venv, or leave it as it is where nothing that it is made from has changed.
environment() {
    local python stamp=.venv/set-up.stamp wanted
    python=$(find_python) || return 1
    wanted=$({ pwd; "$python" --version; cat pyproject.toml scripts/constraints.txt scripts/set-up.sh; } | cksum)
    if [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]; then
        say "environment .venv is up to date"
        return
    fi
    say "setting up the environment .venv ($("$python" --version)); this takes a few minutes the first time"
    # One that was moved or copied here, or is broken, is made anew.
    [[ $(.venv/bin/pip --version 2>/dev/null) == *" $PWD/.venv/"* ]] || "$python" -m venv --clear .venv || return 1
    install_torch || return 1
    say "installing napari-cryospin and what it needs"
    .venv/bin/pip install --quiet -c scripts/constraints.txt -e '.[dev]' || return 1
    echo "$wanted" >$stamp
}
