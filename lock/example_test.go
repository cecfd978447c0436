package lock_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
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

// Locks of a pool share a lease, so that a free lock takes one round trip to lock and one
// to unlock.
func ExamplePool() {
	conn, done := dial()
	defer done()
	ctx := context.Background()

	pool, err := lock.NewPool(conn)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = pool.Close(ctx) }() // revokes the lease
	for _, order := range []string{"orders/17", "orders/18"} {
		m, err := pool.Mutex(order)
		if err != nil {
			fmt.Println(err)
			return
		}
		err = m.Run(ctx, func(context.Context) error {
			fmt.Println(order, "is ours:", m.Token() > 0)
			return nil
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// orders/17 is ours: true
	// orders/18 is ours: true
}

func ExampleMutex() {
	conn, done := dial()
	defer done()
	ctx := context.Background()

	m, err := lock.New(conn, "report", lock.WithTTL(10*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := m.Lock(ctx); err != nil {
		fmt.Println(err)
		return
	}
	select {
	case <-m.Done():
		fmt.Println("stop working:", m.Err())
	default:
		fmt.Println("held, with a fencing token:", m.Token() > 0)
	}
	fmt.Println("released:", m.Unlock(ctx))
	// Output:
	// held, with a fencing token: true
	// released: <nil>
}

// The function's context ends when the lock is lost, and Run's error says so.
func ExampleMutex_Run() {
	conn, done := dial()
	defer done()
	ctx := context.Background()

	m, err := lock.New(conn, "report")
	if err != nil {
		fmt.Println(err)
		return
	}
	err = m.Run(ctx, func(ctx context.Context) error {
		_, err := m.Txn(ctx).Then(kv.OpPut("report/last", "monday")).Commit()
		return err
	})
	fmt.Println("monday:", err)

	err = m.Run(ctx, func(ctx context.Context) error {
		if _, err := kv.New(conn).Delete(ctx, m.Key()); err != nil { // somebody takes the lock away
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	fmt.Println("tuesday:", err)
	fmt.Println("lost:", errors.Is(err, lock.ErrLost))
	// Output:
	// monday: <nil>
	// tuesday: lock: lost: "report": its key was deleted, by another client or with its lease
	// lost: true
}

// What must not go on without the lock is done in its context.
func ExampleMutex_Context() {
	conn, done := dial()
	defer done()
	ctx := context.Background()

	m, err := lock.New(conn, "report")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := m.Lock(ctx); err != nil {
		fmt.Println(err)
		return
	}
	held := m.Context()
	fmt.Println("held:", held.Err())
	if err := m.Unlock(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("then:", context.Cause(held))
	// Output:
	// held: <nil>
	// then: lock: not held: released
}

func ExampleMutex_Txn() {
	conn, done := dial()
	defer done()
	ctx := context.Background()
	store := kv.New(conn)

	m, err := lock.New(conn, "report")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := m.Lock(ctx); err != nil {
		fmt.Println(err)
		return
	}
	_, err = m.Txn(ctx).Then(kv.OpPut("report/last", "monday")).Commit()
	fmt.Println("with the lock:", err)

	// Somebody takes the lock away.
	if _, err := store.Delete(ctx, m.Key()); err != nil {
		fmt.Println(err)
		return
	}
	<-m.Done()
	_, err = m.Txn(ctx).Then(kv.OpPut("report/last", "tuesday")).Commit()
	fmt.Println("without it:", err)
	got, err := store.Get(ctx, "report/last")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("written: %s\n", got.Kvs[0].Value)
	_ = m.Unlock(ctx) // tells once more that it was lost
	// Output:
	// with the lock: <nil>
	// without it: lock: lost: "report": its key was deleted, by another client or with its lease
	// written: monday
}

func ExampleMutex_TryLock() {
	conn, done := dial()
	defer done()
	ctx := context.Background()

	mine, err := lock.New(conn, "report")
	if err != nil {
		fmt.Println(err)
		return
	}
	other, err := lock.New(conn, "report")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mine.TryLock(ctx))
	fmt.Println(other.TryLock(ctx))
	fmt.Println(mine.Unlock(ctx))
	// Output:
	// <nil>
	// lock: held by another
	// <nil>
}

func ExampleLocker() {
	conn, done := dial()
	defer done()
	ctx := context.Background()

	_, err := lock.NewLocker(conn, lock.Config{TTL: 8 * time.Second, Retries: 2, Heartbeat: 2 * time.Second, RequestTimeout: time.Second})
	fmt.Println(err != nil)

	l, err := lock.NewLocker(conn, lock.Config{TTL: 8 * time.Second, Retries: 2, Heartbeat: time.Second, RequestTimeout: time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	held, err := l.Lock(ctx, "report")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(held.Err())
	fmt.Println(held.Unlock(ctx))
	// Output:
	// true
	// <nil>
	// <nil>
}

func ExampleService() {
	conn, done := dial()
	defer done()
	ctx := context.Background()
	leases := lease.New(conn)
	rpc := lock.NewService(conn)

	if _, err := leases.GrantID(ctx, 0x1234, 30); err != nil {
		fmt.Println(err)
		return
	}
	resp, err := rpc.Lock(ctx, "report", 0x1234)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", resp.Key)
	_, err = rpc.Unlock(ctx, string(resp.Key))
	fmt.Println(err)
	// Output:
	// report/1234
	// <nil>
}
