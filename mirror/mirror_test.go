package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/etcdtest"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/mirror"
	"github.com/getcd/getcd/watch"
)

func connect(t *testing.T, members int) (*etcdtest.Cluster, *client.Client) {
	t.Helper()
	cluster := etcdtest.Start(t, members)
	c, err := client.New(client.Config{Endpoints: cluster.Addrs(), DialOptions: cluster.DialOptions()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return cluster, c
}

// fill puts n keys below prefix.
func fill(t *testing.T, c *client.Client, prefix string, n int) {
	t.Helper()
	for i := 0; i < n; i += 100 {
		var puts []kv.Op
		for j := i; j < min(i+100, n); j++ {
			puts = append(puts, kv.OpPut(fmt.Sprintf("%s%05d", prefix, j), "v"))
		}
		if _, err := c.Txn(t.Context()).Then(puts...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// A copy made of the state and the changes is the original, though a member dies and keys change
// between the parts, whether they are pages or a stream's.
func TestMirror(t *testing.T) {
	t.Run("pages", func(t *testing.T) {
		testMirror(t, func(c *client.Client) mirror.Client { return struct{ mirror.Client }{c} })
	})
	t.Run("stream", func(t *testing.T) {
		testMirror(t, func(c *client.Client) mirror.Client { return c })
	})
}

func testMirror(t *testing.T, as func(*client.Client) mirror.Client) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cluster, c := connect(t, 3)
		fill(t, c, "a/", 2500)
		fill(t, c, "b/", 10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for prefix, keys := range map[string]int{"a/": 2500, "": 2510} {
			m, err := mirror.New(as(c), prefix)
			if err != nil {
				t.Fatal(err)
			}
			copied, parts := map[string]string{}, 0
			for part, err := range m.Base(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				if rev, err := m.Revision(ctx); err != nil || part.Header == nil || part.Header.Revision < rev {
					t.Errorf("a part has header %+v, want one of revision %d", part.Header, rev)
				}
				for _, pair := range part.Kvs {
					copied[string(pair.Key)] = string(pair.Value)
				}
				if parts++; part.More != (len(copied) < keys) {
					t.Errorf("part %d, with %d keys by now, has More %v", parts, len(copied), part.More)
				}
				// These come after the revision: no later part has them.
				if _, err := c.Put(ctx, "a/00000", fmt.Sprint("part ", parts)); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Put(ctx, "a/zzz", fmt.Sprint("part ", parts)); err != nil {
					t.Fatal(err)
				}
			}
			if len(copied) != keys || parts < 3 || copied["a/zzz"] != "" || copied["a/00000"] != "v" {
				t.Errorf("%q: %d keys in %d parts, a/zzz %q: want %d in 3 at least, as they were at one revision", prefix, len(copied), parts, copied["a/zzz"], keys)
			}
			cluster.Member(0).Kill()
			if _, err := c.Delete(ctx, "a/00001"); err != nil && !client.IsAmbiguous(err) {
				t.Fatal(err)
			}
			for resp, err := range m.Updates(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range resp.Events {
					if e.Type == watch.EventTypeDelete {
						delete(copied, string(e.Kv.Key))
					} else {
						copied[string(e.Kv.Key)] = string(e.Kv.Value)
					}
				}
				if now, err := c.Get(ctx, prefix, kv.WithPrefix(), kv.WithCountOnly()); err != nil || now.Count == int64(len(copied)) && copied["a/zzz"] == fmt.Sprint("part ", parts) {
					break
				}
			}
			if copied["a/00000"] != fmt.Sprint("part ", parts) {
				t.Errorf("%q: a/00000 is %q, want its last change", prefix, copied["a/00000"])
			}
			cluster.Member(0).Start()
			if _, err := c.Delete(ctx, "a/zzz"); err != nil {
				t.Fatal(err)
			}
			fill(t, c, "a/", 2500)
		}
	})
}

// What can't be read any more is an error of its own.
func TestMirrorOfCompactedRevisions(t *testing.T) {
	_, c := connect(t, 1)
	fill(t, c, "a/", 1000)
	rev, err := c.Get(t.Context(), "a/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compact(t.Context(), rev.Header.GetRevision()); err != nil {
		t.Fatal(err)
	}
	m, err := mirror.New(c, "a/", mirror.WithRev(2))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range m.Base(t.Context()) {
		if !errors.Is(err, rpctypes.ErrCompacted) {
			t.Errorf("the state: got %v, want ErrCompacted", err)
		}
	}
	n := 0
	for _, err := range m.Updates(t.Context()) {
		if _, ok := errors.AsType[*watch.CompactedError](err); !ok {
			t.Errorf("the changes: got %v, want a CompactedError", err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("the changes: %d pairs, want one, with the error", n)
	}
}

// The changes end with their context, and say so.
func TestUpdatesEndWithTheirContext(t *testing.T) {
	_, c := connect(t, 1)
	m, err := mirror.New(c, "a/", mirror.WithRev(1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fill(t, c, "a/", 1)
	var last error
	for _, last = range m.Updates(ctx) {
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v, want the context's error", last)
	}
}

// They say so as well when the consumer is busy at the end, and the watch has no room for the cause.
func TestUpdatesEndWhileTheConsumerIsBusy(t *testing.T) {
	shift := errors.New("shift is over")
	for name, tc := range map[string]struct {
		end  func(c *client.Client, cancel context.CancelCauseFunc)
		want []error
	}{
		"client":  {func(c *client.Client, _ context.CancelCauseFunc) { _ = c.Close() }, []error{watch.ErrClosed}},
		"context": {func(_ *client.Client, cancel context.CancelCauseFunc) { cancel(nil) }, []error{context.Canceled}},
		"cause":   {func(_ *client.Client, cancel context.CancelCauseFunc) { cancel(shift) }, []error{context.Canceled, shift}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c := connect(t, 1)
				m, err := mirror.New(c, "a/", mirror.WithRev(1))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				fill(t, c, "a/", 1)
				ended, last := false, error(nil)
				for _, err := range m.Updates(ctx) {
					if last = err; ended {
						continue
					}
					fill(t, c, "a/", 300) // more responses than the channel has room for
					synctest.Wait()
					tc.end(c, cancel)
					synctest.Wait()
					ended = true
				}
				for _, want := range tc.want {
					if !errors.Is(last, want) {
						t.Errorf("got %v, want %v", last, want)
					}
				}
			})
		})
	}
}

// A copy that goes on where an earlier one has ended learns that the cluster was restored since.
func TestUpdatesOfARestoredCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := connect(t, 1)
		fill(t, c, "a/", 10)
		now := cluster.Revision()
		for rev, want := range map[int64]error{now: nil, now + 1: watch.ErrRevisionRegressed} {
			m, err := mirror.New(c, "a/", mirror.WithRev(rev))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			var last error
			for _, err := range m.Updates(ctx) {
				last = err
			}
			cancel()
			if want == nil {
				want = context.DeadlineExceeded // the changes may come yet
			}
			if !errors.Is(last, want) {
				t.Errorf("from revision %d of %d: %v, want %v", rev, now, last, want)
			}
		}
	})
}

func TestMisuse(t *testing.T) {
	_, c := connect(t, 1)
	if _, err := mirror.New(nil, "a/"); err == nil {
		t.Error("without a client: got no error")
	}
	if _, err := mirror.New(c, "a/", nil); err == nil {
		t.Error("with a nil option: got no error")
	}
	if _, err := mirror.New(c, "a/", mirror.WithRev(-1)); err == nil {
		t.Error("with a negative revision: got no error")
	}
}
