# make        builds, lints and tests everything: all that a contribution needs.
# make demo   shows the main job on a real cluster.
# make versions  runs the integration suite on etcd 3.4 and each later minor version.
# make programs  moves programs of others, and drives them beside their originals.
# make peers  runs etcd's and kube-apiserver's own tests of the client on clientv3 and on getcd.
# make wire   runs the integration suite with its traffic traced: all of it has to be decoded.
# make soak   checks watches, locks, elections, queues and writes through 10 minutes of faults each.
# make once   checks for 30 minutes of faults that writes on middleware/once happen once.
# make handbook  writes docs/protocol: live calls to a real server, with what their bytes mean.
# make audit  compares the API with the last release, and checks licenses and vulnerabilities.
# make release VERSION=v0.1.0  packs the modules as that version, and with TAG=1 tags them.
# make dashboard-picture  draws the dashboard of a client under faults: docs/reference/dashboard.png.
# make bench  measures getcd, with and without its middleware, against etcd's raw stub and clientv3.

# All packages of all modules that go.work lists.
PACKAGES := work
LINT     := bin/golangci-lint

.PHONY: FORCE all build test race alone lint fmt demo versions programs peers wire soak once bench fuzz handbook dashboard-picture audit release clean
all: build lint alone test

build:
	go build $(PACKAGES)

test:
	go test -timeout 20m $(PACKAGES)

# Once more with the race detector; on real members, which are built without it, for less
# time. Not the comparisons of programs and the benches, which run programs of their own: the
# detector would see nothing. Nor behind HAProxy and nginx, where the client does the same.
# The root module is tested by itself, as an importer gets it.
race: export GETCD_TEST_CHILD := $(CURDIR)/bin/child
race: bin/child
	GOWORK=off go test -race -shuffle=on ./...
	go test -race -shuffle=on $$(go list -f '{{if ne .Module.Dir "$(CURDIR)"}}{{.ImportPath}}{{end}}' $(PACKAGES) | grep -v /integration)
	go test -race -short -shuffle=on -timeout 30m $$(go list ./integration/... | grep -v -E '[a-z]bench$$|/(etcdctltest|frontproxy|dropin/(programs|reports)|measure)$$')

bin/child: FORCE
	go build -o $@ ./integration/child

# The root module by itself, as an importer gets it, and for systems that have no CI of
# their own, one of them with 32 bits.
alone:
	GOWORK=off go vet ./...
	GOWORK=off GOOS=darwin GOARCH=arm64 go vet ./...
	GOWORK=off GOOS=windows GOARCH=386 go vet ./...

# The linter is pinned by, and built from, the tools module.
$(LINT): tools/go.mod tools/go.sum
	cd tools && GOWORK=off go build -o ../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# All modules in one run: in a run for each, what they share is analyzed again.
lint: $(LINT)
	$(LINT) run -c .golangci.yml $$(go list -m -f '{{.Dir}}/...')
	cd tools/release && GOWORK=off ../../$(LINT) run -c ../../.golangci.yml ./...

fmt: $(LINT)
	for module in $$(go list -m -f '{{.Dir}}'); do \
		(cd $$module && $(CURDIR)/$(LINT) fmt -c $(CURDIR)/.golangci.yml ./...) || exit; done
	cd tools/release && GOWORK=off ../../$(LINT) fmt -c ../../.golangci.yml ./...

# The tool, small: docs/reference/tool.md says what the tag is for.
bin/getcd: FORCE
	go build -trimpath -tags grpcnotrace -ldflags='-s -w' -o $@ ./cmd/getcd
FORCE:

demo:
	go run ./cmd/playground demo

# The integration suite on each version, one after the other: some 5 minutes each.
# What is skipped is printed with the reason, and docs/measurements/versions.md is written.
BUILTIN := 3.7
ALL_VERSIONS := 3.4 3.5 3.6 $(BUILTIN)
VERSIONS ?= $(ALL_VERSIONS)
VERSIONS_PAGE = $(if $(filter-out $(VERSIONS),$(ALL_VERSIONS))$(filter-out $(ALL_VERSIONS),$(VERSIONS)),,-o docs/measurements/versions.md)
versions: $(patsubst %,bin/etcd-%,$(filter-out $(BUILTIN),$(VERSIONS)))
	go run ./integration/versions $(VERSIONS_PAGE) $(patsubst bin/etcd-$(BUILTIN),builtin,$(patsubst %,bin/etcd-%,$(VERSIONS)))

# Servers are pinned by, and built from, a tools module each.
bin/etcd-3.%: tools/etcd3%/go.mod tools/etcd3%/go.sum
	cd tools/etcd3$* && GOWORK=off go build -o ../../$@ go.etcd.io/etcd/server/v3

# etcd 3.4 can't be built as a module. Debian 12 has it; its package is unpacked,
# not installed, so that nothing starts.
bin/etcd-3.4:
	@command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { \
		echo "$@: this is no Debian: put the etcd binary of a 3.4 release (https://github.com/etcd-io/etcd/releases) at $@,"; \
		echo "or leave it out: make versions VERSIONS='$(filter-out 3.4,$(ALL_VERSIONS))'"; exit 1; }
	@mkdir -p bin/deb && cd bin/deb && { apt-get download etcd-server || { apt-get update -qq && apt-get download etcd-server; }; }
	dpkg-deb -x bin/deb/etcd-server_*.deb bin/deb
	@bin/deb/usr/bin/etcd --version | grep -q '^etcd Version: 3\.4\.' || { \
		echo "$@: this system's package etcd-server is another version: put the etcd binary of a 3.4 release at $@"; rm -rf bin/deb; exit 1; }
	mv bin/deb/usr/bin/etcd $@ && touch $@ && rm -rf bin/deb

# Programs of others, moved to getcd by the documented command, through faults: some 20
# minutes. docs/measurements/programs.md is written.
programs:
	go run ./integration/programs

# Other people's suites, on clientv3 and on getcd, each test in a process of its own:
# half an hour for two busy processors. docs/reference/peers.md is written. The suite
# etcd-server is not part of it: that page tells how to run it.
peers:
	go run ./integration/peers -markdown docs/reference/peers.md

# Each client of the suite is traced, and a frame, a message or a byte that the tracer does
# not account for fails its test: some 10 minutes. The last lines tell how much there was.
wire:
	cd integration && GETCD_CHECK_WIRE=1 go test -count=1 -timeout 30m

# Another seed draws other faults.
SEED ?= 1
soak:
	go run ./integration/soak -for 10m -seed $(SEED)

once:
	go run ./integration/soak -for 30m -check once -seed $(SEED)

# A minute. The templates are in integration/handbook/pages.
handbook:
	go run ./integration/handbook

# Four minutes. A real Prometheus scrapes a client, and Chromium draws the panels of
# observability/grafana/getcd.json. Debian has both: Prometheus is unpacked, not installed.
dashboard-picture: bin/prometheus
	@command -v chromium >/dev/null || { echo "$@: there is no chromium: apt-get install chromium"; exit 1; }
	go run ./integration/dashboard -prometheus bin/prometheus

bin/prometheus:
	@command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { \
		echo "$@: this is no Debian: put a Prometheus server at $@"; exit 1; }
	@mkdir -p bin/deb && cd bin/deb && { apt-get download prometheus || { apt-get update -qq && apt-get download prometheus; }; }
	dpkg-deb -x bin/deb/prometheus_*.deb bin/deb
	mv bin/deb/usr/bin/prometheus $@ && touch $@ && rm -rf bin/deb

# Each client in processes of its own, in turn: a table of medians, in 20 minutes. Then the same
# calls as Go benchmarks: alternating rounds, raw text for benchstat.
bench:
	go run ./integration/callbench
	go test -run '^$$' -bench . -benchmem -count 3 ./integration

# Each parser for a while; a finding is kept under testdata/fuzz.
FUZZTIME ?= 30s
fuzz:
	@for p in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$p/*_test.go | cut -d' ' -f2); do \
			echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; \
	done

# What a release promises, and what it brings along. CONTRIBUTING.md says what happens
# without a network and before the first release.
audit:
	cd tools/release && GOWORK=off go test ./...
	cd tools/release && GOWORK=off go run ./apidiff
	cd tools/release && GOWORK=off go run ./licenses
	cd tools/release && GOWORK=off go run ./vulns $(if $(REQUIRE),-require)

# dist/VERSION is then a module proxy: GOPROXY=file://. The work tree does not change.
release:
	$(if $(VERSION),,$(error which version? make release VERSION=v0.1.0))
	rm -rf 'dist/$(VERSION)'
	cd tools/release && GOWORK=off go run . -version '$(VERSION)' -o '$(CURDIR)/dist/$(VERSION)' $(if $(TAG),-tag)

clean:
	rm -rf bin dist
