package client_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/resolver"
)

// Whoever forges an answer of DNS must not get a password for it.
func TestNoSecretsBecauseOfDNS(t *testing.T) {
	for _, tt := range []struct {
		name       string
		configure  func(*client.Config)
		plainByDNS bool
		refused    bool
	}{
		{"password", func(c *client.Config) { c.Username, c.Password = "root", "secret" }, true, true},
		{"token", func(c *client.Config) { c.Token = "secret" }, true, true},
		{"allowed", func(c *client.Config) { c.Username, c.Password, c.InsecureDiscovery = "root", "secret", true }, true, false},
		{"allowed in spite of TLS", func(c *client.Config) {
			c.TLS, c.InsecureDiscovery = &tls.Config{MinVersion: tls.VersionTLS12}, true
		}, true, false},
		{"the user's own word", func(c *client.Config) { c.Username, c.Password = "root", "secret" }, false, false},
		{"nothing to lose", func(*client.Config) {}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cluster := etcdtest.Start(t, 1)
				member := cluster.Member(0)
				cfg := client.Config{
					Endpoints: []string{"found:"},
					Resolver: resolver.Options{Registry: found(t, resolver.Address{
						Network: "tcp", Host: "member-1", Port: 2379, ServerName: "example.com", PlainByDNS: tt.plainByDNS,
					})},
					DialOptions: []grpc.DialOption{grpc.WithContextDialer(cluster.Dialer())},
				}
				tt.configure(&cfg)
				if cfg.Username != "" {
					cluster.EnableAuth(map[string]string{"root": "secret"})
				}
				c, err := client.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, err = c.Get(ctx, "k")
				if !tt.refused {
					if err != nil {
						t.Errorf("Get: %v", err)
					}
					if _, err := c.Status(ctx, member.Addr()); err != nil {
						t.Errorf("Status: %v", err)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), "Config.InsecureDiscovery") {
					t.Errorf("Get: %v, want an error that names Config.InsecureDiscovery", err)
				}
				// What the client lists is not dialed in another way either.
				if _, err := c.Status(ctx, member.Addr()); err == nil || !strings.Contains(err.Error(), "Config.InsecureDiscovery") {
					t.Errorf("Status: %v, want an error that names Config.InsecureDiscovery", err)
				}
				for _, method := range []string{pb.Auth_Authenticate_FullMethodName, pb.KV_Range_FullMethodName, pb.Maintenance_Status_FullMethodName} {
					if len(member.LastMetadata(method)) > 0 {
						t.Errorf("the member was sent %s", method)
					}
				}
			})
		})
	}
}

// An address that only DNS had called plain gets the token when the user names it as plain. The next
// connection uses what the resolver says of the address now.
func TestPlainByDNSAndThenByTheUser(t *testing.T) {
	resolve := from(t, func(n int32) []resolver.Address {
		a := addressOf(m1)
		a.PlainByDNS = n == 1
		return []resolver.Address{a}
	})
	configure := func(c *client.Config) {
		resolve(c)
		c.Token = "secret"
	}
	run(t, 1, configure, func(r *rig) {
		if _, err := r.get(r.timeout(500 * time.Millisecond)); err == nil || !strings.Contains(err.Error(), "sent in the clear") {
			r.t.Errorf("at first: got %v, want that the token is not sent", err)
		}
		time.Sleep(10 * time.Second) // the bubble's clock
		if _, err := r.get(r.timeout(10 * time.Second)); err != nil {
			r.t.Errorf("when the user has named it: %v", err)
		}
	})
}
