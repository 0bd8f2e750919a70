# What people type. Each target says what it does and how long it takes; the work is in tools/.

# Options for the program: make demo ARGS="--seed 7 --speed 600"
ARGS ?=
# Tests on real data look here; without the folder they are skipped, unless RENKEI_REQUIRE_DATA=1.
RENKEI_DATA ?= $(abspath ../shared/data)
export RENKEI_DATA

.PHONY: help demo release test torture bench package setup reference

help: ## This list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## */make \1|/' | awk -F'|' '{printf "  %-14s %s\n", $$1, $$2}'

demo: ## The simulated town at 127.0.0.1:8026; the first time some 10 minutes on two cores
	@tools/setup.sh build
	@tools/console.sh
	@tools/step.sh "Building the program, less optimised than a release (the first time some 8 minutes on two cores)" \
		cargo build --profile ci --locked -p renkei
	@exec target/ci/renkei demo $(ARGS)

release: ## The release binary, target/release/renkei; some 15 minutes on two cores
	@tools/setup.sh build
	@tools/console.sh
	@tools/step.sh "Building the release binary (the first time some 15 minutes on two cores)" \
		cargo build --release --locked -p renkei

test: ## Everything that must be green; the first time some 30 minutes on two cores
	@tools/setup.sh test
	@tools/test.sh

torture: ## The same faults at full size: 300 kills, 2,000 disks, 10^4 flipped bits, 10^6 inputs; hours
	@tools/setup.sh test
	@tools/torture.sh $(ARGS)

bench: ## Renkei beside the PostgreSQL floor, into docs/reference/benchmarks.md; some 15 minutes, --quick for 5
	@tools/setup.sh build
	@tools/console.sh
	@tools/step.sh "Building the release binary" cargo build --release --locked -p renkei
	@python3 bench/run.py $(ARGS)

package: ## The Debian package of the release, into target/package; some 15 minutes on two cores
	@tools/setup.sh build
	@tools/console.sh
	@tools/package.sh

setup: ## Only what the other targets begin with: look for tools, install what is missing
	@tools/setup.sh test

reference: ## Write the pages that are made from the code: commands and limits
	@cargo build --profile ci --locked -p renkei
	@target/ci/renkei reference > docs/reference/commands.md
	@RENKEI_BLESS=1 cargo test --profile ci --locked -p renkei --test architecture limits
