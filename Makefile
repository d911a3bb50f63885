# The commands of Jari's checkout. `make` alone lists them.
#
# Nothing here needs root or a running service of the machine's own: stores are private to the checkout (.jari/), and
# only `make install` and what depends on it ask the system's package manager, for what is missing.

# The night that `make run` begins in: two minutes before people born in 1967 to 1971 may book.
CLOCK ?= 2021-07-19T19:58:00+09:00
# Where the development server listens; its own default when empty.
LISTEN ?=
# The packages to test.
PACKAGES ?= ./...

GOLANGCI := go tool -modfile=tools/golangci-lint.mod golangci-lint
TEST_EVENTS := .jari/test-events.json

.DEFAULT_GOAL := help
.PHONY: help install install-others run demo test lint format generate migrations seeded stores build clean clean-data

help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## install PostgreSQL and Redis or Valkey where they are missing
	@scripts/install go stores

# The edge's configuration is tested by the edge itself, the SMS gateway's client by a gateway, and the browsers' by a browser.
install-others: install
	@scripts/install nginx kannel node chromium

build: ## build the binaries into bin/
	@scripts/install go
	go build -o bin/jari ./cmd/jari

run: install build ## serve on private stores, with the night of 19 July 2021 two minutes away (CLOCK=… LISTEN=…)
	exec bin/jari dev --data .jari/dev --clock "$(CLOCK)" $(if $(LISTEN),--listen "$(LISTEN)")

demo: build ## walk the journey against the server of `make run`, printing each request and answer
	exec bin/jari demo

# The events are kept for a truthful count at the end, also when tests fail.
test: install-others bin/stores ## run all tests on private stores, with the race detector where anything is concurrent (PACKAGES=…)
	@mkdir -p .jari && rm -f $(TEST_EVENTS)
	@bin/stores -- scripts/test $(TEST_EVENTS) $(PACKAGES); \
		status=$$?; go run ./test/tally $(TEST_EVENTS) || status=1; exit $$status

lint: ## check style, imports and common mistakes (the first run builds the linter: some minutes)
	@scripts/install go
	$(GOLANGCI) run ./...

format: ## format all Go files
	$(GOLANGCI) fmt

generate: ## write all generated code anew
	@scripts/install go
	go generate ./...

migrations: install bin/stores ## take every migration up, down and up again on a scratch database
	bin/stores -- go test -count=1 ./test/migrations

seeded: ## plant bugs in a copy of the rules, one at a time, and see that a test catches each (some minutes)
	@scripts/install go
	go run ./test/seeded

stores: install bin/stores ## keep the tests' stores running until Ctrl-C, for `go test` in an editor
	exec bin/stores

# Always asked, because only the Go command knows whether it is current.
.PHONY: bin/stores
bin/stores:
	@go build -o $@ ./test/stores

clean: ## remove what was built and the tests' stores; what `make run` stored stays
	@if [ -e .jari/test/stores.json ]; then \
		echo "'make stores' is running: stop it first. (Was it killed? Then run it and stop it once.)"; exit 1; fi
	@if [ -x bin/stores ] && [ -d .jari/test ]; then bin/stores -- true; fi # ends what a killed run left running
	rm -rf bin .jari/test .jari/test-[0-9] $(TEST_EVENTS)
	@if [ -d .jari/dev ]; then echo "Kept: .jari/dev, the bookings of 'make run'. 'make clean-data' deletes them."; fi

clean-data: ## delete the bookings of `make run` too; asks first, or YES=1
	@if [ -d .jari/dev ]; then \
		if [ "$(YES)" != 1 ]; then \
			printf "Is 'make run' stopped, and shall .jari/dev be deleted with all bookings in it? Type yes: "; read answer || answer=; \
			[ "$$answer" = yes ] || { echo "Nothing was deleted."; exit 1; }; \
		fi; \
		rm -rf .jari/dev; \
	fi
