#!/bin/sh
# Everything that must be green. The workspace is built once, in the profile `ci`.
set -eu
cd "$(dirname "$0")/.."
step=tools/step.sh

if [ -d "$RENKEI_DATA" ]; then
    echo "real data: $RENKEI_DATA"
elif [ "${RENKEI_REQUIRE_DATA:-0}" = 1 ]; then
    echo "RENKEI_REQUIRE_DATA=1, but $RENKEI_DATA is not there" >&2
    exit 1
else
    echo "real data: $RENKEI_DATA is not there, tests on it are skipped"
    # A test that finds no data takes an unset variable as permission to skip.
    unset RENKEI_REQUIRE_DATA
fi

begin=$(date +%s)
if cargo fmt --version >/dev/null 2>&1; then
    $step "Formatting (seconds)" cargo fmt --all -- --check
else
    echo "NOT CHECKED: formatting (rustfmt is not here)"
fi
if cargo clippy --version >/dev/null 2>&1; then
    $step "Lints, none may be left (the first time some 3 minutes)" \
        cargo clippy --profile ci --locked --workspace --all-targets --quiet -- -D warnings
else
    echo "NOT CHECKED: lints (clippy is not here)"
fi
# The licences are also checked by the architecture test, so that nobody needs cargo-deny.
if cargo deny --version >/dev/null 2>&1; then
    $step "Licences and sources (seconds)" cargo deny --offline check licenses bans sources
fi
tools/console.sh
# One build for all tests, the binary that the end-to-end tests drive included.
$step "Building everything, once (the first time some 6 minutes)" cargo test --profile ci --locked --workspace --no-run --quiet
$step "Tests" cargo test --profile ci --locked --workspace
if [ -e console/dist/index.html ]; then
    $step "The console, in a browser too (some 5 minutes)" console/test.sh
else
    echo "NOT CHECKED: the console (it was not built, see above)"
    [ "${CI:-}" != true ] || exit 1
fi
echo
echo "make test: green in $((($(date +%s) - begin) / 60)) min"
