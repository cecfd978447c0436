package lease_test

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/lease"
)

// dial connects to a cluster in memory; with a real one, take a client's Conn.
func dial() (*grpc.ClientConn, func()) {
	c := etcdtest.NewCluster(1)
	conn, err := c.Dial()
	if err != nil {
		panic(err)
	}
	return conn, func() { _ = conn.Close(); c.Close() }
}

func ExampleLease() {
	conn, done := dial()
	defer done()
	l := lease.New(conn)
	defer l.Close()
	ctx := context.Background()

	g, err := l.Grant(ctx, 30)
	if err != nil {
		fmt.Println(err)
		return
	}
	left, err := l.TimeToLive(ctx, g.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("granted:", left.GrantedTTL)

	if _, err := l.Revoke(ctx, g.ID); err != nil {
		fmt.Println(err)
		return
	}
	left, err = l.TimeToLive(ctx, g.ID)
	fmt.Println("revoked:", left.TTL, err)
	// Output:
	// granted: 30
	// revoked: -1 <nil>
}

func ExampleKeeper() {
	conn, done := dial()
	defer done()
	l := lease.New(conn)
	defer l.Close()
	ctx := context.Background()

	g, err := l.Grant(ctx, 30)
	if err != nil {
		fmt.Println(err)
		return
	}
	k, err := l.Keep(ctx, g.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("proven for more than 20 s:", time.Until(k.Deadline()) > 20*time.Second)

	_ = k.Close() // always nil
	<-k.Done()
	fmt.Println(k.Err())
	// Output:
	// proven for more than 20 s: true
	// lease: closed
}
