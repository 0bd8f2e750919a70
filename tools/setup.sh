#!/bin/sh
# Looks for what a build or a test needs, and installs what is missing with the machine's own package manager.
#   tools/setup.sh build|test
# The network is used here and for the first `cargo build` (crates.io); never by a start or a test.
set -eu
wanted=${1:-build}
rust_needed=1.95

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# A C compiler for the two libraries that bring C (ring, mimalloc), and the certificates of the system.
packages=
has cc || packages="$packages build-essential"
[ -e /etc/ssl/certs/ca-certificates.crt ] || packages="$packages ca-certificates"
# The console is built with it; in tests, the trail is verified by a program that shares no line with ours.
has node || packages="$packages nodejs"
has npm || packages="$packages npm"
if [ "$wanted" = test ]; then
    has python3 || packages="$packages python3"
    # Makes the environment below.
    if has python3; then python3 -c 'import ensurepip' 2>/dev/null || packages="$packages python3-venv"; else packages="$packages python3-venv"; fi
    has openssl || packages="$packages openssl"
    # Messages are published and heard with clients that are not ours.
    has mosquitto_pub || packages="$packages mosquitto-clients"
    # The console is looked at in a real browser.
    has chromium || packages="$packages chromium"
fi
if [ -n "$packages" ]; then
    has apt-get || fail "please install:$packages (this machine has no apt-get)"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || fail "please install as root: apt-get install$packages"
        as_root=sudo
    fi
    say "installing$packages with apt-get (about a minute)"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
fi

has cargo || [ ! -x "$HOME/.cargo/bin/cargo" ] || fail "cargo is in $HOME/.cargo/bin but not in PATH; run: . \"$HOME/.cargo/env\""
has cargo || fail "Rust is missing. Install rustup (https://rustup.rs, or apt-get install rustup on Debian 13), then: rustup default stable"

found=$(rustc --version | sed -E 's/^rustc ([0-9]+\.[0-9]+).*/\1/')
newest=$(printf '%s\n%s\n' "$rust_needed" "$found" | sort -V | tail -n 1)
if [ "$newest" != "$found" ]; then
    has rustup || fail "Rust $rust_needed or later is needed, $found is here; update it with the package manager it came from"
    say "Rust $found is older than $rust_needed: running rustup update stable (about a minute)"
    rustup update stable
    rustup default stable
fi

if [ "$wanted" = test ]; then
    # The decoder that messages of satellites are held against; nothing of it is built in. It needs Python 3.11.
    python=$(dirname "$0")/../target/python
    if [ "$("$python/bin/python3" -c 'from importlib.metadata import version; print(version("azarashi"))' 2>/dev/null)" != 0.17.1 ]; then
        say "installing azarashi with pip into target/python (seconds)"
        { python3 -m venv "$python" && "$python/bin/python3" -m pip install --quiet --disable-pip-version-check azarashi==0.17.1 pyserial==3.5; } ||
            say "azarashi cannot be installed: messages of satellites are NOT CHECKED against it"
    fi
    for component in rustfmt clippy; do
        if ! cargo "$(echo "$component" | sed s/rustfmt/fmt/)" --version >/dev/null 2>&1; then
            if has rustup; then
                say "adding $component with rustup"
                rustup component add "$component"
            else
                say "$component is not here and there is no rustup to add it: what it checks is NOT CHECKED"
            fi
        fi
    done
fi
say "ready: $(rustc --version), $(cc --version | head -n 1)"
