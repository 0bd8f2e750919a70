#!/bin/sh
# The faults of `make test` at full size. Every step can be run alone; a failing seed is printed by its test.
set -eu
cd "$(dirname "$0")/.."
step=tools/step.sh
kills=${RENKEI_KILLS:-300}
seeds=${RENKEI_SEEDS:-1..2001}
cases=${PROPTEST_CASES:-1000000}

$step "Building the binary" cargo build --profile ci --locked -p renkei
$step "$kills kills at random moments" env RENKEI_KILLS="$kills" cargo test --profile ci --locked -p e2e-tests --test kill -- --nocapture
$step "Disks that drop, tear and reorder, seeds $seeds" \
    env RENKEI_SEEDS="$seeds" cargo test --profile ci --locked -p city-context --test durability -- --nocapture
$step "Random cases in the pure rooms, $cases each" \
    env PROPTEST_CASES="$cases" cargo test --profile ci --locked -p city-model -p city-ngsi-ld -p city-ingest
$step "Real city data, whole files" env RENKEI_FULL=1 cargo test --profile ci --locked -p e2e-tests --test koto -- --nocapture
