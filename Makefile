# The one place for the versions of tools that are run by version and never become the product's dependencies.
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.9.0
# The packages that authgraph add installs elsewhere.
INSTALLED := . ./auth ./auth/internal/graph ./auth/internal/pace ./ent/schema ./ent/schema/schematype \
	./internal/commonpassword ./internal/dburl ./internal/failover ./internal/mysqlconn ./internal/passhash ./stmtcache \
	./entfast ./entfast/fast

# The race detector, but not in other people's arithmetic: SQLite as it was translated from C works on memory that the
# detector does not watch, and took ten times as long; hashing and matching share nothing. Their callers are watched.
unwatched   = -gcflags=$(1)=-race=false
RACE       := -race $(call unwatched,modernc.org/sqlite/lib) $(call unwatched,modernc.org/libc) \
	$(call unwatched,modernc.org/memory) $(call unwatched,golang.org/x/crypto/...) $(call unwatched,regexp)
WITHSERVERS := go run ./internal/testserver/cmd/withservers
AUTHGRAPH   := go run ./cmd/authgraph
FUZZTIME    ?= 10s
SOAKTIME    ?= 5m
ROWS        ?= 300k
GROWTH      ?= 10k,100k,1M,10M
PURGE       ?= 10M
BENCHFLAGS  ?=
DIST        ?= dist

.PHONY: help
help: ## Show what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-16s %s\n", $$1, $$2 }'

# What a service runs is called by many at once, and is tested with the race detector. The commands are not: with it
# their tests take five times as much of the processors. No more are the tests on a second isolation level, which is the
# server's and not the memory's. make race tests everything with it.
RACED := ./auth/... ./entfast/... ./examples/... ./stmtcache/... ./internal/mysqltest ./internal/testserver
SECOND_LEVEL := (mysql|mariadb)/read_committed
ON_LEVELS := $(shell grep -l onEngines auth/*_test.go | xargs grep -ho '^func Test[A-Za-z0-9]*' | cut -d' ' -f2 | paste -sd'|')

.PHONY: test
test: ## Run all tests on a real MySQL, a real MariaDB and SQLite
	$(WITHSERVERS) -tools -- $(MAKE) --no-print-directory -k -j2 test-raced test-plain

.PHONY: test-raced test-plain
test-raced: # with servers
	go test $(RACE) -count=1 -timeout=40m -p 1 -skip '.*/$(SECOND_LEVEL)' $(RACED)
test-plain: # with servers
	go test -count=1 -timeout=40m -run '^($(ON_LEVELS))$$/$(SECOND_LEVEL)' ./auth
	go test -count=1 -timeout=40m $(filter-out $(shell go list $(RACED)),$(shell go list ./...))

.PHONY: race
race: ## Run all tests with the race detector
	$(WITHSERVERS) -tools -- go test $(RACE) -count=1 -timeout=60m ./...

.PHONY: cluster
cluster: ## Run the tests that need a cluster of Galera or Group Replication, which they start
	go test -count=1 -tags cluster ./auth -run '^Test(Galera|Group)' -v
	go test -count=1 -tags cluster ./migrate -run 'Galera|Primaries' -v

.PHONY: soak-cluster
soak-cluster: ## Use clusters for SOAKTIME (5m) each while their servers crash, stand still and lose their majority
	AUTHGRAPH_SOAK=$(SOAKTIME) go test -count=1 -timeout=0 -tags cluster ./auth -run '^TestSoakCluster$$' -v

.PHONY: vitess
vitess: ## Run the tests that need Vitess, unsharded and on two shards, which they build and start
	go test -count=1 -timeout=60m -tags cluster ./internal/cli -run Vitess -v
	go test -count=1 -timeout=60m -tags cluster ./auth -run Vitess -v

.PHONY: servers
servers: ## Open a shell in which both test servers run and go test finds them
	$(WITHSERVERS) -tools -- "$${SHELL:-sh}"

.PHONY: generate
generate: ## Generate the client, and what else follows from ent/schema
	go generate ./ent

.PHONY: migration
migration: ## Plan the migration to the current schema: make migration NAME=add_phone
	@test -n "$(NAME)" || { echo "usage: make migration NAME=add_phone"; exit 2; }
	$(WITHSERVERS) -mysql-only -- sh -ec 'for url in "$$AUTHGRAPH_TEST_MYSQL_URL" sqlite://unused.db; do \
		$(AUTHGRAPH) migrate diff --url "$$url" "$$1"; done' sh "$(NAME)"

.PHONY: lint
lint: ## Check format and code, and that no merge was left half done
	@# Texts that show such markers, as in tests of merges, have something before them on the line.
	@marked=$$(git grep -nI '^<<<<<<< '); test -z "$$marked" || { echo "conflict markers, finish the merge:"; echo "$$marked"; exit 1; }
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted, run gofmt -w:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go run $(GOLANGCI_LINT) run
	@# Modules that these are installed into have settings of their own, or none.
	go run $(GOLANGCI_LINT) run --no-config --tests=false $(INSTALLED)

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities in what the code calls
	go run $(GOVULNCHECK) ./...

.PHONY: verify
verify: ## Check that what is generated, and go.mod, are up to date
	go mod tidy -diff
	go generate ./ent
	@changed=$$(git status --porcelain); test -z "$$changed" || { echo "$$changed"; echo "run make generate and commit the result"; exit 1; }

.PHONY: ci
ci: ## Run the gate that a pull request has to pass
	.ci/run

.PHONY: fuzz
fuzz: ## Run each fuzz test for FUZZTIME (10s)
	@grep -rno --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | while IFS=: read -r file line name; do \
		go test -run '^$$' -fuzz "^$${name#func }\$$" -fuzztime $(FUZZTIME) "$${file%/*}" || exit 1; \
	done

.PHONY: matrix
matrix: ## Run what touches a server on each release: make matrix ONLY="mariadb 10.5"
	go run ./internal/matrix "$(ONLY)"

.PHONY: own-user
own-user: ## Attach to users of each type of id, on each database, in each profile: make own-user ONLY=uuid-mysql
	AUTHGRAPH_OWN_USER=matrix $(WITHSERVERS) -- go test -count=1 -timeout=0 -v ./internal/owntest \
		-run 'TestTheGraphAttachesToAUserOfTheProjectsOwn/$(ONLY)'

.PHONY: soak
soak: ## Run the tests named Soak for SOAKTIME (5m)
	AUTHGRAPH_SOAK=$(SOAKTIME) $(WITHSERVERS) -- go test $(RACE) -count=1 -timeout=0 -v -run Soak ./...

.PHONY: mutate
mutate: ## Take the guards of auth out one by one and see a test fail
	$(WITHSERVERS) -- go run ./internal/mutate

.PHONY: bench
bench: ## Compare with other ways on ROWS (300k) sessions, into docs/benchmarks.md
	cd bench && go run . compare -rows $(ROWS) $(BENCHFLAGS)

.PHONY: bench-growth bench-purge bench-migrations
bench-growth: ## Measure on GROWTH (10k,100k,1M,10M) sessions
	cd bench && go run . growth -rows $(GROWTH) $(BENCHFLAGS)
bench-purge: ## Measure purge beside readers on PURGE (10M) sessions
	cd bench && go run . purge -rows $(PURGE) $(BENCHFLAGS)
bench-migrations: ## Time the commands beside drizzle-kit and the Atlas CLI
	cd bench && go run . migrations $(BENCHFLAGS)

.PHONY: bench-check
bench-check: ## Hold the benchmarks' peers against each other, on few rows
	cd bench && go mod tidy -diff && go vet ./... && go run $(GOLANGCI_LINT) run
	$(WITHSERVERS) -mysql-only -tools -- go -C bench test -count=1 ./...

.PHONY: dist
dist: ## Build the command with its man pages and the completions of shells into DIST (dist)
	rm -rf $(DIST)
	go build -trimpath -o $(DIST)/bin/ ./cmd/authgraph
	$(DIST)/bin/authgraph man --quiet $(DIST)/share/man/man1
	mkdir -p $(DIST)/share/bash-completion/completions $(DIST)/share/zsh/site-functions $(DIST)/share/fish/vendor_completions.d
	$(DIST)/bin/authgraph completion bash >$(DIST)/share/bash-completion/completions/authgraph
	$(DIST)/bin/authgraph completion zsh >$(DIST)/share/zsh/site-functions/_authgraph
	$(DIST)/bin/authgraph completion fish >$(DIST)/share/fish/vendor_completions.d/authgraph.fish

.PHONY: demo
demo: ## Show the graph at work on DATABASE_URL, or on a SQLite file
	$(AUTHGRAPH) demo
