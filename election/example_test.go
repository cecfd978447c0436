package election_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/election"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
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

func ExampleElection() {
	conn, done := dial()
	defer done()
	ctx := context.Background()
	e, err := election.New(conn, "scheduler")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := e.Campaign(ctx, "host-1"); err != nil {
		fmt.Println(err)
		return
	}
	leader, err := e.Leader(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("leader:", string(leader.Kvs[0].Value))

	// A write that only the leader can do, whatever the clocks say.
	_, err = e.Txn(ctx).Then(kv.OpPut("plan", "A")).Commit()
	fmt.Println("written:", err)

	if err := e.Resign(ctx); err != nil {
		fmt.Println(err)
		return
	}
	_, err = e.Leader(ctx)
	fmt.Println(err)
	// Output:
	// leader: host-1
	// written: <nil>
	// election: no leader
}

// Run campaigns, and resigns when the function has returned. The function's context ends
// with the leadership.
func ExampleElection_Run() {
	conn, done := dial()
	defer done()
	ctx := context.Background()
	e, err := election.New(conn, "scheduler")
	if err != nil {
		fmt.Println(err)
		return
	}
	err = e.Run(ctx, "host-1", func(ctx context.Context) error {
		leader, err := e.Leader(ctx)
		if err != nil {
			return err
		}
		fmt.Println("leader:", string(leader.Kvs[0].Value))
		return nil
	})
	fmt.Println("resigned:", err)
	_, err = e.Leader(ctx)
	fmt.Println(err)
	// Output:
	// leader: host-1
	// resigned: <nil>
	// election: no leader
}

func ExampleElection_Leaders() {
	conn, done := dial()
	defer done()
	ctx := context.Background()
	candidate, err := election.New(conn, "scheduler")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := candidate.Campaign(ctx, "host-1"); err != nil {
		fmt.Println(err)
		return
	}
	for leader, err := range candidate.Leaders(ctx) {
		switch {
		case err != nil:
			fmt.Println(err)
			return
		case len(leader.Kvs) == 0:
			fmt.Println("nobody leads")
			return
		}
		fmt.Println("leader:", string(leader.Kvs[0].Value))
		if err := candidate.Resign(ctx); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// leader: host-1
	// nobody leads
}
