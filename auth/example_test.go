package auth_test

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/auth"
	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
)

// The user in this example may do everything with keys below web/, and nothing
// else.
func ExampleAuth() {
	cluster := etcdtest.NewCluster(1)
	defer cluster.Close()
	cfg := client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()}
	ctx := context.Background()
	if err := secure(ctx, cfg); err != nil {
		fmt.Println(err)
		return
	}
	cfg.Username, cfg.Password = "alice", "a secret"
	c, err := client.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	_, err = c.Put(ctx, "web/greeting", "hello")
	fmt.Println("web/greeting:", err)
	_, err = c.Put(ctx, "db/greeting", "hello")
	fmt.Println("db/greeting is refused:", errors.Is(err, rpctypes.ErrPermissionDenied))
	// Output:
	// web/greeting: <nil>
	// db/greeting is refused: true
}

// secure makes the users and roles, and turns authentication on. A client
// includes the Auth service.
func secure(ctx context.Context, cfg client.Config) error {
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.RoleAdd(ctx, "web"); err != nil {
		return err
	}
	if _, err := c.RoleGrantPermission(ctx, "web", "web/", kv.GetPrefixRangeEnd("web/"), auth.PermReadWrite); err != nil {
		return err
	}
	// etcd requires the user root, so that somebody can turn authentication off
	// again.
	for user, role := range map[string]string{"root": "root", "alice": "web"} {
		if _, err := c.UserAdd(ctx, user, "a secret"); err != nil {
			return err
		}
		if _, err := c.UserGrantRole(ctx, user, role); err != nil {
			return err
		}
	}
	_, err = c.AuthEnable(ctx)
	return err
}

func ExampleParsePermissionType() {
	t, err := auth.ParsePermissionType("readwrite")
	fmt.Println(t == auth.PermReadWrite, err)
	_, err = auth.ParsePermissionType("execute")
	fmt.Println(err)
	// Output:
	// true <nil>
	// auth: "execute" is not a type of permission; use read, write or readwrite
}
