# make        builds, lints and tests everything: all that a contribution needs.
# make demo   shows the main job on a real cluster.
# make bench  measures getcd against etcd's raw stub.

PACKAGES := ./... ./integration/... ./cmd/getcd/...
LINT     := bin/golangci-lint

.PHONY: all build test race alone lint fmt demo bench fuzz clean
all: build lint alone test

build:
	go build $(PACKAGES)

test:
	go test $(PACKAGES)

race:
	go test -race -shuffle=on $(PACKAGES)

# The root module by itself, as an importer gets it, and for the systems that
# have no CI of their own.
alone:
	GOWORK=off go test ./...
	GOWORK=off GOOS=darwin go vet ./...
	GOWORK=off GOOS=windows go vet ./...
	GOWORK=off GOOS=linux GOARCH=386 go vet ./...
	GOWORK=off GOOS=linux GOARCH=arm64 go vet ./...

# The linter is pinned by, and built from, the tools module.
$(LINT): tools/go.mod tools/go.sum
	cd tools && GOWORK=off go build -o ../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

lint: $(LINT)
	$(LINT) run ./...
	cd integration && ../$(LINT) run -c ../.golangci.yml ./...
	cd cmd/getcd && ../../$(LINT) run -c ../../.golangci.yml ./...

fmt: $(LINT)
	$(LINT) fmt ./...
	cd integration && ../$(LINT) fmt -c ../.golangci.yml ./...
	cd cmd/getcd && ../../$(LINT) fmt -c ../../.golangci.yml ./...

demo:
	go run ./cmd/getcd demo

# Alternating rounds, raw text: feed it to benchstat.
bench:
	go test -run '^$$' -bench . -benchmem -count 3 ./integration

# Each parser for a while; a finding is kept under testdata/fuzz.
FUZZTIME ?= 30s
fuzz:
	@for p in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$p/*_test.go | cut -d' ' -f2); do \
			echo "== $$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; \
	done

clean:
	rm -rf bin
