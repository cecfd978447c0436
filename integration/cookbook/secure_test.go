package cookbook_test

import (
	"strings"
	"testing"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/certs"
	"github.com/getcd/getcd/integration/cluster"
)

// cookSecure is cookIn on a cluster with TLS and users. The test's own client is root, whose
// password is "secret".
func cookSecure(t *testing.T, dir, name string) (k *kitchen, ca string) {
	t.Helper()
	authority, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := authority.Server("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	k = cookOn(t, dir, name, cluster.Config{
		ClientTLS: &cluster.TLSFiles{Cert: server.CertFile, Key: server.KeyFile},
		Flags:     []string{"--bcrypt-cost=4"}, // logins are not what is tested
	})
	cfg := client.Config{TLSFiles: client.TLSFiles{CA: authority.File()}}
	k.connect(cfg)
	for _, do := range []func() error{
		func() error { _, err := k.store.RoleAdd(t.Context(), "root"); return err },
		func() error { _, err := k.store.UserAdd(t.Context(), "root", "secret"); return err },
		func() error { _, err := k.store.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := k.store.AuthEnable(t.Context()); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Username, cfg.Password = "root", "secret"
	k.connect(cfg)
	return k, authority.File()
}

// Programs take the same settings from the environment with clientv3 as with getcd.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"getcd": examples, "clientv3": clientv3} {
		t.Run(name, func(t *testing.T) {
			k, ca := cookSecure(t, dir, "liveconfig")
			k.put("liveconfig/settings", `{"logLevel": "info", "workers": 2}`)
			endpoints := "ETCDCTL_ENDPOINTS=" + strings.Join(k.cluster.Endpoints(), ",")
			for _, k.env = range [][]string{
				{endpoints, "ETCDCTL_CACERT=" + ca, "ETCDCTL_USER=root", "ETCDCTL_PASSWORD=secret"},
				{endpoints, "ETCDCTL_INSECURE_SKIP_TLS_VERIFY=true", "ETCDCTL_USER=root:secret"},
			} {
				p := k.start()
				p.want("log level info, 2 workers")
				p.stop()
			}
			k.env = []string{endpoints, "ETCDCTL_INSECURE_SKIP_TLS_VERIFY=maybe"}
			if out, err := k.do(); err == nil || !strings.Contains(out, "ETCDCTL_INSECURE_SKIP_TLS_VERIFY") {
				t.Errorf("a value that is not true or false: %v, %s", err, out)
			}
		})
	}
}
