package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.etcd.io/etcd/client/v3/ordering"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// lenientPrograms returns programs that clientv3 is lenient with: a client that was
// not written for it might fail in them.
func lenientPrograms() map[string]program {
	return map[string]program{
		"outage/waiting":   waitInAnOutage,
		"outage/nobody":    waitForNobody,
		"outage/strangers": callStrangers,
		"kv/negative":      negativeRevisions,
		"txn/again":        commitAgain,
		"config/spaces":    endpointsWithSpaces,
		"config/unusable":  unusableEndpoints,
		"watch/empty":      watchEmptyKey,
		"mirror/errorless": mirrorErrorsFirst,
	}
}

// quiet is how long a call must wait to count as one that does not end.
const quiet = 7 * time.Second

// calls has a call of each kind. None of their contexts has a deadline.
func calls(ctx context.Context, cli *clientv3.Client) map[string]func() error {
	return map[string]func() error{
		"a read":     func() error { _, err := cli.Get(ctx, "color"); return err },
		"a write":    func() error { _, err := cli.Put(ctx, "color", "red"); return err },
		"a deletion": func() error { _, err := cli.Delete(ctx, "taste"); return err },
		"a transaction": func() error {
			_, err := cli.Txn(ctx).Then(clientv3.OpPut("shape", "round")).Commit()
			return err
		},
		"a lease":   func() error { _, err := cli.Grant(ctx, 60); return err },
		"a list":    func() error { _, err := cli.MemberList(ctx); return err },
		"a status":  func() error { _, err := cli.Status(ctx, cli.Endpoints()[0]); return err },
		"a session": func() error { _, err := concurrency.NewSession(cli, concurrency.WithContext(ctx)); return err },
	}
}

// waiting prints that all calls wait, makes them end, and prints how.
func waiting(p *printer, calls map[string]func() error, end func() error) error {
	ended := make(chan string, len(calls))
	for name, call := range calls {
		go func() { ended <- fmt.Sprintf("%s: %v", name, call()) }()
	}
	select {
	case early := <-ended:
		return fmt.Errorf("too early: %s", early)
	case <-time.After(quiet):
		p.line("%d calls wait", len(calls))
	}
	if err := end(); err != nil {
		return err
	}
	lines := make([]string, len(calls))
	for i := range lines {
		lines[i] = <-ended
	}
	slices.Sort(lines)
	p.line("%s", strings.Join(lines, "\n"))
	return p.err
}

// waitInAnOutage makes calls while the only member is away for a while.
func waitInAnOutage(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	m := &member{address: "127.0.0.1:0", target: strings.TrimPrefix(cli.Endpoints()[0], "http://")}
	if err := m.start(ctx); err != nil {
		return err
	}
	defer func() { m.kill() }()
	own, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + m.address}})
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }()
	if _, err := own.Put(ctx, "color", "green"); err != nil {
		return err
	}
	m.kill()
	for conn := own.ActiveConnection(); conn.GetState() == connectivity.Ready; {
		conn.WaitForStateChange(ctx, connectivity.Ready)
	}
	return waiting(p, calls(context.WithoutCancel(ctx), own), func() error { return m.start(ctx) })
}

// waitForNobody makes calls that nobody will answer.
func waitForNobody(ctx context.Context, _ *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	own, err := clientv3.New(clientv3.Config{Endpoints: []string{"127.0.0.1:1"}})
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	return waiting(p, calls(ctx, own), func() error { cancel(); return nil })
}

// callStrangers makes calls with deadlines to a server that is not etcd.
func callStrangers(ctx context.Context, _ *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	defer server.Stop()
	go func() { _ = server.Serve(l) }() // ends with Stop
	own, err := clientv3.New(clientv3.Config{Endpoints: []string{l.Addr().String()}})
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }()
	for _, limit := range []time.Duration{time.Second, 20 * time.Second} {
		for _, name := range []string{"a read", "a write", "a transaction", "a lease", "a list", "a status"} {
			short, cancel := context.WithTimeout(ctx, limit)
			err := calls(short, own)[name]()
			p.line("%s: %v, in time: %v", name, status.Code(err), short.Err() == nil || limit == time.Second)
			cancel()
		}
	}
	return p.err
}

// negativeRevisions computes revisions from one that is too low.
func negativeRevisions(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	if _, err := cli.Put(ctx, "color", "green"); err != nil {
		return err
	}
	for _, opt := range []clientv3.OpOption{
		clientv3.WithMaxModRev(-1), clientv3.WithMaxCreateRev(-1), clientv3.WithMinModRev(-1), clientv3.WithMinCreateRev(-1), clientv3.WithRev(-1), clientv3.WithLimit(-1),
	} {
		get, err := cli.Get(ctx, "color", opt)
		if err != nil {
			return err
		}
		p.pairs(get)
	}
	_, err := cli.Compact(ctx, -1)
	p.line("compacted already: %v", err == rpctypes.ErrCompacted) //nolint:errorlint // as users of clientv3 do
	return p.err
}

// member stands for a member that can be killed and started again.
type member struct {
	address, target string

	kill func()
	wg   sync.WaitGroup
}

func (m *member) start(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", m.address)
	if err != nil {
		return err
	}
	m.address = l.Addr().String()
	ctx, cancel := context.WithCancel(ctx)
	m.kill = func() {
		cancel()
		_ = l.Close()
		m.wg.Wait()
	}
	m.wg.Go(func() { // ends with kill
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			m.wg.Go(func() { m.forward(ctx, in) })
		}
	})
	return nil
}

// forward ends with ctx, or with one of the connections.
func (m *member) forward(ctx context.Context, in net.Conn) {
	defer func() { _ = in.Close() }()
	out, err := new(net.Dialer).DialContext(ctx, "tcp", m.target)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	m.wg.Go(func() { _, _ = io.Copy(in, out); cancel() })
	m.wg.Go(func() { _, _ = io.Copy(out, in); cancel() })
	<-ctx.Done()
	_ = out.Close()
}

// commitAgain commits transactions more than once.
func commitAgain(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	leased, done, err := leasing.NewKV(cli, "leases/")
	if err != nil {
		return err
	}
	defer done()
	commit := func(name string, txn clientv3.Txn) {
		resp, err := txn.Commit()
		if err != nil {
			p.line("%s: %v", name, err)
			return
		}
		p.line("%s: succeeded: %v, %d responses", name, resp.Succeeded, len(resp.Responses))
	}
	for _, by := range []struct {
		name string
		kv   clientv3.KV
	}{
		{"client", cli.KV},
		{"namespace", namespace.NewKV(cli.KV, "inside/")},
		{"ordering", ordering.NewKV(cli.KV, ordering.NewOrderViolationSwitchEndpointClosure(cli))},
		{"leasing", leased},
	} {
		key := by.name + "/color"
		absent := clientv3.Compare(clientv3.Version(key), "=", 0)
		txn := by.kv.Txn(ctx).If(absent).Then(clientv3.OpPut(key, "green"))
		commit(by.name+", first", txn)
		commit(by.name+", again", txn)
		commit(by.name+", with Else", txn.Else(clientv3.OpPut(key, "red"), clientv3.OpGet(key)))
		commit(by.name+", once more", txn)
		get, err := by.kv.Get(ctx, key)
		if err != nil {
			return err
		}
		p.pairs(get)
	}
	empty := cli.Txn(ctx)
	commit("empty", empty)
	commit("built later", empty.If(clientv3.Compare(clientv3.Version("later"), "=", 0)).Then(clientv3.OpPut("later", "x")))
	return p.err
}

// uses writes and reads a key.
func uses(ctx context.Context, p *printer, cli *clientv3.Client) error {
	if _, err := cli.Put(ctx, "color", "green"); err != nil {
		return err
	}
	get, err := cli.Get(ctx, "color")
	if err != nil {
		return err
	}
	p.pairs(get)
	return p.err
}

// endpointsWithSpaces splits a list at its commas, which leaves spaces.
func endpointsWithSpaces(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	good := cli.Endpoints()[0]
	own, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(good+", "+good+",\thttp://127.0.0.1:1\n", ",")})
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }()
	p.line("%d endpoints", len(own.Endpoints()))
	if err := uses(ctx, p, own); err != nil {
		return err
	}
	own.SetEndpoints(" "+good, good)
	p.line("%d endpoints", len(own.Endpoints()))
	return uses(ctx, p, own)
}

// unusableEndpoints has endpoints that are none beside one that is.
func unusableEndpoints(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	good := cli.Endpoints()[0]
	own, err := clientv3.New(clientv3.Config{Endpoints: []string{good, "nonsense://x", "http://%zz", "a b", "127.0.0.1:port", "::"}})
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }()
	p.line("%d endpoints", len(own.Endpoints()))
	if err := uses(ctx, p, own); err != nil {
		return err
	}
	own.SetEndpoints("nonsense://y", good)
	p.line("%d endpoints", len(own.Endpoints()))
	return uses(ctx, p, own)
}

// watchEmptyKey watches the empty key, which is the first one.
func watchEmptyKey(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watches := []struct {
		name   string
		events clientv3.WatchChan
		n      int
	}{
		{"one", cli.Watch(ctx, ""), 1},
		{"to m", cli.Watch(ctx, "", clientv3.WithRange("m")), 2},
		{"all", cli.Watch(ctx, "", clientv3.WithRange("\x00")), 3},
	}
	for _, key := range []string{"\x00", "a", "z"} {
		if _, err := cli.Put(ctx, key, "v"); err != nil {
			return err
		}
	}
	var failed []error
	for _, w := range watches {
		p.line("%s:", w.name)
		if err := watched(p, w.events, w.n); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", w.name, err))
		}
	}
	return errors.Join(append(failed, p.err)...)
}

// mirrorErrorsFirst reads the channel of errors to its end before that of the keys.
func mirrorErrorsFirst(ctx context.Context, cli *clientv3.Client, out io.Writer) error {
	p := &printer{out: out}
	const keys = 2500
	for i := 0; i < keys; i += 100 {
		var puts []clientv3.Op
		for j := range 100 {
			puts = append(puts, clientv3.OpPut(fmt.Sprintf("fruit/%04d", i+j), "ripe"))
		}
		if _, err := cli.Txn(ctx).Then(puts...).Commit(); err != nil {
			return err
		}
	}
	late, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	parts, errs := mirror.NewSyncer(cli, "fruit/", 0).SyncBase(late)
	for {
		select {
		case err, ok := <-errs:
			if ok {
				p.line("an error: %v", err)
				continue
			}
		case <-late.Done():
			return late.Err()
		}
		break
	}
	n := 0
	for part := range parts {
		n += len(part.Kvs)
	}
	p.line("%d keys", n)
	return p.err
}
