package client_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
)

// The password is in a file, such as one of a Kubernetes secret, and somebody changes it
// there and in the cluster. (Package config does this for the setting password-file.)
func ExampleConfig_credentials() {
	cluster := etcdtest.NewCluster(3)
	defer cluster.Close()
	cluster.EnableAuth(map[string]string{"root": "first"})
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "password")
	rotate := func(password string) error { return os.WriteFile(file, []byte(password+"\n"), 0o600) }
	if err := rotate("first"); err != nil {
		fmt.Println(err)
		return
	}

	c, err := client.New(client.Config{
		Endpoints: cluster.Addrs(),
		Credentials: func(context.Context) (user, password string, err error) {
			text, err := os.ReadFile(file)
			return "root", string(bytes.TrimSpace(text)), err
		},
		DialOptions: cluster.DialOptions(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()
	_, err = c.Put(ctx, "greeting", "hello")
	fmt.Println("with the first password:", err)

	// This makes the tokens of the user invalid.
	if _, err := auth.New(c.Conn()).UserChangePassword(ctx, "root", "second"); err != nil {
		fmt.Println(err)
		return
	}
	if err := rotate("second"); err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.Put(ctx, "greeting", "hello again")
	fmt.Println("with the second password:", err)
	// Output:
	// with the first password: <nil>
	// with the second password: <nil>
}

// Somebody else issues the tokens, and renews them before they expire.
func ExampleConfig_tokenSource() {
	c, err := client.New(client.Config{
		Endpoints: []string{"https://etcd.example.com:2379"},
		TokenSource: func(context.Context) (string, error) {
			token, err := os.ReadFile("/var/run/secrets/etcd/token")
			return string(bytes.TrimSpace(token)), err
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println("the file is read at the first call")
	// Output: the file is read at the first call
}

// The files are read again for each new connection, so that whoever renews them need not
// tell the client. Once they were good, the last good ones stay in use; at the start they
// have to be.
func ExampleTLSFiles() {
	_, err := client.New(client.Config{
		Endpoints: []string{"https://etcd.example.com:2379"},
		TLSFiles:  client.TLSFiles{Cert: "testdata/client.crt", Key: "testdata/client.key", CA: "testdata/ca.crt"},
	})
	fmt.Println(err)
	// Output:
	// client: Config.TLSFiles: the client's certificate: open testdata/client.crt: no such file or directory
	// the certificate authorities: open testdata/ca.crt: no such file or directory
}
