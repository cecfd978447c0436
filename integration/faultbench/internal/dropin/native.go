package dropin

import (
	"log/slog"

	"github.com/getcd/getcd/balancer"
	"github.com/getcd/getcd/integration/faultbench/internal/etcdclient"
)

// Settings are the same for both.
type Settings = etcdclient.Settings

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Active is the endpoint that the client uses now, empty when there is none.
func (v *Client) Active() string {
	for _, e := range v.c.Native().Endpoints() {
		if e.Role == balancer.Active {
			return e.Address
		}
	}
	return ""
}
