# The project's commands. `make` alone lists them.
#
# What runs is Go: the Makefile only puts commands together, so that each line
# can be typed as it stands. Nothing is installed without being said; see
# tools/setup.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup-test setup-demo setup-bench build test check vet format lint cross unit \
	check-clean fuzz soak garbage crash demo bench clean test-kernel setup-kernel

MODULES := . bench tools
# A tool that tools/go.mod pins, run in the current directory.
TOOL := go tool -modfile=$(CURDIR)/tools/go.mod

## test: everything that must hold: vet, format, lint, cross-builds, then all tests, with and without the race detector
test: setup-test check unit

## demo: the main job: one verified workload on files, memory, a target, a peer, and through a crash, with a table beside os.File and net/rpc (a minute)
demo: setup-demo build
	@CGO_ENABLED=0 go build -trimpath -o bin/demo ./examples/demo
	@exec bin/demo -unio bin/unio $(DEMO)

## bench: unio against its baselines in turn: ratios with their spread, JSON in bench/results (QUICK=1: a minute; ROWS=disk,mem: some rows)
bench: setup-bench build
	@cd bench && go run ./cmd/versus -unio $(CURDIR)/bin/unio $(if $(QUICK),-quick) $(if $(ROWS),-rows $(ROWS)) $(BENCH)

## build: bin/unio, one static binary
build:
	@CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

## check: what needs no test to run
check: vet format lint cross

## vet: go vet, in every module
vet:
	@for m in $(MODULES); do echo "vet $$m"; (cd $$m && go vet ./...) || exit 1; done

## format: fail if gofmt or gofumpt would change a file
format:
	@echo format
	@out=$$(gofmt -l . ; $(TOOL) gofumpt -l . ) ; if [ -n "$$out" ]; then \
		echo "not formatted (mend with: go tool -modfile=tools/go.mod gofumpt -w .):"; echo "$$out" | sort -u; exit 1; fi

## lint: staticcheck, and code that neither a program nor a test reaches
lint:
	@for m in $(MODULES); do echo "staticcheck $$m"; (cd $$m && $(TOOL) staticcheck ./...) || exit 1; done
	@echo deadcode; out=$$($(TOOL) deadcode -test ./...); if [ -n "$$out" ]; then echo "$$out"; exit 1; fi

## cross: the other systems still build
cross:
	@for t in linux/arm64 darwin/arm64; do echo "vet for $$t"; \
		GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 go vet ./... || exit 1; done

## unit: all tests; the last line counts them
unit:
	@CGO_ENABLED=1 go run -C tools ./testrun \
		"race .. -race ./..." "plain .. ./..." "bench ../bench ./..." "tools . ./..."

## test-kernel: provider/rdma and target against Linux's own iWARP, in an emulated guest (Debian 12 on amd64; a minute or two)
test-kernel: setup-kernel
	@provider/rdma/kernelpeer/build
	@go vet -tags kernel ./provider/rdma/... ./target
	@go run -C tools ./testrun "kernel .. -tags kernel -run TestKernel ./provider/rdma/... ./target"

## check-clean: generate, fix and tidy change nothing
check-clean:
	@tools/check-clean $(MODULES)

## fuzz: every fuzz target for FUZZTIME (10s) each
fuzz:
	@tools/fuzz $(or $(FUZZTIME),10s)

## crash: many more crash points of a pool (POINTS=200000; some minutes)
crash:
	@VOLUME_POINTS=$(or $(POINTS),200000) go test -count=1 -timeout 2h -v -run 'TestCrash$$' ./provider/volume

## soak: a day's operations in DURATION (10m): random verified work on all kinds of exports, by clients that come and go; ends at the first wrong byte
soak:
	@go test -count=1 -timeout 0 -v -run '^TestSoak$$' ./target -soak $(or $(DURATION),10m)

## garbage: what is no protocol, or was one, comes to a target's port for DURATION (10m)
garbage:
	@go test -count=1 -timeout 0 -v -run '^TestGarbage$$' ./target -garbage $(or $(DURATION),10m)

## clean: remove what make has built
clean:
	rm -rf bin

setup-test:
	@tools/setup test
setup-demo:
	@tools/setup demo
setup-bench:
	@tools/setup bench
setup-kernel:
	@tools/setup kernel

help:
	@sed -n 's/^## \([a-z-]*\): \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
