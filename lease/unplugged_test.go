package lease_test

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/lease"
)

// When the connection is closed, nothing more will be proven: who waits for that is told. What is
// proven stays so until its deadline.
func TestConnectionClosed(t *testing.T) {
	for name, dial := range map[string]func(t *testing.T, c *etcdtest.Cluster) (grpc.ClientConnInterface, func() error){
		"grpc": func(t *testing.T, c *etcdtest.Cluster) (grpc.ClientConnInterface, func() error) {
			t.Helper()
			conn := c.Conn(t)
			return conn, conn.Close
		},
		"getcd": func(t *testing.T, c *etcdtest.Cluster) (grpc.ClientConnInterface, func() error) {
			t.Helper()
			cl, err := client.New(client.Config{Endpoints: c.Addrs(), DialOptions: c.DialOptions()})
			if err != nil {
				t.Fatal(err)
			}
			return cl.Conn(), cl.Close
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := etcdtest.Start(t, 1)
				conn, stop := dial(t, c)
				l := newService(t, conn)
				proven := mustKeep(t, l, mustGrant(t, l, 60))
				waiting, never := mustGrant(t, l, 60), mustGrant(t, l, 60)
				c.Member(0).Hang()
				answers, err := l.KeepAlive(t.Context(), waiting)
				if err != nil {
					t.Fatal(err)
				}
				result := make(chan error, 1)
				go func() {
					_, err := l.Keep(t.Context(), waiting)
					result <- err
				}()
				synctest.Wait()
				begin := time.Now()
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				if err := <-result; status.Code(err) != codes.Canceled {
					t.Errorf("Keep that waits: got %v, want the connection's error", err)
				}
				if _, ok := <-answers; ok {
					t.Error("KeepAlive: got an answer, want a closed channel")
				}
				if _, err := l.Keep(t.Context(), never); status.Code(err) != codes.Canceled {
					t.Errorf("Keep after that: got %v, want the connection's error", err)
				}
				if took := time.Since(begin); took > time.Second {
					t.Errorf("it took %v, want a pause at most", took)
				}
				if err := proven.Err(); err != nil {
					t.Errorf("a proven lease has ended: %v", err)
				}
				<-proven.Done()
				wantIs(t, "at its deadline", proven.Err(), lease.ErrExpired)
				if left := time.Until(proven.Deadline()); left != 0 {
					t.Errorf("Done %v before the deadline, want at it", left)
				}
			})
		})
	}
}
