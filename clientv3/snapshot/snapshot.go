// Package snapshot mirrors go.etcd.io/etcd/client/v3/snapshot: it saves a
// member's database to a file.
package snapshot

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/bare"
	"github.com/getcd/getcd/maintenance"
)

// SaveWithVersion saves the database of the member that cfg names to a file, and
// returns the version of its storage format, which is empty before etcd 3.6. The
// file appears when it is complete, verified and on disk. SaveWithVersion ends
// with ctx. lg is also the client's logger, and may be nil.
func SaveWithVersion(ctx context.Context, lg *slog.Logger, cfg clientv3.Config, dbPath string) (string, error) {
	if len(cfg.Endpoints) != 1 {
		return "", fmt.Errorf("clientv3/snapshot: a snapshot is of one member: give its endpoint, not %q", cfg.Endpoints)
	}
	if lg == nil {
		lg = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = lg
	cli, err := clientv3.New(cfg) //nolint:contextcheck // the client has its own; ctx ends the call
	if err != nil {
		return "", err
	}
	defer func() { _ = cli.Close() }()
	begin := time.Now()
	info, err := maintenance.New(cli.Native().Conn()).SaveFile(ctx, dbPath)
	if err != nil {
		return info.Version, bare.Error(err)
	}
	lg.Info("saved a snapshot", "path", dbPath, "endpoint", cfg.Endpoints[0], "bytes", info.Size, "took", time.Since(begin), "version", info.Version)
	return info.Version, nil
}
