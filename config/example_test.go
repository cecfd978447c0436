package config_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/config"
	"github.com/getcd/getcd/etcdtest"
)

// A file with a typo is refused, with all that is wrong with it.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "client.yaml")
	text := "endpoints: [https://10.0.0.1:2379, https://10.0.0.2:2379]\ntrusted-ca-fiel: /etc/etcd/ca.crt\ndial-timeout: 5\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	_, err = config.Load(file)
	fmt.Println(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""))
	// Output:
	// config: client.yaml:2: trusted-ca-fiel: no such setting; did you mean trusted-ca-file?
	// config: client.yaml:3: dial-timeout: "5" has no unit: write 5s (clientv3 would take it for 5ns)
}

// The environment replaces what the file sets, and the program may add what has no text.
func ExampleParse() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()

	file := []byte("endpoints: [http://localhost:2379]\nwrite-patience: 1s\n")
	cfg, err := config.Parse("client.yaml", file, []string{"ETCDCTL_ENDPOINTS=" + cluster.Addrs()[0]})
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg.DialOptions = cluster.DialOptions()
	c, err := client.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	_, err = c.Put(context.Background(), "greeting", "hello")
	fmt.Println(cfg.WritePatience, err)
	// Output: 1s <nil>
}
