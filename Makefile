# `make` alone lists the targets. Go, gcc (for the race detector) and a shell are needed; scripts/servers brings the databases.

GOLANGCI_LINT := v2.15.0
GOVULNCHECK   := v1.9.0

TOOLS    := $(CURDIR)/.cache/bin
LINTER   := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT)
VULN     := $(TOOLS)/govulncheck-$(GOVULNCHECK)
FUZZTIME ?= 30s

.DEFAULT_GOAL := help
.PHONY: help build test servers lint fmt fuzz bench demo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## bin/rejot, one static program
	CGO_ENABLED=0 go build -trimpath -o bin/rejot ./cmd/rejot

test: servers ## all tests, against real databases, with the race detector
	go test -count=1 -race -p 2 -timeout 30m ./...

servers: ## the database servers that tests and the demo start for themselves
	scripts/servers
	scripts/typescript
	@if command -v npm >/dev/null; then scripts/servers --versions 13,14,16,17,18; \
	else echo "no npm: tests against other versions of Postgres are skipped"; fi

lint: $(LINTER) $(VULN) ## linters, formatting, known vulnerabilities
	go vet ./...
	$(LINTER) run ./...
	scripts/vulnerabilities $(VULN)

fmt: $(LINTER) ## format the code as lint wants it
	$(LINTER) fmt ./...

fuzz: ## every fuzz target for FUZZTIME (30s)
	scripts/fuzz $(FUZZTIME)

bench: ## ReJot beside Postgres' own replication, in about half an hour; BENCH="-only big -rounds 1" for a part
	scripts/servers
	go run ./bench $(BENCH)

demo: ## see it work, on private servers that are gone afterwards
	KEEP=$(KEEP) scripts/demo

clean: ## remove what was built and fetched
	rm -rf bin .cache

$(LINTER):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv $(TOOLS)/golangci-lint $@

$(VULN):
	GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	mv $(TOOLS)/govulncheck $@
