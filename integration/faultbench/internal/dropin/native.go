package dropin

import (
	"log/slog"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/integration/faultbench/internal/etcdclient"
)

// Settings are the same for both.
type Settings = etcdclient.Settings

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Endpoints returns the endpoints that getcd reports.
func (v *Client) Endpoints() []balancer.Status { return v.c.Native().Endpoints() }
