package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapio"
	"go.uber.org/zap/zaptest/observer"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/observability/zap"
)

// A zap logger receives what the client logs, with the lines in
// docs/guides/from-clientv3.md.
func TestZapLogger(t *testing.T) {
	for name, adapt := range map[string]func(logger *zap.Logger, cfg *clientv3.Config){
		"getcdzap": func(logger *zap.Logger, cfg *clientv3.Config) {
			cfg.Logger = getcdzap.New(logger)
		},
		"zapslog": func(logger *zap.Logger, cfg *clientv3.Config) {
			cfg.Logger = slog.New(zapslog.NewHandler(logger.Core()))
		},
		"zapio": func(logger *zap.Logger, cfg *clientv3.Config) {
			records := &zapio.Writer{Log: logger, Level: zap.InfoLevel}
			cfg.Logger = slog.New(slog.NewTextHandler(records, nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			core, heard := observer.New(zap.InfoLevel)
			cfg := clientv3.Config{Endpoints: []string{"127.0.0.1:1"}}
			adapt(zap.New(core), &cfg)
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
				found = found || strings.Contains(entry.Message, "something happens")
			}
			if !found {
				t.Errorf("zap has heard %v, want the record", heard.All())
			}
		})
	}
}

// The page shows the same lines as the test above.
func TestZapLinesAreTested(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "guides", "from-clientv3.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("zap_test.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for line := range strings.Lines(string(page)) {
		code, ok := strings.CutPrefix(line, "    ")
		if !ok || !strings.Contains(code, "slog.New") && !strings.Contains(code, "zapio") && !strings.Contains(code, "getcdzap") {
			continue
		}
		shown++
		if !strings.Contains(string(source), "\t"+code) {
			t.Errorf("the page shows what is not tested: %s", code)
		}
	}
	if shown != 4 {
		t.Errorf("the page shows %d lines, want 4", shown)
	}
}
