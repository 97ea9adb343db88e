# Two commands are all that a newcomer needs: make run, make test.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  = -s -w -X main.version=$(VERSION)

# Tools, pinned. They are no dependency of the module.
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0

# Packages in which goroutines share something.
RACE = ./guard/... ./internal/... ./issuer/... ./issuertest/... ./jose/... ./notary/... ./revocation/... ./verifier/...

# Tests of one goroutine that the race detector makes slow and can find nothing in:
# every bit of a token, payloads of 64 MiB; and hours of signed heartbeats, whose
# goroutines the shorter tests of package verifier have too. They run without it.
ALONE = ^(TestThreat11Every.*|TestLargePayloadIsNotKept|TestNotStreamable|TestThreat126EmptyPayloadInEveryForm|TestThreat119AlgorithmInTheUnprotectedHeader|TestThreat61UnverifiedClaimsMisuse|TestPlanReadsWhatUnmarshalReads|TestObjectIsWhatUnmarshalReads|TestKeyIDIsNoFlag|TestThreat97HostileSignedSet|TestThreat98RelayAddsAKey|TestThreat98SignedSet.*|TestThreat133RestoredByHearsay|TestThreat133ShorterMaxLife|TestThreat134RecordedManifests)$$

# Packages that load modules of PKCS #11: with cgo, and with a tag that the ordinary
# build does without.
PKCS11 = ./issuer/keyring/pkcs11

# Modules of their own, for what the product must not depend on.
MODULES = $(shell git ls-files '*/go.mod' | xargs -r -n1 dirname)

# Addresses of make run.
ISSUER ?= 127.0.0.1:8080
ORDERS ?= 127.0.0.1:9000
GUARD  ?= 127.0.0.1:8081

.PHONY: help run build test lint vuln dist fuzz planted bench soak

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18

run: build ## try it: issuer, service and guard with one user, on this machine
	@exec bin/trip -issuer $(ISSUER) -orders $(ORDERS) -guard $(GUARD)

build:
	@mkdir -p bin
	@$(GO) build -ldflags "-X main.version=$(VERSION)" -o bin/ ./cmd/counterfoil ./examples/orders ./examples/trip

test: ## install what the tests need, then lint and run every test
	@scripts/needs
	@$(MAKE) --no-print-directory lint
	@{ $(GO) test -json -timeout 18m ./... || true; $(GO) test -json -race -timeout 18m -run '^Test' -skip '$(ALONE)' $(RACE) || true; \
		$(GO) test -json -race -tags pkcs11 -timeout 18m $(PKCS11) || true; \
		for m in $(MODULES); do $(GO) -C $$m test -json -timeout 18m ./... || true; done; } | $(GO) run ./internal/testgate

lint: vuln ## go vet, staticcheck, gofmt and known vulnerabilities
	@unformatted=$$(git ls-files -z '*.go' | xargs -0 gofmt -l); if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	@for m in . $(MODULES); do (cd $$m && $(GO) vet ./... && $(STATICCHECK) ./...); done
	@$(GO) vet -tags pkcs11 $(PKCS11) ./cmd/counterfoil && $(STATICCHECK) -tags pkcs11 $(PKCS11)

vuln:
	@scripts/vulncheck $(GOVULNCHECK)

dist: ## static binaries for five systems in dist/, with SHA256SUMS
	@rm -rf dist && mkdir dist
	@for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do \
		os=$${target%/*} arch=$${target#*/}; name=counterfoil_$(VERSION)_$${os}_$${arch}; \
		if [ $$os = windows ]; then name=$$name.exe; fi; \
		echo "dist/$$name"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o dist/$$name ./cmd/counterfoil; \
	done
	@cd dist && sha256sum counterfoil_* > SHA256SUMS

FUZZTIME ?= 30s
DIFFERTIME ?= 8m
fuzz: ## fuzz every parser for FUZZTIME, and compare with other libraries for an hour
	@scripts/fuzz $(FUZZTIME) $(DIFFERTIME)

planted: ## take each check out in a copy, and see its test fail
	$(GO) test -timeout 60m -run TestPlanted -planted all .

bench: ## measure, and write bench/RESULTS.md
	@scripts/needs
	cd bench && $(GO) run .

HONEST  ?= 10000000
STRIKES ?= 100
soak: ## race the concurrent packages ten times, check ten million honest tokens, steal the key a hundred times
	$(GO) test -race -count=10 -timeout 60m -skip '$(ALONE)' $(RACE)
	$(GO) test -v -timeout 60m ./docs/model -deep
	COUNTERFOIL_HONEST_TOKENS=$(HONEST) COUNTERFOIL_STRIKES=$(STRIKES) $(GO) test -v -count=1 -timeout 180m -run '^(TestNoFalseAlarm|TestStolenKey)$$' ./e2e
