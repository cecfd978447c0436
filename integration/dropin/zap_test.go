package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapio"
	"go.uber.org/zap/zaptest/observer"

	"github.com/getcd/getcd/clientv3"
)

// A zap user's logger hears what the client logs, by the two lines of
// docs/from-clientv3.md.
func TestZapLogger(t *testing.T) {
	core, heard := observer.New(zap.InfoLevel)
	logger := zap.New(core)
	cfg := clientv3.Config{Endpoints: []string{"127.0.0.1:1"}}

	records := &zapio.Writer{Log: logger, Level: zap.InfoLevel}
	cfg.Logger = slog.New(slog.NewTextHandler(records, nil))

	cli, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cli.GetLogger().Info("something happens", "to", "whom")
	if err := cli.Close(); err != nil {
		t.Error(err)
	}
	found := false
	for _, entry := range heard.All() {
		found = found || strings.Contains(entry.Message, `msg="something happens" to=whom`)
	}
	if !found {
		t.Errorf("zap has heard %v, want the record", heard.All())
	}

	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "from-clientv3.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("zap_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(page), "<!-- in integration/dropin/zap_test.go -->\n\n")
	block, _, _ = strings.Cut(block, "\n\n")
	lines := strings.Split(block, "\n")
	if !ok || len(lines) != 2 {
		t.Fatalf("the page shows %q, want two lines", block)
	}
	for _, line := range lines {
		if !strings.Contains(string(source), "\n\t"+strings.TrimSpace(line)+"\n") {
			t.Errorf("the page shows what is not tested: %s", line)
		}
	}
}
